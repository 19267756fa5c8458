package trunk

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// What a name server of the test's own does.
const (
	answersAll = iota
	servfail
	saysNothing
)

// zone is a name server on loopback. Its records are lines of a zone file.
type zone struct {
	addr    string
	mood    atomic.Int32
	asked   atomic.Int32
	records atomic.Pointer[[]string]
}

func nameServer(t testing.TB, records ...string) *zone {
	t.Helper()
	z := &zone{addr: binary.Host() + ":5353"}
	z.records.Store(&records)
	for _, network := range []string{"udp", "tcp"} {
		up := make(chan struct{})
		s := &dns.Server{Addr: z.addr, Net: network, Handler: z, NotifyStartedFunc: func() { close(up) }}
		done := make(chan error, 1)
		go func() { done <- s.ListenAndServe() }()
		select {
		case <-up:
		case err := <-done:
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = s.Shutdown()
			<-done
		})
	}
	return z
}

func (z *zone) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	z.asked.Add(1)
	reply := new(dns.Msg).SetReply(m)
	switch z.mood.Load() {
	case servfail:
		reply.Rcode = dns.RcodeServerFailure
	case saysNothing:
		return
	default:
		for _, line := range *z.records.Load() {
			rr, err := dns.NewRR(line)
			if err == nil && strings.EqualFold(rr.Header().Name, m.Question[0].Name) && rr.Header().Rrtype == m.Question[0].Qtype {
				reply.Answer = append(reply.Answer, rr)
			}
		}
	}
	_ = w.WriteMsg(reply)
}

// carrierZone is a carrier with NAPTR, SRV and addresses, all of TTL 2: UDP at each host in turn.
func carrierZone(hosts ...string) []string {
	out := []string{
		`carrier.test. 2 IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.carrier.test.`,
		`carrier.test. 2 IN NAPTR 10 20 "s" "SIP+D2T" "" _sip._tcp.carrier.test.`,
	}
	for i, h := range hosts {
		out = append(out, fmt.Sprintf(`_sip._udp.carrier.test. 2 IN SRV %d 10 5060 sbc%d.carrier.test.`, i+1, i), fmt.Sprintf(`sbc%d.carrier.test. 2 IN A %s`, i, h))
	}
	return out
}

// named starts a switch with a trunk by name, looked up at a name server, and gives its phone.
func named(t *testing.T, z *zone, more ...string) (*binary.Switch, *phone.Phone) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the switch")
	}
	hcl := strings.Replace(binary.Office, `class "office" {}`, `class "office" { countries = ["*"] }`, 1)
	hcl = strings.Replace(hcl, `node "test" {`, `node "test" {
  name_servers = ["`+z.addr+`"]`, 1)
	s := binary.Start(t, hcl+media+numbering+plainTrunk("a", "carrier.test", more...)+routes("a"))
	return s, desk(t, s)
}

// through calls out, hangs up, and tells how long it took to be answered.
func through(t *testing.T, p *phone.Phone) (took time.Duration) {
	t.Helper()
	began := time.Now()
	c := dial(t, p, "+33140000001", phone.CallOptions{})
	if err := c.WaitAnswered(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	took = time.Since(began)
	if err := c.Hangup(within(t, patience)); err != nil {
		t.Error(err)
	}
	return took
}

// over is through, with the address that answered.
func over(t *testing.T, s *binary.Switch, p *phone.Phone) (host string, took time.Duration) {
	t.Helper()
	n := len(s.Records())
	took = through(t, p)
	attempts, _ := recordOf(t, s, n)["attempts"].([]any)
	for _, a := range attempts {
		if m := a.(map[string]any); m["status"] == 200.0 {
			host = strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(m["contact"]), "UDP "), ":5060")
		}
	}
	return host, took
}

// TestCallsGoOnWithoutNameServers: a resolver of the test's own with NAPTR, SRV and a TTL of 2 s answers, then says
// SERVFAIL, then nothing, and comes back with another address.
func TestCallsGoOnWithoutNameServers(t *testing.T) {
	t.Parallel()
	first, second := answering(t), answering(t)
	z := nameServer(t, carrierZone(first)...)
	s, p := named(t, z)
	for mood, name := range []string{"answers", "SERVFAIL", "silence"} {
		z.mood.Store(int32(mood))
		<-time.After(5500 * time.Millisecond) // what was learnt before has expired, and a server that failed is asked again
		before := z.asked.Load()
		for range 2 { // the first call waits for the name server, the next does not
			if host, took := over(t, s, p); host != first || took > 3*time.Second {
				t.Errorf("%s: answered by %s after %v", name, host, took)
			}
		}
		if z.asked.Load() == before {
			t.Errorf("%s: nobody was asked", name)
		}
	}
	moved := carrierZone(second)
	z.records.Store(&moved)
	z.mood.Store(answersAll)
	s.Eventually(patience, "at the new address", func() bool {
		host, _ := over(t, s, p)
		return host == second
	})
}

// TestADeadTargetOfSRV: the next one is tried within its time, and the dead one is no more.
func TestADeadTargetOfSRV(t *testing.T) {
	t.Parallel()
	z := nameServer(t, carrierZone(silent(t), answering(t))...)
	_, p := named(t, z)
	if took := through(t, p); took < 2*time.Second || took > 3500*time.Millisecond {
		t.Errorf("answered after %v, and a dead target has two seconds", took)
	}
	if took := through(t, p); took > 1500*time.Millisecond {
		t.Errorf("the dead target is tried again: %v", took)
	}
}
