package call

import (
	"strconv"
	"testing"

	"tandem/media"
	"tandem/sip"
	"tandem/sip/transport"
)

// A draining switch takes no new call and leaves the others alone.
func TestDrain(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		o.board.Drain(true)
		d := alice.invites("1002", "offer")
		r := d.hears("503")
		if after, _ := r.Seconds(sip.HeaderRetryAfter); after < 10 || after > 20 || !o.board.Draining() {
			o.Errorf("503 with Retry-After %q", r.Header(sip.HeaderRetryAfter))
		}
		if !o.board.Busy("1001") || !o.board.Busy("1002") || o.board.Busy("1003") {
			o.Error("who is in a call is not known")
		}
		a.asks(sip.OPTIONS, "")
		a.phone.hears("200 OPTIONS")
		o.board.Drain(false)
		d = alice.invites("555", "offer")
		d.hears("404")
		o.hangsUp(a, b)
	})
}

func TestFullSwitch(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		d := o.phone(transport.UDP, "1003", 3).invites("1002", "offer")
		d.hears("503")
		if n := o.board.Stats().Refused.Load(); n != 1 {
			o.Errorf("%d refused", n)
		}
		o.hangsUp(a, b)
		c, d2 := o.talk(a.phone, b.phone)
		o.hangsUp(c, d2)
	}, func(cfg *Config, _ *Settings) { cfg.MaxCalls = 1 })
}

// Without ports for the caller, or for every callee, it is our own 503.
func TestNoPorts(t *testing.T) {
	for leg, why := range map[string]error{"a": media.ErrNoPorts, "b1": media.ErrNoPorts} {
		t.Run(leg, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice := o.alice()
				o.bob()
				o.media.full = func(l string) bool { return l == leg }
				d := alice.invites("1002", "offer")
				if r := d.hears("503"); !r.Has(sip.HeaderRetryAfter) {
					o.Errorf("no Retry-After for %v", why)
				}
				if r := o.record(); r.EndedBy != "switch" || r.Status != 503 {
					o.Errorf("record %+v", r)
				}
			})
		})
	}
}

// The class's limit counts calls of both directions, of callers and of callees, and only those in progress.
func TestMaxCalls(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob, dave := o.alice(), o.bob(), o.registered("1004", 4)
		a1, d1 := o.talk(alice, dave)
		a2, d2 := o.talk(alice, dave) // 1004 has no limit
		d := alice.invites("1004", "offer")
		d.hears("403") // Alice's third
		alice.register("")
		d = dave.invites("1001", "offer")
		d.hears("486")
		o.leaves(a1, d1)
		b1, a3 := o.talk(bob, alice) // now it is her second again
		d = dave.invites("1001", "offer")
		if r := d.hears("486"); r.Cause() != sip.CauseBusy {
			o.Errorf("cause %d", r.Cause())
		}
		o.leaves(d2, a2)
		o.hangsUp(b1, a3)
	})
}

// What a limit counted is free when the call begins to end, though a dead phone has not answered its BYE.
func TestLimitIsFreeAtOnce(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a1, _ := o.talk(alice, bob)
		a2, _ := o.talk(alice, bob)
		bob.Close()
		bob.deaf = true
		for _, a := range []*dialogue{a1, a2} {
			a.asks(sip.BYE, "")
			a.phone.hears("200 BYE")
		}
		o.settle()
		if o.board.Live() != 2 || len(o.board.busy) != 0 {
			o.Errorf("%d calls, limits count %v", o.board.Live(), o.board.busy)
		}
		carol := o.registered("1003", 3)
		a, c := o.talk(alice, carol)
		o.leaves(a, c)
		o.pass(32 * 1e9)
	})
}

// No call rings more contacts at once than it may (F4).
func TestMaxBranches(t *testing.T) {
	inOffice(t, func(o *office) {
		alice := o.alice()
		var phones []*phone
		for i := range 5 {
			phones = append(phones, o.registered("1002", 10+i))
		}
		a := alice.invites("1002", "offer")
		for i, p := range phones {
			if i >= 3 {
				p.hearsNothing(0)
				continue
			}
			b := p.rung()
			b.says(480, "")
			p.hears(sip.ACK)
		}
		a.hears("480")
	}, func(cfg *Config, _ *Settings) { cfg.MaxBranches = 3 })
}

// A call to oneself rings one's own phone and counts once.
func TestCallToOneself(t *testing.T) {
	inOffice(t, func(o *office) {
		alice := o.alice()
		alice.register("")
		a := alice.invites("1001", "offer")
		b := alice.rung()
		if o.board.busy["1001"] != 1 {
			o.Errorf("limits count %v", o.board.busy)
		}
		b.says(486, "")
		alice.hears(sip.ACK)
		a.hears("486")
	})
}

// Many events at once: what is repeated may be dropped, what comes once is not, and the call ends as it should.
func TestFullInbox(t *testing.T) {
	c := &Call{board: &Switchboard{}, inbox: inbox{ready: make(chan struct{}, 1)}}
	for range inboxSize {
		if c.post(ackEvent{}) != waits {
			t.Fatal("dropped too early")
		}
	}
	if c.post(ackEvent{}) != full || c.board.stats.InboxFull.Load() != 1 {
		t.Error("not bounded")
	}
	for range 3 {
		if !c.postOnce(closedEvent{}) {
			t.Error("dropped what comes once")
		}
	}
	if n := len(c.inbox.take(nil)); n != inboxSize+3 {
		t.Errorf("%d events", n)
	}
	if c.post(ackEvent{}) != waits || len(c.inbox.close()) != 1 {
		t.Error("nothing more is taken")
	}
	if c.post(ackEvent{}) != gone || c.postOnce(closedEvent{}) {
		t.Error("a call that is over still takes events")
	}
}

// The round robin of a group is turned by its calls; it is bounded by the groups that there are.
func TestTurns(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		for i := range 3 {
			a := alice.invites("200", "offer "+strconv.Itoa(i))
			b := bob.rung()
			b.says(486, "")
			bob.hears(sip.ACK)
			a.hears("486")
		}
		o.settle()
		if n := o.board.groups.state.Turns["sales"]; n != 3 {
			o.Errorf("%d turns", n)
		}
	})
}
