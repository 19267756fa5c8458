package browser

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"tandem/cmd/tandem/phone"
	"tandem/test/baresip"
	"tandem/test/binary"
	"tandem/test/sipp"
)

// Page and baresip over UDP, whoever calls: what baresip heard is in its recording.
func TestPageAndBaresip(t *testing.T) {
	t.Parallel()
	binary.Need(t, "baresip", "baresip")
	s := binary.Start(t, binary.Office+binary.Media+`
extension "1020" {
  password = secret("env:`+plainPassword+`")
  class    = class.office
}
route "baresip" {
  from = [class.office]
  to   = "1020"
  dial { extension = extension["1020"] }
}
`)
	b := phonePage(t, s, "1001", rawMicrophone)
	p, err := baresip.Start(within(t), baresip.Config{
		Dir: t.TempDir(), User: "1020", Password: os.Getenv(plainPassword), Domain: s.Host, Server: s.Addr(5060), Tone: phoneHz, Answer: "auto",
	})
	must(t, "baresip", err)
	t.Cleanup(func() { _ = p.Close() })
	must(t, "register", p.Registered(within(t)))
	b.dial("1020")
	b.up()
	b.hears(phoneHz)
	recording(t, s, p, 1)
	b.click("Hang up")
	b.over()
	recorded(t, s, p, 1)
	must(t, "dial", p.Dial(within(t), "sip:1001@"+s.Host))
	b.click("Answer")
	b.hears(phoneHz)
	recording(t, s, p, 2)
	must(t, "hang up", p.Hangup(within(t)))
	b.over()
	recorded(t, s, p, 2)
	s.Idle(patience)
}

// recording waits until baresip's n-th recording is two seconds long.
func recording(t *testing.T, s *binary.Switch, p *baresip.Phone, n int) {
	t.Helper()
	s.Eventually(patience, fmt.Sprintf("recording %d", n), func() bool {
		files := p.Recordings()
		if len(files) < n {
			return false
		}
		info, err := os.Stat(files[n-1])
		return err == nil && info.Size() > 2*2*8000
	})
}

// recorded waits until the n-th recording is whole, and holds the microphone of the page.
func recorded(t *testing.T, s *binary.Switch, p *baresip.Phone, n int) {
	t.Helper()
	s.Eventually(patience, fmt.Sprintf("%v Hz in recording %d", microphoneHz, n), func() bool {
		sound, err := phone.SoundOf(p.Recordings()[n-1])
		return err == nil && sound.IsTone(microphoneHz)
	})
}

// carrierScript is SIPp as a carrier that answers; what it hears it sends back.
const carrierScript = `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="carrier">
  <recv request="INVITE" crlf="true"/>
  <send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:carrier@[local_ip]:[local_port]>
Content-Length: 0

]]></send>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:carrier@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=carrier 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
]]></send>
  <recv request="ACK"/>
  <recv request="BYE"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
`

// callerScript is SIPp as a carrier that calls, and waits to be hung up.
const callerScript = `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="carrier calls">
  <send retrans="500"><![CDATA[
INVITE sip:+442079460018@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+442079460099@[local_ip]>;tag=[call_number]
To: <sip:+442079460018@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:carrier@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=carrier 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="183" optional="true"/>
  <recv response="200" rrs="true"/>
  <send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+442079460099@[local_ip]>;tag=[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
  <recv request="BYE"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
`

const carrierTrunk = `
trunk "carrier" {
  proxy     = "CARRIER:5060"
  caller_id = "+442079460000"
  accept { addresses = ["CARRIER"] }
}
route "out" {
  from = [class.office]
  to   = "+[1-9]x{6,14}"
  dial { trunks = [trunk.carrier] }
}
route "in" {
  from = [trunk.carrier]
  to   = "+442079460018"
  dial { extension = extension["1001"] }
}
`

// Page and carrier, whoever calls. The carrier sends back what it hears, so that the tone went both ways.
func TestPageAndCarrier(t *testing.T) {
	t.Parallel()
	carrier := binary.Host()
	s := binary.Start(t, strings.Replace(binary.Office, `class "office" {}`, `class "office" { countries = ["FR"] }`, 1)+
		binary.Media+strings.ReplaceAll(carrierTrunk, "CARRIER", carrier))
	b := phonePage(t, s, "1001", rawMicrophone)
	t.Run("out", func(t *testing.T) {
		sipp.Start(t, carrier, carrierScript, sipp.Echo...).Listens(patience)
		b.dial("+33140000000")
		b.up()
		b.hears(microphoneHz)
		b.click("Hang up")
		b.over()
		s.Idle(patience) // while the carrier is there to hear it
	})
	t.Run("in", func(t *testing.T) {
		sipp.Start(t, carrier, callerScript, append(sipp.Echo, "-m", "1", s.Addr(5060))...)
		b.click("Answer")
		b.up()
		b.hears(microphoneHz)
		if from := eval[string](b, `page.phone.calls[0].number`); !strings.HasSuffix(from, "442079460099") {
			t.Errorf("the page is called by %s", from)
		}
		b.click("Hang up")
		b.over()
		s.Idle(patience)
	})
}
