package trunk

import (
	"bytes"
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"tandem/test/binary"
)

// callerScenario is a carrier that sends us calls: each is answered, lasts for half a second, and is hung up.
const callerScenario = `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="caller">
  <send retrans="500"><![CDATA[
INVITE sip:+33140000001@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+442079460055@[local_ip]>;tag=[call_number]
To: <sip:+33140000001@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:caller@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=caller 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8
a=rtpmap:8 PCMA/8000
]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="183" optional="true"/>
  <recv response="200" rrs="true" rtd="true"/>
  <send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+442079460055@[local_ip]>;tag=[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
  <pause milliseconds="500"/>
  <send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+442079460055@[local_ip]>;tag=[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
`

// TestACarrierDiesUnderLoad: calls go over three trunks while the first is killed and comes back. No call fails.
// TANDEM_SOAK=60s makes it 200 calls a second for that long.
func TestACarrierDiesUnderLoad(t *testing.T) {
	need(t, "sipp")
	rate, length := 40, 12*time.Second
	if soak, err := time.ParseDuration(os.Getenv("TANDEM_SOAK")); err == nil {
		rate, length = 200, soak
	}
	script := scenarioHead + says("200 OK", true) + scenarioTalk
	hosts := []string{binary.Host(), sipp(t, script), sipp(t, script)}
	stop := runSIPp(t, hosts[0], script)
	source := binary.Host()
	s := open(t, plainTrunk("source", source, "accept {}")+plainTrunk("a", hosts[0])+plainTrunk("b", hosts[1])+plainTrunk("c", hosts[2])+`
route "through" {
  from = [trunk.source]
  to   = "+331..."
  dial { trunks = [trunk.a, trunk.b, trunk.c] }
  failover { first_reply = "1s" }
}
`)
	dir := t.TempDir()
	file := filepath.Join(dir, "caller.xml")
	if err := os.WriteFile(file, []byte(callerScenario), 0o600); err != nil {
		t.Fatal(err)
	}
	calls := rate * int(length/time.Second)
	var log bytes.Buffer
	caller := exec.Command("sipp", "-sf", file, "-i", source, "-mi", source, "-p", "5060", "-r", strconv.Itoa(rate), "-m", strconv.Itoa(calls),
		"-nostdin", "-trace_stat", "-stf", filepath.Join(dir, "stat.csv"), "-fd", "1", "-timeout", "120s", s.Addr(5060))
	caller.Dir, caller.Stderr = dir, &log
	caller.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := caller.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- caller.Wait() }()
	attempts := func(name string) float64 {
		return s.Metrics()[`tandem_trunk_calls_answered_total{direction="out",trunk="`+name+`"}`]
	}
	s.Eventually(patience, "calls over the first", func() bool { return attempts("a") > float64(rate) })
	stop()
	s.Eventually(patience, "calls over the second", func() bool { return attempts("b") > float64(rate) })
	before := attempts("a")
	stop = runSIPp(t, hosts[0], script)
	defer stop()
	s.Eventually(patience+length, "calls over the first again", func() bool { return attempts("a") > before+1 })
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("SIPp: %v\n%s", err, log.String())
		}
	case <-time.After(2 * time.Minute):
		_ = caller.Process.Kill()
		t.Fatal("SIPp does not end")
	}
	good, bad := sippCounts(t, filepath.Join(dir, "stat.csv"))
	t.Logf("%d calls: %d good, %d failed; a %v, b %v, c %v", calls, good, bad, attempts("a"), attempts("b"), attempts("c"))
	if good != calls || bad != 0 {
		t.Errorf("%d of %d calls were good", good, calls)
	}
}

// sippCounts reads the successful and failed calls of SIPp's statistics.
func sippCounts(t testing.TB, file string) (good, bad int) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(bytes.NewReader(raw))
	r.Comma, r.FieldsPerRecord = ';', -1
	lines, err := r.ReadAll()
	if err != nil || len(lines) < 2 {
		t.Fatalf("%v: %d lines", err, len(lines))
	}
	for i, name := range lines[0] {
		n, _ := strconv.Atoi(lines[len(lines)-1][i])
		switch name {
		case "SuccessfulCall(C)":
			good = n
		case "FailedCall(C)":
			bad = n
		}
	}
	return good, bad
}
