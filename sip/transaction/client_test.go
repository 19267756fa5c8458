package transaction_test

import (
	"errors"
	"strings"
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"testing"
	"time"
)

// TestUnansweredInvite is timers A and B.
func TestUnansweredInvite(t *testing.T) {
	both(t, func(o *office) {
		o.send(o.out(), siptest.Request{Method: sip.INVITE})
		o.gone(32 * time.Second)
		want := seconds(0)
		if o.udp() {
			want = seconds(0, .5, 1.5, 3.5, 7.5, 15.5, 31.5)
		}
		equal(o.T, "INVITEs", o.peer.Times(sip.INVITE), want...)
		equal(o.T, "failures", o.failures, heard{"timeout", 32 * time.Second})
	})
}

// TestUnansweredRequest is timers E and F.
func TestUnansweredRequest(t *testing.T) {
	both(t, func(o *office) {
		o.send(o.out(), siptest.Request{Method: sip.OPTIONS})
		o.gone(32 * time.Second)
		want := seconds(0)
		if o.udp() {
			want = seconds(0, .5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)
		}
		equal(o.T, "OPTIONS", o.peer.Times(sip.OPTIONS), want...)
		equal(o.T, "failures", o.failures, heard{"timeout", 32 * time.Second})
	})
}

// TestRequestProceeding: Timer E goes on every T2 after a provisional response.
func TestRequestProceeding(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{}, func(o *office) {
		o.send(o.out(), siptest.Request{Method: sip.INFO})
		r := o.peer.Next()
		o.until(time.Second)
		o.peer.Answer(r, 100)
		o.gone(32 * time.Second)
		equal(o.T, "INFO", o.peer.Times(sip.INFO), seconds(0, .5, 1.5, 5.5, 9.5, 13.5, 17.5, 21.5, 25.5, 29.5)...)
		equal(o.T, "failures", o.failures, heard{"timeout", 32 * time.Second})
	})
}

// TestRequestAnswered is Timer K: 5 s in which repeated responses are absorbed.
func TestRequestAnswered(t *testing.T) {
	both(t, func(o *office) {
		c := o.send(o.out(), siptest.Request{Method: sip.BYE})
		r := o.peer.Next()
		o.until(time.Second)
		o.peer.Answer(r, 200)
		o.settle()
		equal(o.T, "responses", o.responses, heard{"200", time.Second})
		if c.Request().Method() != sip.BYE || c.Flow().Remote() != r.Flow.Local() {
			o.Fatal("the handle has lost its request or flow")
		}
		if !o.udp() {
			o.live(0)
			return
		}
		o.until(2 * time.Second)
		o.peer.Answer(r, 200)
		o.gone(6 * time.Second)
		o.peer.Answer(r, 200)
		o.settle()
		equal(o.T, "responses", o.responses, heard{"200", time.Second})
		equal(o.T, "strays", o.strays, 200)
		equal(o.T, "BYEs", o.peer.Times(sip.BYE), seconds(0, .5)...)
	})
}

// TestInviteRefused is Timer D and the ACK: at once for each repeated response, and for the machine only.
func TestInviteRefused(t *testing.T) {
	both(t, func(o *office) {
		o.send(o.out(), siptest.Request{Method: sip.INVITE, URI: "sip:bob@192.0.2.2;x=y", CSeq: 77,
			Lines: []string{"Route: <sip:p1.example.com;lr>", "Route: <sip:p2.example.com;lr>"}, Body: "v=0\r\n"})
		invite := o.peer.Next()
		o.peer.Answer(invite, 180)
		o.until(time.Second)
		o.peer.Answer(invite, 486)
		ack := o.peer.Next()
		o.settle()
		equal(o.T, "responses", o.responses, heard{"180", 0}, heard{"486", time.Second})
		checkAck(o.T, ack.Message, invite.Message, o.peer.Tag())
		if !o.udp() {
			o.live(0)
			return
		}
		for _, at := range seconds(1.5, 2.5, 32.9) {
			o.until(at)
			o.peer.Answer(invite, 486)
		}
		o.gone(33 * time.Second)
		equal(o.T, "ACKs", o.peer.Times(sip.ACK), seconds(1, 1.5, 2.5, 32.9)...)
		equal(o.T, "responses", o.responses, heard{"180", 0}, heard{"486", time.Second})
	})
}

// checkAck is RFC 3261 §17.1.1.3.
func checkAck(t *testing.T, ack, invite *sip.Message, toTag string) {
	t.Helper()
	for _, id := range []sip.HeaderID{sip.HeaderVia, sip.HeaderFrom, sip.HeaderCallID, sip.HeaderRoute} {
		if ack.Header(id) != invite.Header(id) {
			t.Fatalf("%s %q, the INVITE has %q", id.Name(), ack.Header(id), invite.Header(id))
		}
	}
	var routes []string
	for r := range ack.Elements(sip.HeaderRoute) {
		routes = append(routes, r)
	}
	if ack.RequestURI() != invite.RequestURI() || ack.ToTag() != toTag || len(routes) != 2 || ack.Body() != "" ||
		ack.Header(sip.HeaderCSeq) != "77 ACK" {
		t.Fatalf("ACK:\n%s", ack.Raw())
	}
}

// TestInviteAccepted is Timer M: each 2xx of a fork reaches the sink for 32 s, later ones are strays. No ACK
// is ours to send.
func TestInviteAccepted(t *testing.T) {
	both(t, func(o *office) {
		c := o.send(o.out(), siptest.Request{Method: sip.INVITE, CSeq: 5, Body: strings.Repeat("v=0\r\n", 100)})
		if m := c.Request(); m.Raw() != o.peer.Next().Raw() || len(m.Body()) != 500 {
			o.Fatalf("the handle has another request:\n%s", m.Raw())
		}
		invite := o.peer.All()[0]
		o.peer.Answer(invite, 200)
		o.until(10 * time.Second)
		if m := c.Request(); m.Header(sip.HeaderCSeq) != "5 INVITE" || m.Header(sip.HeaderContentLength) != "0" || m.Body() != "" {
			o.Fatalf("an accepted INVITE lingers:\n%s", m.Raw())
		}
		o.peer.Answer(invite, 180) // of a fork that rang too long: nobody's
		o.peer.SendText(invite.Flow, string(siptest.Response(invite.Message, 200, "fork")))
		o.gone(32 * time.Second)
		o.peer.SendText(invite.Flow, string(siptest.Response(invite.Message, 200, "late")))
		o.settle()
		equal(o.T, "responses", o.responses, heard{"200", 0}, heard{"200", 10 * time.Second})
		equal(o.T, "strays", o.strays, 200)
		equal(o.T, "sent", o.peer.Times(sip.ACK))
		equal(o.T, "failures", o.failures)
	})
}

// TestCancelWaits: a CANCEL must not overtake its INVITE (RFC 3261 §9.1).
func TestCancelWaits(t *testing.T) {
	both(t, func(o *office) {
		c := o.send(o.out(), siptest.Request{Method: sip.INVITE, CSeq: 77, Lines: []string{"Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>"}})
		invite := o.peer.Next()
		o.until(100 * time.Millisecond)
		c.Cancel(`SIP;cause=200;text="Call completed elsewhere"`)
		c.Cancel("again")
		o.until(400 * time.Millisecond)
		equal(o.T, "CANCELs before a provisional", o.peer.Times(sip.CANCEL))
		o.peer.Answer(invite, 100)
		cancel := o.peer.Next()
		if cancel.Method() != sip.CANCEL || cancel.At != 400*time.Millisecond {
			o.Fatalf("%s at %v", cancel.Method(), cancel.At)
		}
		for _, id := range []sip.HeaderID{sip.HeaderVia, sip.HeaderFrom, sip.HeaderTo, sip.HeaderCallID, sip.HeaderRoute} {
			if cancel.Header(id) != invite.Header(id) {
				o.Fatalf("%s of the CANCEL is %q", id.Name(), cancel.Header(id))
			}
		}
		if cancel.Header(sip.HeaderCSeq) != "77 CANCEL" || cancel.RequestURI() != invite.RequestURI() ||
			!strings.Contains(cancel.Header(sip.HeaderReason), "completed elsewhere") {
			o.Fatalf("CANCEL:\n%s", cancel.Raw())
		}
		o.peer.Answer(cancel, 200)
		o.peer.Answer(invite, 487)
		o.until(10 * time.Second)
		equal(o.T, "CANCELs", o.peer.Times(sip.CANCEL), 400*time.Millisecond)
		equal(o.T, "ACKs", o.peer.Times(sip.ACK), 400*time.Millisecond)
		equal(o.T, "responses", o.responses, heard{"100", 400 * time.Millisecond}, heard{"487", 400 * time.Millisecond})
		equal(o.T, "failures", o.failures)
	})
}

// TestCancelCrosses: the 200 that was on its way wins, and the CANCEL is no failure.
func TestCancelCrosses(t *testing.T) {
	both(t, func(o *office) {
		c := o.send(o.out(), siptest.Request{Method: sip.INVITE})
		invite := o.peer.Next()
		o.peer.Answer(invite, 180)
		o.settle()
		o.net.Set(siptest.Options{Latency: 50 * time.Millisecond})
		c.Cancel("")
		o.peer.Answer(invite, 200)
		cancel := o.peer.Next()
		if cancel.Has(sip.HeaderReason) {
			o.Fatal("Reason out of nothing")
		}
		o.peer.Answer(cancel, 481)
		o.until(40 * time.Second)
		equal(o.T, "responses", o.responses, heard{"180", 0}, heard{"200", 50 * time.Millisecond})
		equal(o.T, "failures", o.failures)
		o.live(0)
	})
}

// TestCancelUnanswered: 64*T1 after the CANCEL the INVITE is given up (RFC 3261 §9.1).
func TestCancelUnanswered(t *testing.T) {
	both(t, func(o *office) {
		c := o.send(o.out(), siptest.Request{Method: sip.INVITE})
		invite := o.peer.Next()
		o.peer.Answer(invite, 180)
		o.until(100 * time.Second)
		equal(o.T, "failures of a phone that rings", o.failures)
		c.Cancel("")
		o.until(132 * time.Second)
		equal(o.T, "failures", o.failures, heard{"timeout", 132 * time.Second})
		if sent := len(o.peer.Times(sip.CANCEL)); o.udp() && sent != 11 || !o.udp() && sent != 1 {
			o.Fatalf("%d CANCELs", sent)
		}
		o.live(0)
	})
}

// TestTimerC cancels an INVITE that rings too long; responses above 100 start it over.
func TestTimerC(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{TimerC: 3 * time.Minute}, func(o *office) {
		o.send(o.out(), siptest.Request{Method: sip.INVITE})
		invite := o.peer.Next()
		o.peer.Answer(invite, 100)
		o.until(time.Minute)
		o.peer.Answer(invite, 180)
		o.until(2 * time.Minute)
		o.peer.Answer(invite, 100)
		o.until(4*time.Minute + 32*time.Second)
		o.live(0)
		equal(o.T, "first CANCEL", o.peer.Times(sip.CANCEL)[:1], 4*time.Minute)
		equal(o.T, "failures", o.failures, heard{"timeout", 4*time.Minute + 32*time.Second})
	})
}

// TestConnectionBreaks: what waits on it fails at once, what waits on another does not.
func TestConnectionBreaks(t *testing.T) {
	inOffice(t, transport.TLS, transaction.Config{}, func(o *office) {
		f, other := o.out(), o.out()
		var answered []*transaction.Client
		for range 20 {
			answered = append(answered, o.send(f, siptest.Request{Method: sip.INVITE}))
			o.send(f, siptest.Request{Method: sip.OPTIONS})
		}
		for range 40 {
			if r := o.peer.Next(); r.Method() == sip.INVITE {
				o.peer.Answer(r, 200)
			}
		}
		survivor := o.send(other, siptest.Request{Method: sip.INVITE})
		o.settle()
		o.net.Break(f)
		o.settle()
		if len(o.failures) != 20 || o.failures[0].what != "transport-error" || len(o.closed) != 1 || o.closed[0] != f {
			o.Fatalf("failures %v, closed %v", o.failures, o.closed)
		}
		if answered[0].State() != transaction.Accepted || survivor.State() != transaction.Calling {
			o.Fatal("a transaction failed that did not need the connection")
		}
		if _, err := o.table.Send(f, siptest.Request{}.Bytes(f), o); !errors.Is(err, transport.ErrClosed) {
			o.Fatalf("Send on it: %v", err)
		}
		o.live(21)
		o.until(33 * time.Second)
		o.live(0)
		equal(o.T, "late failures", o.failures[20:], heard{"timeout", 32 * time.Second})
	})
}

// TestSendErrors: no transaction is left behind, and the sink hears nothing.
func TestSendErrors(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{}, func(o *office) {
		f := o.out()
		raw := siptest.Request{Method: sip.INVITE, Branch: "z9hG4bKonce"}.Bytes(f)
		if _, err := o.table.Send(f, raw, o); err != nil {
			o.Fatal(err)
		}
		cases := map[string]struct {
			flow transport.Flow
			raw  []byte
			want error
		}{
			"branch used":     {f, raw, transaction.ErrBranch},
			"no flow":         {transport.Flow{}, raw, transport.ErrClosed},
			"ACK":             {f, siptest.Request{Method: sip.ACK}.Bytes(f), transaction.ErrRequest},
			"response":        {f, []byte("SIP/2.0 200 OK\r\n\r\n"), transaction.ErrRequest},
			"no cookie":       {f, siptest.Request{Branch: "1"}.Bytes(f), transaction.ErrRequest},
			"not SIP":         {f, []byte("hello"), transaction.ErrRequest},
			"nothing":         {f, nil, transaction.ErrRequest},
			"Via unreadable":  {f, []byte("OPTIONS sip:b SIP/2.0\r\nVia: x\r\nCSeq: 1 OPTIONS\r\n\r\n"), transaction.ErrRequest},
			"branch is there": {f, siptest.Request{Branch: "z9hG4bKONCE", Method: sip.INVITE}.Bytes(f), transaction.ErrBranch},
		}
		for name, c := range cases {
			if _, err := o.table.Send(c.flow, c.raw, o); !errors.Is(err, c.want) {
				o.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		o.live(1)
		o.until(40 * time.Second)
		o.live(0)
	})
}

// TestResendFails: an error when the request is sent again ends it (RFC 3261 §17.1.4).
func TestResendFails(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{}, func(o *office) {
		link := siptest.NewDiscard(transport.UDP)
		o.send(link.Flow(), siptest.Request{Method: sip.INVITE})
		failure := errors.New("network is unreachable")
		link.Fail.Store(&failure)
		o.gone(500 * time.Millisecond)
		equal(o.T, "failures", o.failures, heard{"transport-error", 500 * time.Millisecond})
		if _, err := o.table.Send(link.Flow(), siptest.Request{}.Bytes(link.Flow()), o); err != failure {
			o.Fatalf("Send: %v", err)
		}
		o.live(0)
	})
}
