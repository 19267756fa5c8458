package registrar

import (
	"fmt"
	"testing"

	"tandem/sip"
	"tandem/sip/digest"
)

// refreshes are n REGISTERs of one phone with one nonce.
func refreshes(tb testing.TB, n int) (*Registrar, *phone, []*sip.Message) {
	tb.Helper()
	cred := digest.NewCredential("1001", realm, "secret-1001")
	r := newTestRegistrar(Config{})
	r.accounts = cached{map[string]digest.Credential{"1001": cred}}
	r.credential = r.accounts.Credential
	p := newPhone(tb, r, "1001", udpFlow(homeAddr))
	const contact = "Contact: <sip:1001@192.0.2.100:5060;transport=udp>"
	if s := p.register(start, contact).Status(); s != 200 {
		tb.Fatal(s)
	}
	ms := make([]*sip.Message, n)
	for i := range ms {
		p.cseq++
		_, v, err := p.sess.Authorize(cred, sip.REGISTER, "sip:example.com", nil)
		if err != nil {
			tb.Fatal(err)
		}
		ms[i] = message(tb, homeAddr, "Call-ID: "+p.callID, fmt.Sprintf("CSeq: %d REGISTER", p.cseq), contact, "Expires: 3600",
			"User-Agent: Some Phone T46S 66.86.0.15", "Supported: path", "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE", "Authorization: "+v)
	}
	return r, p, ms
}

func BenchmarkReceiveRefresh(b *testing.B) {
	const n = 1 << 15
	r, p, ms := refreshes(b, n)
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i > 0 && i%n == 0 { // the counts are used up
			b.StopTimer()
			r, p, ms = refreshes(b, n)
			b.StartTimer()
		}
		buf = r.AppendReceive(buf[:0], start, p.flow, ms[i%n])
		if string(buf[:11]) != "SIP/2.0 200" {
			b.Fatalf("%s", buf)
		}
	}
}

func BenchmarkReceiveChallenge(b *testing.B) {
	r := newTestRegistrar(Config{})
	f, m := udpFlow(homeAddr), message(b, homeAddr, "Contact: <sip:1001@192.0.2.100>")
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendReceive(buf[:0], start, f, m)
	}
}

func BenchmarkLookup(b *testing.B) {
	r, _, _ := refreshes(b, 1)
	list := make([]Binding, 0, 4)
	b.ReportAllocs()
	for b.Loop() {
		list = r.Store().AppendLookup(list[:0], "1001", start)
	}
}

// A refresh that says what the last one said makes no garbage.
func TestAllocations(t *testing.T) {
	r, p, ms := refreshes(t, 1001)
	buf := make([]byte, 0, 4096)
	i := 0
	if n := testing.AllocsPerRun(1000, func() { buf = r.AppendReceive(buf[:0], start, p.flow, ms[i]); i++ }); n > 0 {
		t.Errorf("a refresh: %v allocations", n)
	}
	if s := r.Stats(); s.Accepted != 1002 {
		t.Fatalf("%+v", s)
	}
	bare := message(t, homeAddr, "Contact: <sip:1001@192.0.2.100>")
	if n := testing.AllocsPerRun(1000, func() { buf = r.AppendReceive(buf[:0], start, p.flow, bare) }); n > 1 { // one under the race detector
		t.Errorf("a challenge: %v allocations", n)
	}
}
