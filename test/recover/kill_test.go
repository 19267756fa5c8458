package recover

import (
	"testing"
	"time"

	"tandem/test/wire"
)

// ends are the ways in which a process may end.
var ends = map[string]func(o *office){
	"kill -9": func(o *office) { o.Kill() },
	"SIGTERM": func(o *office) { o.Leave() },
}

// A call goes on after its switch was killed and started again, or stopped and started: media both ways, hold and BYE by either side, no
// registration lost, one record.
func TestCallSurvives(t *testing.T) {
	for name, end := range ends {
		for who, callee := range map[string]bool{"caller": false, "callee": true} {
			t.Run(name+", "+who, func(t *testing.T) {
				t.Parallel()
				o := open(t)
				alice, bob := o.phone("UDP", "1001"), o.phone("UDP", "1002")
				c := connect(t, alice, bob, 0)
				end(o)
				died := time.Now()
				o.Again()
				t.Logf("ready %v after the end", time.Since(died).Round(time.Millisecond))
				c.goesOn()
				if m := o.Metrics(); m["tandem_calls"] != 1 || m["tandem_registrations"] != 2 {
					t.Errorf("%v calls and %v registrations", m["tandem_calls"], m["tandem_registrations"])
				}
				from, to, fm, tm := c.a, c.b, c.am, c.bm
				if callee {
					from, to, fm, tm = c.b, c.a, c.bm, c.am
				}
				c.hold(from, to, fm, tm)
				c.goesOn()
				c.hold(to, from, tm, fm)
				c.goesOn()
				c.pure()
				c.bye(from, to)
				o.Idle(5 * time.Second)
				if all := o.Records(); len(all) != 1 || all[0]["answered"] == nil {
					t.Errorf("records %v", all)
				}
				d := connect(t, bob, alice, 0) // nobody had to register again
				d.bye(d.a, d.b)
				o.Idle(5 * time.Second)
			})
		}
	}
}

// SRTP with a rollover counter goes on around the wrap of the sequence numbers: nothing that the phone hears fails.
func TestEncryptedCallSurvivesAroundTheWrap(t *testing.T) {
	for name, first := range map[string]uint32{"just before": 65536 - 60, "just after": 65536 - 10, "while away": 65536 - 25} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			alice, bob := o.phone("TLS", "1001"), o.phone("TLS", "1002")
			c := connect(t, alice, bob, first)
			o.Kill()
			o.Again()
			c.goesOn()
			o.Kill()
			o.Again()
			c.goesOn()
			c.goesOn()
			c.pure()
			// Their connections are gone. Both come back, and the call is theirs.
			a, b := again(o, alice), again(o, bob)
			c.a.Phone, c.b.Phone = a, b
			c.bye(c.a, c.b)
			o.Idle(5 * time.Second)
			if all := o.Records(); len(all) != 1 {
				t.Errorf("records %v", all)
			}
		})
	}
}

// again is a phone whose connection was cut, at the same address, with a new one.
func again(o *office, p *wire.Phone) *wire.Phone {
	o.t.Helper()
	n := wire.NewPhone(o.line(p.Proto, p.Local.Addr().String()), p.User, p.Password)
	n.Register()
	return n
}

// The switch speaks with the caller itself: the echo goes on.
func TestEchoSurvives(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice := o.phone("UDP", "1001")
	m := wire.NewMedia(t, alice.Local.Addr().String(), "ALIC")
	call := alice.Invite("9196", m.SDP())
	answer := call.Final(5 * time.Second)
	call.Ack()
	m.Start(t, answer.Body)
	hear := func() {
		t.Helper()
		before, _ := m.Heard("ALIC")
		eventually(t, 5*time.Second, "echo", func() bool { n, _ := m.Heard("ALIC"); return n > before+20 })
	}
	hear()
	o.Kill()
	o.Again()
	hear()
	call.Bye()
	o.Idle(5 * time.Second)
}
