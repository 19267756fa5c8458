package call

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/media"
	"tandem/media/relay"
	"tandem/media/secure"
	"tandem/record"
	"tandem/sip"
	"tandem/sip/transport"
)

// What a call needs so that it outlives a second takeover, and what may come while the first one is under way.

// standsBy has the next switch follow what the journal has, as a standby does.
func (o *office) standsBy() {
	o.follows = func(s *Standby) {
		for _, raw := range o.journal.states {
			if err := s.Put(raw, 0); err != nil {
				o.Fatal(err)
			}
		}
		if calls, ready := s.Count(); calls != ready {
			o.Errorf("%d calls stand by, %d of them with their media", calls, ready)
		}
	}
}

// rings is a call that its callee has heard of.
func (o *office) rings(alice, bob *phone) (a, b *dialogue) {
	o.Helper()
	a = alice.invites(bob.ext, "offer of alice")
	b = bob.rung()
	b.says(180, "")
	a.hears("180")
	return a, b
}

func (o *office) tookOver(calls int) {
	o.Helper()
	if r := o.revived; r.Calls != calls || len(r.Failed) > 0 {
		o.Fatalf("taken over: %+v", r)
	}
}

func TestLegsAreNamedOnce(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob, carol, dave := o.alice(), o.bob(), o.registered("1003", 5), o.registered("1004", 6)
		a, b := o.talk(alice, bob)
		b.refers(carolAt)
		a.rejoins()
		c := carol.rung()
		c.says(200, "answer of carol")
		carol.hears(sip.ACK)
		b.told("200")
		bob.oks(sip.BYE)
		a.rejoins()
		o.settle()
		o.revive()
		o.tookOver(1)
		o.router.reach = func(context.Context, sip.URI, int) (transport.Flow, error) { return dave.back(), nil } // his binding's flow died
		a.refers("<sip:1004@" + domain + ">")
		c.rejoins()
		d := dave.rung()
		d.says(200, "answer of dave")
		dave.hears(sip.ACK)
		a.told("200")
		alice.oks(sip.BYE)
		c.rejoins()
		o.settle()
		o.killed(time.Second)
		o.standsBy()
		o.start()
		o.settle()
		o.tookOver(1)
		o.hangsUp(d, c)
		var names []string
		for _, l := range o.record().Legs {
			names = append(names, l.Leg)
		}
		slices.Sort(names)
		if len(names) != 4 || len(slices.Compact(names)) != 4 {
			t.Errorf("legs %q", names)
		}
	})
}

func TestSecondTakeoverLeapsOn(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		o.revive()
		o.pass(orphanAfter)
		alice.oks(sip.OPTIONS)
		asked, _, _ := bob.oks(sip.OPTIONS).CSeq()
		o.settle()
		o.revive()
		a.asks(sip.BYE, "")
		a.hears("200 BYE")
		if bye, _, _ := b.phone.oks(sip.BYE).CSeq(); bye <= asked {
			t.Errorf("BYE has CSeq %d, the OPTIONS before it %d", bye, asked)
		}
		o.idle()
		o.record()
	})
}

// A write that comes too late, of a node that does not serve any more, makes this one doubt a call that it is about to take over.
func TestDoubtedWhileTakenOver(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		a, b := o.talk(o.alice(), o.bob())
		id := o.board.Calls()[0].Call
		o.killed(time.Second)
		o.follows = func(s *Standby) {
			if err := s.Put(o.journal.states[id], 0); err != nil {
				t.Fatal(err)
			}
			o.board.Doubt(id)
		}
		o.start()
		o.pass(keepSpread)
		o.tookOver(1)
		if n := o.journal.size(); n != 1 {
			t.Errorf("the journal has %d calls", n)
		}
		o.hangsUp(b, a)
		o.record()
	})
}

// The writer of a state that is ending had another time.
func TestDurationByTheWritersClock(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		o.pass(time.Minute)
		bob.deaf = true
		a.asks(sip.BYE, "")
		a.hears("200 BYE")
		bob.deaf = false
		b.phone.hears(sip.BYE)
		o.killed(time.Second)
		for id, raw := range o.journal.states {
			st, err := stateOf(raw)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range []*time.Time{&st.Started, &st.Up, &st.EndsAt, &st.Written, &st.Record.Ended} {
				*x = x.Add(-time.Hour)
			}
			o.journal.states[id], _ = record.Marshal(st)
		}
		o.standsBy()
		o.start()
		bob.oks(sip.BYE)
		o.idle()
		if r := o.record(); r.Duration < 62 || r.Duration > 63 || r.Ended.Before(*r.Answered) {
			t.Errorf("answered %v, ended %v, %v s", r.Answered, r.Ended, r.Duration)
		}
	})
}

// A phone that has its ACK does not say again that it has answered (RFC 6026 §7.1): it must not have it before others know.
func TestAnswerIsKeptBeforeItsACK(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.rings(alice, bob)
		o.settle()
		o.journal.slow = 50 * time.Millisecond
		b.says(200, "answer of bob")
		bob.hearsNothing(40 * time.Millisecond)
		bob.hears(sip.ACK)
		a.hears("200 INVITE")
		a.acks("")
		o.settle()
		o.hangsUp(a, b)
		o.record()
	})
}

func TestOfferIn2xxIsAwaited(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		a, b := o.talk(o.alice(), o.bob())
		a.asks(sip.INVITE, "")
		a.hears("200 INVITE")
		o.revive()
		a.hears("200 INVITE") // once more
		a.acks("answer of alice sendonly")
		o.settle()
		if d := o.media.of("a").direction; d != media.SendOnly {
			t.Errorf("the answer in the ACK is not taken: %v", d)
		}
		b.rejoins()
		o.hangsUp(b, a)
		o.record()
	})
}

// A call that rings stops doing so where this node has been deposed and does not know it yet: who goes on with it writes its record.
func TestRingingCallOfADeposedNode(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		o.rings(alice, bob)
		o.pass(19 * time.Second)
		before := o.journal
		o.udp.Away(true)
		before.cut()
		o.pass(2 * time.Second) // the step ends
		o.board.Leave(false)
		o.stop()
		<-o.stopped
		if before.size() != 1 {
			t.Fatalf("the others have %d calls", before.size())
		}
		if o.ledger.all(); len(o.ledger.unclaimed) > 0 {
			t.Errorf("records that this node writes whatever the others say: %v", o.ledger.unclaimed)
		}
		alice.deaf, bob.deaf = true, true
	})
}

// A switch that starts again opens ports for a call that rings, of which nobody knows any: not those of a call that comes after it.
func TestRingingCallTakesNobodysPorts(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob, carol, dave := o.alice(), o.bob(), o.registered("1003", 5), o.registered("1004", 6)
		a, b := o.talk(alice, bob)
		answered := o.board.Calls()[0].Call
		c := carol.invites("1004", "offer of carol")
		dave.rung()
		o.settle()
		o.killed(time.Second)
		states := maps.Clone(o.journal.states)
		o.order = [][]byte{nil, states[answered]}
		delete(states, answered)
		for _, raw := range states {
			o.order[0] = raw
		}
		o.media.next = 0 // the free port that the room would choose is that of a leg which is to come
		o.start()
		o.settle()
		o.tookOver(2)
		d := dave.rung()
		d.says(200, "answer of dave")
		dave.hears(sip.ACK)
		c.hears("200 INVITE")
		c.acks("")
		o.leaves(a, b)
		o.hangsUp(c, d)
	})
}

// A branch that was kept while it rang is asked again with its offer.
func TestKeptBranchIsAskedForLonger(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, _ := o.rings(alice, bob)
		o.settle()
		o.revive()
		bob.rung().says(422, "", "Min-SE: 300")
		bob.hears(sip.ACK)
		b := bob.rung()
		if body := b.invite.Body(); !strings.HasPrefix(body, "offer") {
			t.Errorf("asked again with %q", body)
		}
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200 INVITE")
		a.acks("")
		o.hangsUp(a, b)
		o.record()
	}, func(cfg *Config, _ *Settings) { cfg.SessionInterval = 200 * time.Second })
}

// A note is of all that it tells: what it leaves out is nothing, not what the state had. One that is older leaves no trace.
func TestNoteStandsForItself(t *testing.T) {
	now := time.Now()
	was := func() media.StreamState {
		return media.StreamState{
			At: now, Out: relay.Outbound{Seq: 100, Feeding: true, SeqShift: 9},
			Protect: []secure.Source{{SSRC: 1, Index: 1000, Control: 50}}, Web: &relay.WebState{Association: 2, Local: "new"},
		}
	}
	taken := func(note media.StreamState) media.StreamState {
		raw, err := record.Marshal(note)
		if err != nil {
			t.Fatal(err)
		}
		a := &adoption{st: &State{}, c: &Call{}, notes: func(string, string) []byte { return raw }, ready: map[string]*ready{"a": {session: &fakeSession{}}}}
		st := media.State{Port: was()}
		if err := a.media(&Leg{name: "a"}, &st); err != nil {
			t.Fatal(err)
		}
		return st.Port
	}
	if got := taken(media.StreamState{At: now.Add(time.Second), Out: relay.Outbound{Seq: 300}}); got.Out.Feeding || got.Out.SeqShift != 0 || got.Out.Seq != 300 {
		t.Errorf("a newer one gives %+v", got.Out)
	}
	older := media.StreamState{At: now.Add(-time.Second), Protect: []secure.Source{{SSRC: 1, Index: 900}}, Web: &relay.WebState{Association: 1, Local: "old"}}
	if got := taken(older); got.Protect[0] != was().Protect[0] || *got.Web != *was().Web {
		t.Errorf("an older one gives %+v %+v", got.Protect, got.Web)
	}
}

// A machine was off for hours, and nobody is in the call any more: it ended when it was last known to go on.
func TestOutageIsNoPartOfACall(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		_, b := o.talk(alice, bob)
		o.pass(time.Minute)
		o.killed(10 * time.Hour)
		o.start()
		alice.oks(sip.OPTIONS)
		b.replies(b.phone.hears(sip.OPTIONS), 481, "", nil, "")
		alice.oks(sip.BYE)
		bob.oks(sip.BYE)
		o.idle()
		if r := o.record(); r.EndedBy != endedByOrphan || r.Duration > 65 || r.Ended.Before(*r.Answered) {
			t.Errorf("ended by %s, %v s, at %v", r.EndedBy, r.Duration, r.Ended)
		}
	})
}
