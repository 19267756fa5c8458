package transaction_test

import (
	"net/netip"
	"strconv"
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"testing"
	"time"
)

// TestOrder: 2000 messages sent at once reach the user in the order of the wire, as do 2000 responses.
func TestOrder(t *testing.T) {
	both(t, func(o *office) {
		const n = 2000
		f := o.in()
		for i := range n {
			o.peer.Send(f, siptest.Request{Method: sip.MESSAGE, CSeq: i + 1})
		}
		o.tx(n - 1)
		for i, tx := range o.requests {
			if seq, _, _ := tx.Request().CSeq(); int(seq) != i+1 {
				t.Fatalf("request %d has CSeq %d", i, seq)
			}
		}
		out := o.out()
		o.send(out, siptest.Request{Method: sip.INVITE})
		invite := o.peer.Next()
		for i := range n {
			o.peer.Answer(invite, 101+i%99)
		}
		o.settle()
		for i, r := range o.responses {
			if r.what != strconv.Itoa(101+i%99) {
				t.Fatalf("response %d is %s", i, r.what)
			}
		}
		if len(o.responses) != n {
			t.Fatalf("%d responses", len(o.responses))
		}
	})
}

// TestStateless: what the user has answered leaves no transaction; ACK and CANCEL are not asked about.
func TestStateless(t *testing.T) {
	both(t, func(o *office) {
		var asked []string
		o.stateless = func(f transport.Flow, m *sip.Message) bool {
			asked = append(asked, m.Method())
			return m.Method() == sip.REGISTER && f.Send(siptest.Response(m, 401, "x")) == nil
		}
		f := o.in()
		for _, method := range []string{sip.REGISTER, sip.INVITE, sip.ACK, sip.CANCEL, sip.INVITE} {
			o.peer.Send(f, siptest.Request{Method: method, Branch: "z9hG4bK1"})
		}
		o.peer.SendText(f, "OPTIONS sip:x SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n") // no Via: the user may know an answer
		o.settle()
		equal(o.T, "asked", asked, sip.REGISTER, sip.INVITE, sip.OPTIONS)
		equal(o.T, "answers", o.peer.Times("401"), 0)
		o.tx(0)
		o.live(1)
	})
}

// TestFull: beyond Max a new request gets a 503 that costs nothing; calls in progress go on a little further.
func TestFull(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{Max: 80}, func(o *office) {
		f := o.in()
		for i := range 90 {
			o.peer.Send(f, siptest.Request{Method: sip.INVITE, CallID: strconv.Itoa(i), Branch: "z9hG4bK" + strconv.Itoa(i)})
		}
		o.live(80)
		refused := 0
		for _, r := range o.peer.All() {
			if after, _ := r.Seconds(sip.HeaderRetryAfter); r.Status() == 503 && after >= 4 && after <= 11 && r.ToTag() != "" {
				refused++
			}
		}
		if refused != 10 || o.table.Stats().Refused != 10 {
			t.Fatalf("%d refused", refused)
		}
		for i := range 20 {
			o.peer.Send(f, siptest.Request{Method: sip.BYE, ToTag: "dialog", CSeq: i + 2})
		}
		o.live(90)
		if _, err := o.table.Send(o.out(), siptest.Request{}.Bytes(f), o); err != transaction.ErrFull {
			t.Fatalf("Send: %v", err)
		}
		o.respond(o.tx(0), 486)
		o.peer.Send(f, siptest.Request{Method: sip.ACK, Branch: "z9hG4bK0", ToTag: "office"})
		o.until(33 * time.Second) // the 486 and the ten BYEs have gone
		o.live(79)
		o.peer.Send(f, siptest.Request{Method: sip.INVITE, CallID: "new"})
		o.live(80)
	})
}

// TestPanics: one in the user ends that message, answered 500, and nothing else.
func TestPanics(t *testing.T) {
	both(t, func(o *office) {
		o.stateless = func(_ transport.Flow, m *sip.Message) bool {
			if m.Method() == sip.OPTIONS {
				panic("stateless")
			}
			return false
		}
		o.request = func(_ *transaction.Server, m *sip.Message) { panic("request") }
		f := o.in()
		for i, method := range []string{sip.OPTIONS, sip.MESSAGE, sip.INVITE} {
			o.peer.Send(f, siptest.Request{Method: method, CSeq: i + 1})
			if r := o.peer.Next(); r.Status() != 500 || r.ToTag() == "" || r.CSeqMethod() != method {
				t.Fatalf("%s: %d", method, r.Status())
			}
		}
		if _, err := o.table.Send(o.out(), siptest.Request{Method: sip.MESSAGE, Branch: "z9hG4bKp"}.Bytes(o.out()), panics{}); err != nil {
			t.Fatal(err)
		}
		r := o.peer.Next()
		o.peer.Answer(r, 100)
		o.peer.Answer(r, 200)
		o.settle()
		if n := o.table.Stats().Panics; n != 5 {
			t.Fatalf("%d panics counted", n)
		}
		o.request = nil
		o.peer.Send(f, siptest.Request{Method: sip.MESSAGE, CSeq: 9})
		o.tx(2)
		o.until(time.Minute)
		o.live(0)
	})
}

type panics struct{}

func (panics) Response(*transaction.Client, *sip.Message)      { panic("response") }
func (panics) Failed(*transaction.Client, transaction.Failure) { panic("failed") }

func parse(t testing.TB, raw []byte) *sip.Message {
	t.Helper()
	m := new(sip.Message)
	if err := m.Parse(string(raw)); err != nil {
		t.Fatal(err)
	}
	m.Source = netip.MustParseAddrPort(peerAddr)
	return m
}
