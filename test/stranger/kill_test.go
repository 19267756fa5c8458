package stranger

import (
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// A stage is how far a call has come when one of its phones dies. reach takes it there, with media where there is
// any; victim is the one that dies there.
type stage struct {
	name  string
	reach func(c *talk, alice, bob *wire.Phone)
}

// callerStages are those at which the caller dies, calleeStages the callee.
var callerStages = []stage{
	{"after INVITE", func(c *talk, alice, bob *wire.Phone) { c.a = alice.Invite(bob.User, c.am.SDP()) }},
	{"after 100", func(c *talk, alice, bob *wire.Phone) {
		c.a = alice.Invite(bob.User, c.am.SDP())
		c.a.Provisional(100)
	}},
	{"ringing", func(c *talk, alice, bob *wire.Phone) { c.place(alice, bob) }},
	{"after 200 before ACK", func(c *talk, alice, bob *wire.Phone) {
		c.place(alice, bob)
		c.b.Respond(200, c.bm.Answer(c.b.Asked.Body))
		c.a.Final(5 * time.Second)
	}},
	{"in call", func(c *talk, alice, bob *wire.Phone) { c.place(alice, bob); c.answer() }},
	{"while its re-INVITE pends", func(c *talk, alice, bob *wire.Phone) {
		c.place(alice, bob)
		c.answer()
		alice.Send(alice.Text(c.a.Next("INVITE", c.am.SDP("sendonly"))))
	}},
	{"after BYE", func(c *talk, alice, bob *wire.Phone) {
		c.place(alice, bob)
		c.answer()
		alice.Send(alice.Text(c.a.Next("BYE", "")))
	}},
	{"after CANCEL", func(c *talk, alice, bob *wire.Phone) {
		c.place(alice, bob)
		c.a.Cancel()
	}},
}

var calleeStages = []stage{
	{"after INVITE", func(c *talk, alice, bob *wire.Phone) {
		c.a = alice.Invite(bob.User, c.am.SDP())
		c.b = bob.Rung()
	}},
	{"after 100", func(c *talk, alice, bob *wire.Phone) {
		c.a = alice.Invite(bob.User, c.am.SDP())
		c.b = bob.Rung()
		c.b.Respond(100, "")
	}},
	{"ringing", func(c *talk, alice, bob *wire.Phone) { c.place(alice, bob) }},
	{"after 200 before ACK", func(c *talk, alice, bob *wire.Phone) {
		c.place(alice, bob)
		c.b.Respond(200, c.bm.Answer(c.b.Asked.Body))
	}},
	{"in call", func(c *talk, alice, bob *wire.Phone) { c.place(alice, bob); c.answer() }},
	{"while a re-INVITE pends", func(c *talk, alice, bob *wire.Phone) {
		c.place(alice, bob)
		c.answer()
		alice.Send(alice.Text(c.a.Next("INVITE", c.am.SDP("sendonly"))))
		bob.Request(5*time.Second, "INVITE")
	}},
	{"after BYE", func(c *talk, alice, bob *wire.Phone) {
		c.place(alice, bob)
		c.answer()
		bob.Send(bob.Text(c.b.Next("BYE", "")))
	}},
}

// shortRing is an office where nobody rings for long.
func shortRing(t testing.TB) *office {
	t.Helper()
	return &office{binary.Start(t, swap(t, binary.Office, `timeout   = "20s"`, `timeout   = "3s"`)+media), t}
}

// Killing one phone in the middle of a call, at every stage of it, leaves no port, transaction, dialog or goroutine
// behind. Over UDP it just falls silent; over TCP its connection is reset. The other phone lives and answers what it
// is asked. Timers are RFC 3261's: a BYE to the dead takes 32 s to fail, and so does a question whether it lives.
func TestKilledPhone(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"UDP", "TCP"} {
		for _, s := range callerStages {
			t.Run("caller "+s.name+" over "+proto, func(t *testing.T) { t.Parallel(); kill(t, proto, s, true, false) })
		}
		for _, s := range calleeStages {
			t.Run("callee "+s.name+" over "+proto, func(t *testing.T) { t.Parallel(); kill(t, proto, s, false, false) })
		}
	}
	// The survivor goes on talking to the dead.
	for _, caller := range []bool{true, false} {
		who := map[bool]string{true: "caller", false: "callee"}[caller]
		t.Run(who+" of one that talks on", func(t *testing.T) { t.Parallel(); kill(t, "UDP", callerStages[4], caller, true) })
	}
}

func kill(t *testing.T, proto string, s stage, caller, talks bool) {
	if testing.Short() {
		t.Skip("waits for timers of half a minute: run without -short")
	}
	o := shortRing(t)
	alice, bob := o.over(proto, "1001"), o.over(proto, "1002")
	before := o.Metrics()
	c := prepare(t, alice, bob)
	s.reach(c, alice, bob)
	victim, survivor, theirs, mine := alice, bob, c.am, c.bm
	if !caller {
		victim, survivor, theirs, mine = bob, alice, c.bm, c.am
	}
	theirs.Stop()
	if proto == "TCP" {
		victim.Reset()
	} else {
		victim.Die()
	}
	if !talks {
		mine.Stop()
	}
	stop := survive(survivor, c)
	defer stop()
	// A switch that has not read the INVITE yet is idle too.
	o.Eventually(10*time.Second, "the call in the log", func() bool { return strings.Contains(o.Log(), "call started") })
	o.Idle(80 * time.Second)
	o.Clean(40 * time.Second)
	o.Eventually(5*time.Second, "as few goroutines as before", func() bool {
		return o.Metrics()["go_goroutines"] <= before["go_goroutines"]+2 // one for each of two idle HTTP connections
	})
	if all := o.Records(); len(all) != 1 {
		t.Errorf("%d call records: %v", len(all), all)
	}
	stop()
	ping(t, survivor)
}

// survive has a phone answer whatever it is asked, in a goroutine of its own until stop: it takes the call where it
// still rings, as long as it is not cancelled.
func survive(p *wire.Phone, c *talk) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	var invite *wire.Call
	if c.b != nil && c.b.Phone == p {
		invite = c.b
	}
	go func() {
		defer close(done)
		for {
			m, ok := p.Poll(100*time.Millisecond, func(m wire.Message) bool { return true })
			select {
			case <-quit:
				return
			default:
			}
			switch {
			case !ok:
			case m.Method() == "INVITE" && strings.Contains(m.Get("to"), "tag="):
				p.Reply(m, 200, wire.Reply{Contact: p.Contact(), Body: c.bm.Answer(m.Body)})
			case m.Method() == "INVITE":
				invite = &wire.Call{Phone: p, Asked: m, Tag: wire.Token()}
				invite.Respond(180, "")
				invite.Respond(200, c.bm.Answer(m.Body))
			case m.Method() == "CANCEL":
				p.Reply(m, 200, wire.Reply{})
				if invite != nil {
					invite.Respond(487, "")
				}
			case m.Method() != "" && m.Method() != "ACK":
				p.Reply(m, 200, wire.Reply{Contact: p.Contact()})
			case m.Status() >= 300 && c.a != nil && m.Get("call-id") == c.a.ID && c.a.Phone == p:
				c.a.Acknowledge(m)
			case m.Status() >= 200 && c.a != nil && m.Get("call-id") == c.a.ID && c.a.Phone == p && strings.HasSuffix(m.Get("cseq"), "INVITE"):
				c.a.AckTo(m)
			}
		}
	}()
	return func() {
		select {
		case <-quit:
		default:
			close(quit)
		}
		<-done
	}
}
