package trunk

import (
	"fmt"
	"strings"
	"testing"

	"tandem/test/binary"
	"tandem/test/sipp"
)

// Parts of SIPp scenarios: what a carrier receives and says.
const (
	scenarioHead = `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="carrier">
  <recv request="INVITE" crlf="true"/>
`
	scenarioAck = `  <recv request="ACK" optional="true" timeout="3000" ontimeout="over"/>
  <label id="over"/>
</scenario>
`
	scenarioTalk = `  <recv request="ACK"/>
  <recv request="BYE"/>
` + scenarioOK + `</scenario>
`
	scenarioOK = `  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
`
)

// says is a response of a scenario; sdp adds a session description of one PCMA stream, lines further headers.
func says(status string, sdp bool, lines ...string) string {
	body := ""
	if sdp {
		body = `v=0
o=carrier 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
`
		lines = append(lines, "Content-Type: application/sdp")
	}
	more := ""
	for _, l := range lines {
		more += l + "\n"
	}
	return fmt.Sprintf(`  <send><![CDATA[
SIP/2.0 %s
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:carrier@[local_ip]:[local_port];transport=[transport]>
%sContent-Length: [len]

%s]]></send>
`, status, more, body)
}

// following starts a carrier with a script, at an address of its own; it sends back the audio that it hears.
func following(t testing.TB, script string) (host string) {
	t.Helper()
	host = binary.Host()
	carrierAt(t, host, script)
	return host
}

// carrierAt starts a carrier at an address. It ends with the test, or by what is returned.
func carrierAt(t testing.TB, host, script string) (stop func()) {
	t.Helper()
	return sipp.Start(t, host, script, append(sipp.Echo, "-m", "100000")...).Listens(patience).Stop
}

// answering is a carrier that rings, answers and sends back what it hears.
func answering(t testing.TB) string {
	return following(t, scenarioHead+says("180 Ringing", false)+says("200 OK", true)+scenarioTalk)
}

// failing is a carrier that says one thing and nothing else.
func failing(t testing.TB, status string, lines ...string) string {
	return following(t, scenarioHead+says(status, false, lines...)+scenarioAck)
}

// plainTrunk is a trunk known by its address.
func plainTrunk(name, proxy string, more ...string) string {
	return fmt.Sprintf(`
trunk "%s" {
  proxy     = "%s"
  caller_id = "+442079460000"
  %s
}
`, name, proxy, strings.Join(more, "\n  "))
}
