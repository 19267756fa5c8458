package trunk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// begins is a carrier's INVITE to the number that SIPp is started with, with a description or without one.
func begins(sdp string, lines ...string) string {
	if sdp != "" {
		lines = append(lines, "Content-Type: application/sdp")
	}
	more := ""
	for _, l := range lines {
		more += l + "\n"
	}
	return `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="carrier">
  <send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+33140000001@[local_ip]>;tag=[call_number]
To: <sip:[service]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:carrier@[local_ip]:[local_port]>
Max-Forwards: 70
` + more + `Content-Length: [len]

` + sdp + `]]></send>
  <recv response="100" optional="true"/>
`
}

// goesOn is a further request of the caller's.
func goesOn(seq int, method, body string, lines ...string) string {
	if body != "" {
		lines = append(lines, "Content-Type: application/sdp")
	}
	more := ""
	for _, l := range lines {
		more += l + "\n"
	}
	return fmt.Sprintf(`  <send%s><![CDATA[
%s [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+33140000001@[local_ip]>;tag=[call_number]
To: <sip:[service]@[remote_ip]>[peer_tag_param]
Call-ID: [call_id]
CSeq: %d %s
Contact: <sip:carrier@[local_ip]:[local_port]>
Max-Forwards: 70
%sContent-Length: [len]

%s]]></send>
`, map[bool]string{true: "", false: ` retrans="500"`}[method == "ACK"], method, seq, method, more, body)
}

const (
	hearsRinging = `  <recv response="180" optional="true"/>` + "\n"
	hearsAnswer  = `  <recv response="200" rrs="true"/>` + "\n"
	pause        = `  <pause milliseconds="400"/>` + "\n"
)

// What carriers do in calls that come from them.
func TestMannersOfCarriersThatCall(t *testing.T) {
	bye := func(seq int) string { return goesOn(seq, "BYE", "") + `  <recv response="200"/>` + "\n" + scenarioEnd }
	rseq := `<recv response="180" rrs="true"><action><ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" check_it="true" assign_to="rseq"/></action></recv>` + "\n"
	for _, x := range []struct {
		name, script, more string
		refused            bool
	}{
		{name: "late offer", script: begins("") + hearsRinging + strings.Replace(hearsAnswer, `rrs="true"/>`,
			`rrs="true"><action><ereg regexp="m=audio" search_in="msg" check_it="true" assign_to="sdp"/><log message="[$sdp]"/></action></recv>`, 1) +
			goesOn(1, "ACK", speech()) + pause + bye(2)},
		{name: "100rel", script: begins(speech(), "Require: 100rel") + rseq + goesOn(2, "PRACK", "", "RAck: [$rseq] 1 INVITE") + `  <recv response="200"/>` + "\n" +
			hearsAnswer + goesOn(1, "ACK", "") + pause + bye(3)},
		{name: "100rel where the trunk demands it", more: `prack = "required"`, script: begins(speech(), "Supported: 100rel") + rseq + goesOn(2, "PRACK", "", "RAck: [$rseq] 1 INVITE") +
			`  <recv response="200"/>` + "\n" + hearsAnswer + goesOn(1, "ACK", "") + pause + bye(3)},
		{name: "no 100rel where the trunk demands it", more: `prack = "required"`, refused: true, script: begins(speech()) + `  <recv response="421"/>` + "\n" + scenarioEnd},
		{name: "100rel where the trunk has it off", more: `prack = "off"`, refused: true, script: begins(speech(), "Require: 100rel") + `  <recv response="420"/>` + "\n" + scenarioEnd},
		{name: "odd but legal headers", script: strings.NewReplacer("Call-ID:", "i:", "Via:", "v :", "From: <sip:+33140000001@[local_ip]>", "f: sip:+33140000001@[local_ip]",
			"Contact: <sip:carrier@[local_ip]:[local_port]>", "m: \"A, \\\"B\\\"\" <sip:carrier@[local_ip]:[local_port];ob>;x=\"y;z\"", "Max-Forwards: 70", "MAX-forwards:070",
		).Replace(strings.Replace(begins(speech(), "k: timer,,100rel", "Subject:", "x-odd.!%*_+~:   ,;=", "Accept: */*;q=0.1, application/sdp"), "],\n", "]\n", 1)) + hearsRinging + hearsAnswer + goesOn(1, "ACK", "") + pause + bye(2)},
		{name: "a session timer of its own", script: begins(speech(), "Supported: timer", "Session-Expires: 90;refresher=uas", "Min-SE: 90") + hearsRinging +
			strings.Replace(hearsAnswer, `rrs="true"/>`, `rrs="true"><action><ereg regexp="90;refresher=uas" search_in="hdr" header="Session-Expires:" check_it="true" assign_to="se"/><log message="[$se]"/></action></recv>`, 1) +
			goesOn(1, "ACK", "") + pause + bye(2)},
		{name: "a session timer that is too short", refused: true, script: begins(speech(), "Supported: timer", "Session-Expires: 30") + `  <recv response="422"/>` + "\n" + scenarioEnd},
		{name: "SRTP over plain signalling", refused: true, script: begins(strings.Replace(speech(), "RTP/AVP", "RTP/SAVP", 1)) + `  <recv response="488"/>` + "\n" + scenarioEnd},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			host := binary.Host()
			s := open(t, plainTrunk("c", host, x.more, "accept {}")+routes("c"))
			p := desk(t, s)
			p.SetAnswer(phone.Answer{Auto: true, After: 300 * time.Millisecond})
			s.Eventually(patience, "knowing its carrier", func() bool { return s.Metrics()[`tandem_trunk_targets{state="alive",trunk="c"}`] == 1 })
			carrier := oneCall(t, host, x.script, "-s", inward, s.Addr(5060))
			if !x.refused {
				c, err := p.WaitIncoming(within(t, patience))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Wait(within(t, patience)); err != nil {
					t.Error("the call goes on:", err)
				}
			}
			carrier()
		})
	}
}

// A fax machine behind one carrier reaches one behind another, and the way back to speech.
func TestFaxFromCarrierToCarrier(t *testing.T) {
	t.Parallel()
	from, to := binary.Host(), binary.Host()
	s := open(t, plainTrunk("from", from, "accept {}")+plainTrunk("to", to)+`
route "transit" {
  from = [trunk.from]
  to   = "+33..."
  dial { trunks = [trunk.to] }
}
`)
	s.Eventually(patience, "knowing its carrier", func() bool { return s.Metrics()[`tandem_trunk_targets{state="alive",trunk="from"}`] == 1 })
	called := oneCall(t, to, scenarioNotes+says("200 OK", true)+scenarioACK+scenarioPause+
		asks(1, "INVITE", t38, "200", "m=image [0-9]+ udptl t38")+scenarioPause+asks(2, "INVITE", speech(), "200", "m=audio")+asks(3, "BYE", "", "200", "")+scenarioEnd)
	takes := func(kind, body, n string) string {
		return fmt.Sprintf(`  <recv request="INVITE"><action><ereg regexp="%[1]s" search_in="msg" check_it="true" assign_to="re%[2]s"/><log message="[$re%[2]s]"/></action></recv>
  <send retrans="500"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:carrier@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

%[3]s]]></send>
  <recv request="ACK"/>
`, kind, n, body)
	}
	caller := oneCall(t, from, begins(speech())+hearsAnswer+goesOn(1, "ACK", "")+
		takes("T38FaxRateManagement:transferredTCF", t38, "1")+takes("m=audio", speech(), "2")+`  <recv request="BYE"/>`+"\n"+scenarioOK+scenarioEnd, "-s", "+33140000002", s.Addr(5060))
	caller()
	called()
}
