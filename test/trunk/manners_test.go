package trunk

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
	"tandem/test/sipp"
)

// Parts of scenarios in which the carrier asks something inside the dialog.
const (
	// scenarioNotes takes an INVITE and notes what later requests are made of.
	scenarioNotes = `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="carrier">
  <recv request="INVITE" crlf="true"><action>
    <ereg regexp=".*" search_in="hdr" header="From:" assign_to="caller"/>
    <ereg regexp="sip:[^>]*" search_in="hdr" header="To:" assign_to="called"/>
    <ereg regexp="sip:[^>]*" search_in="hdr" header="Contact:" assign_to="contact"/>
    <ereg regexp=".*" search_in="hdr" header="Via:" assign_to="via"/>
    <ereg regexp=".*" search_in="hdr" header="CSeq:" assign_to="cseq"/>
  </action></recv>
  <Reference variables="caller,called,contact,via,cseq"/>
`
	scenarioACK = "  <recv request=\"ACK\"/>\n"
	scenarioEnd = "</scenario>\n"
	// scenarioPause lets the caller acknowledge the answer: before that, a re-INVITE is too early (491).
	scenarioPause = "  <pause milliseconds=\"400\"/>\n"
)

// asks is a request of the carrier's inside the dialog, and the answer that it must get. must: a regular expression of it.
func asks(seq int, method, body, status, must string, lines ...string) string {
	if body != "" {
		lines = append(lines, "Content-Type: application/sdp")
	}
	more := ""
	for _, l := range lines {
		more += l + "\n"
	}
	check := ""
	if must != "" {
		check = fmt.Sprintf(`<action><ereg regexp="%s" search_in="msg" check_it="true" assign_to="seen%d"/><log message="[$seen%d]"/></action>`, must, seq, seq)
	}
	text := fmt.Sprintf(`  <send retrans="500"><![CDATA[
%[1]s [$contact] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <[$called]>;tag=[call_number]
To: [$caller]
Call-ID: [call_id]
CSeq: %[2]d %[1]s
Contact: <sip:carrier@[local_ip]:[local_port]>
Max-Forwards: 70
%[3]sContent-Length: [len]

%[4]s]]></send>
  <recv response="100" optional="true"/>
  <recv response="%[5]s">%[6]s</recv>
`, method, seq, more, body, status, check)
	if method != "INVITE" {
		return text
	}
	via := "[last_Via:]" // the ACK of a refusal belongs to its INVITE
	if status == "200" {
		via = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]"
	}
	return text + fmt.Sprintf(`  <send><![CDATA[
ACK [$contact] SIP/2.0
%s
From: <[$called]>;tag=[call_number]
To: [$caller]
Call-ID: [call_id]
CSeq: %d ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
`, via, seq)
}

// speech is the session description of a carrier, with further lines.
func speech(lines ...string) string {
	return "v=0\no=carrier 1 2 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\n" +
		"m=audio [media_port] RTP/AVP 8 101\na=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\n" + strings.Join(append(lines, ""), "\n")
}

// t38 is that of its fax machine.
const t38 = "v=0\no=carrier 1 3 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\n" +
	"m=image [media_port] udptl t38\na=T38FaxVersion:0\na=T38MaxBitRate:14400\na=T38FaxRateManagement:transferredTCF\na=T38FaxUdpEC:t38UDPRedundancy\n"

// oneCall starts SIPp for one call; what it gives waits for the end, and fails the test where a step was not as written.
func oneCall(t *testing.T, host, script string, args ...string) (wait func()) {
	t.Helper()
	r := sipp.Start(t, host, script, slices.Concat(sipp.Echo, sipp.Once, sipp.Trace, args)...).Listens(patience)
	return func() {
		t.Helper()
		if err := r.Wait(time.Minute); err != nil {
			t.Errorf("the carrier's script: %v", err)
		}
	}
}

// What carriers do in calls that go out to them.
func TestMannersOfCarriersThatAreCalled(t *testing.T) {
	// later is what answers the INVITE when other requests have come in between.
	later := func(text string) string {
		return strings.NewReplacer("[last_Via:]", "Via: [$via]", "[last_From:]", "From: [$caller]", "[last_To:]", "To: <[$called]>", "[last_CSeq:]", "CSeq: [$cseq]").Replace(text)
	}
	reliably := func(status string, sdp bool, rseq int) string {
		return later(says(status, sdp, "Require: 100rel", fmt.Sprintf("RSeq: %d", rseq))) +
			fmt.Sprintf(`  <recv request="PRACK"><action><ereg regexp="%[1]d 1 INVITE" search_in="hdr" header="RAck:" check_it="true" assign_to="rack%[1]d"/><log message="[$rack%[1]d]"/></action></recv>`+"\n", rseq) + scenarioOK
	}
	odd := `  <send><![CDATA[
SIP/2.0 200 Fine, thank you; really
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
m : "Odd, but \"legal\"" <sip:carrier@[local_ip]:[local_port];transport=[transport];x-odd>;q=0.5;expires=60;+sip.instance="<urn:uuid:1>"
k:  timer ,  100rel
ALLOW: INVITE,ACK ,	BYE
X-Odd.!%*_+~: ;
Warning: 399 carrier "a; b, c"
c: application/sdp ; charset="utf-8"
l: [len]

` + speech("a=ptime:30", "a=unknown", "a=fmtp:101 0-15") + `]]></send>
`
	full := scenarioNotes + says("180 Ringing", false) + says("200 OK", true) + scenarioACK + scenarioPause
	for i, x := range []struct {
		name, script, more string
		ends               bool // the carrier hangs up
		cause              float64
	}{
		{name: "183 without a description, then with one", script: scenarioHead + says("183 Session Progress", false) + says("183 Session Progress", true) + says("200 OK", true) + scenarioTalk},
		{name: "a description in 180 only", script: scenarioHead + says("180 Ringing", true) + says("200 OK", true) + scenarioTalk},
		{name: "100rel", script: scenarioNotes + reliably("183 Session Progress", true, 100) + reliably("180 Ringing", false, 101) + later(says("200 OK", true)) + scenarioTalk},
		{name: "100rel is demanded by us", more: `prack = "required"`, script: strings.Replace(scenarioNotes, `<action>`,
			`<action><ereg regexp="100rel" search_in="hdr" header="Require:" check_it="true" assign_to="r"/><log message="[$r]"/>`, 1) +
			reliably("180 Ringing", false, 7) + later(says("200 OK", true)) + scenarioTalk},
		{name: "a longer session timer", script: scenarioHead + says("422 Session Interval Too Small", false, "Min-SE: 3600") + scenarioACK +
			`  <recv request="INVITE"><action><ereg regexp="3600" search_in="hdr" header="Session-Expires:" check_it="true" assign_to="se"/><log message="[$se]"/></action></recv>` + "\n" +
			says("200 OK", true, "Require: timer", "Session-Expires: 3600;refresher=uac") + scenarioTalk},
		{name: "hold and resume by re-INVITE", ends: true, script: full + asks(1, "INVITE", speech("a=sendonly"), "200", "a=recvonly") + asks(2, "INVITE", speech(), "200", "a=sendrecv") + asks(3, "BYE", "", "200", "") + scenarioEnd},
		{name: "an old hold", ends: true, script: full + asks(1, "INVITE", strings.Replace(speech(), "[media_ip]", "0.0.0.0", 1), "200", "") + asks(2, "INVITE", speech(), "200", "a=sendrecv") + asks(3, "BYE", "", "200", "") + scenarioEnd},
		{name: "a re-INVITE without a description", ends: true, script: full + strings.Replace(asks(1, "INVITE", "", "200", "m=audio"), "CSeq: 1 ACK\nMax-Forwards: 70\nContent-Length: 0\n\n]]>",
			"CSeq: 1 ACK\nMax-Forwards: 70\nContent-Type: application/sdp\nContent-Length: [len]\n\n"+speech()+"]]>", 1) + asks(3, "BYE", "", "200", "") + scenarioEnd},
		{name: "REFER", ends: true, script: full + asks(1, "REFER", "", "405", "", "Refer-To: <sip:+882123456@carrier.test>") + asks(3, "BYE", "", "200", "") + scenarioEnd},
		{name: "fax, which a phone does not take", ends: true, script: full + asks(1, "INVITE", t38, "488", "") + asks(3, "BYE", "", "200", "") + scenarioEnd},
		{name: "UPDATE and OPTIONS", ends: true, script: full + asks(1, "OPTIONS", "", "200", "") + asks(2, "UPDATE", "", "200", "") + asks(3, "BYE", "", "200", "") + scenarioEnd},
		{name: "odd but legal headers", script: scenarioHead + says("180 Ringing", false) + odd + scenarioTalk},
		{name: "BYE with Reason", ends: true, cause: 31, script: full + asks(1, "BYE", "", "200", "", `Reason: SIP ;cause=200 ;text="a, b", Q.850;cause=31;text="Normal, unspecified"`) + scenarioEnd},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			host := binary.Host()
			carrier := oneCall(t, host, x.script)
			s := open(t, plainTrunk("c", host, x.more, "accept {}", `codecs = ["PCMA"]`)+routes("c"))
			p := desk(t, s)
			call := dial(t, p, fmt.Sprintf("+3314000%04d", i), phone.CallOptions{Play: "tone:440"})
			if err := call.WaitAnswered(within(t, patience)); err != nil {
				t.Fatal(err, call.Report().Status)
			}
			if x.ends {
				if _, err := call.Wait(within(t, patience)); err != nil {
					t.Error("the call goes on:", err)
				}
			} else {
				if _, err := call.WaitTone(within(t, patience), 440); err != nil { // SIPp sends back what it hears
					t.Error("nothing is heard:", err)
				}
				if err := call.Hangup(within(t, patience)); err != nil {
					t.Error(err)
				}
			}
			carrier()
			if r := recordOf(t, s, 0); x.cause != 0 && r["cause"] != x.cause {
				t.Error("cause:", r["cause"])
			}
		})
	}
}
