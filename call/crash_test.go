package call

import (
	"strings"
	"testing"
	"time"

	"tandem/media"
	"tandem/sip"
	"tandem/sip/transport"
)

// A bug in one call ends that call: its ports, limits and dialogs are free, both sides are told as well as it goes, and
// no other call notices.
func TestPanicEndsOneCall(t *testing.T) {
	for _, x := range []struct {
		leg, do string
		at      func(o *office, alice, bob *phone)
	}{
		{"a", "SetOffer", func(o *office, alice, bob *phone) {
			alice.invites("1002", "offer of alice").hears("500")
		}},
		{"b1", "CreateOffer", func(o *office, alice, bob *phone) {
			alice.invites("1002", "offer of alice").hears("500")
		}},
		{"b1", "SetAnswer", func(o *office, alice, bob *phone) { // an early answer
			a := alice.invites("1002", "offer of alice")
			b := bob.rung()
			b.says(183, "early answer")
			a.hears("500")
			b.hearsCancelled()
		}},
		{"a", "CreateAnswer", func(o *office, alice, bob *phone) {
			a := alice.invites("1002", "offer of alice")
			b := bob.rung()
			b.says(200, "answer of bob")
			b.phone.hearsAll(sip.ACK, sip.BYE)
			b.replies(bob.lastBye(), 200, "", nil, "")
			a.hears("500")
		}},
		{"b1", "SendDTMF", func(o *office, alice, bob *phone) {
			a, b := o.talk(alice, bob)
			a.sends(sip.INFO, "application/dtmf", "1")
			alice.oks(sip.BYE)
			bob.oks(sip.BYE)
			a.deaf = true // the INFO itself has no answer
			_ = b
		}},
		{"a", "Stats", func(o *office, alice, bob *phone) { // while it ends
			a, b := o.talk(alice, bob)
			a.asks(sip.BYE, "")
			a.phone.hears("200 BYE")
			b.oks(sip.BYE)
		}},
		{"b1", "Close", func(o *office, alice, bob *phone) {
			a, b := o.talk(alice, bob)
			a.asks(sip.BYE, "")
			a.phone.hears("200 BYE")
			b.oks(sip.BYE)
		}},
	} {
		t.Run(x.leg+" "+x.do, func(t *testing.T) {
			inOffice(t, func(o *office) {
				o.panics = 1
				carol, dave := o.phone(transport.UDP, "1003", 3), o.registered("1004", 4)
				c, d := o.talk(carol, dave)
				other := o.media.of("a")
				armed := true
				o.media.fail = func(s *fakeSession, do string) {
					if armed && s != other && s != other.joined && s.name == x.leg && do == x.do {
						armed = false
						if do == "Close" { // the ports are free all the same
							s.closed = true
						}
						panic("bug in " + do)
					}
				}
				alice, bob := o.alice(), o.bob()
				x.at(o, alice, bob)
				o.settle()
				if o.board.Live() != 1 || o.media.open() != 2 || armed {
					o.Errorf("%d calls, %d sessions", o.board.Live(), o.media.open())
				}
				if !strings.Contains(o.log.String(), "bug in "+x.do) {
					o.Error("no stack in the log")
				}
				o.hangsUp(c, d)
			})
		})
	}
}

// A panic on the reading goroutine is the table's to catch; the next message is taken as ever.
func TestPanicInAdmission(t *testing.T) {
	inOffice(t, func(o *office) {
		o.panics = 1
		alice, bob := o.alice(), o.bob()
		good := o.board.Settings()
		o.board.Update(nil)
		d := alice.invites("1002", "offer")
		d.hears("500")
		o.board.Update(good)
		a, b := o.talk(alice, bob)
		o.hangsUp(a, b)
	})
}

// A stopping switch hangs up everything, in every state, and waits a little for the answers.
func TestStop(t *testing.T) {
	t.Run("answered, ringing, not acknowledged", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 3)
			dave := o.registered("1004", 4)
			a, b := o.talk(alice, bob)
			d := dave.invites("1003", "offer")
			c := carol.rung()
			c.says(180, "")
			d.hears("180")
			o.stop()
			if bye := b.oks(sip.BYE); bye.Cause() != sip.CauseTemporary {
				o.Errorf("cause %d", bye.Cause())
			}
			a.oks(sip.BYE)
			d.hears("503")
			c.hearsCancelled()
			<-o.stopped
			o.at(0)
			e := alice.invites("1002", "offer")
			e.hears("503")
			for _, r := range o.ledger.all() {
				if r.EndedBy != "switch" || r.Cause != sip.CauseTemporary {
					o.Errorf("record %+v", r)
				}
			}
		})
	})
	t.Run("nobody answers", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice, bob := o.alice(), o.bob()
			o.talk(alice, bob)
			c := alice.invites("1002", "offer")
			d := bob.rung()
			d.says(200, "answer")
			bob.hears(sip.ACK)
			c.hears("200") // and no ACK
			alice.deaf, bob.deaf = true, true
			o.stop()
			<-o.stopped
			o.at(4 * time.Second)
			if n := len(alice.Times(sip.BYE)); n < 2 {
				o.Errorf("%d BYEs", n) // that of the call without an ACK among them, at last
			}
			o.pass(33 * time.Second)
		})
	})
	t.Run("a look-up is under way", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice := o.alice()
			o.hangingLookup()
			a := alice.invites("1002", "offer")
			o.settle()
			o.stop()
			a.hears("503")
			<-o.stopped
			o.at(0)
		})
	})
}

// The operator ends a call by its id, in any state.
func TestOperator(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		o.pass(time.Second)
		if o.board.HangUp("nonesuch") || !o.board.HangUp(o.board.Calls()[0].Call) {
			o.Fatal("no such call")
		}
		if bye := a.oks(sip.BYE); bye.Cause() != sip.CauseNormal {
			o.Errorf("cause %d", bye.Cause())
		}
		b.oks(sip.BYE)
		if r := o.record(); r.EndedBy != "operator" || r.Duration != 1 || r.Cause != sip.CauseNormal {
			o.Errorf("record %+v", r)
		}
	})
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer")
		b := bob.rung()
		b.says(180, "")
		a.hears("180")
		o.board.HangUp(o.board.Calls()[0].Call)
		a.hears("480")
		b.hearsCancelled()
		if r := o.record(); r.EndedBy != "operator" || r.Status != 480 {
			o.Errorf("record %+v", r)
		}
	})
}

// What an operator sees of a call, from its first to its last moment.
func TestSnapshots(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		look := func(state string, legs ...LegSnapshot) Snapshot {
			o.Helper()
			o.settle()
			all := o.board.Calls()
			if len(all) != 1 || all[0].State != state {
				o.Fatalf("want %s: %+v", state, all)
			}
			equal(o, state, all[0].Legs, legs...)
			return all[0]
		}
		from := LegSnapshot{"a", "1001", "trying", "192.0.2.1:5060", "UDP"}
		to := LegSnapshot{"b1", "1002", "trying", "192.0.2.2:5060", "UDP"}
		a := alice.invites("1002", "offer")
		s := look("ringing", from, to)
		if s.From != "1001" || s.Dialled != "1002" || s.Number != "1002" || s.Route != "internal" || s.Plan != o.board.Settings().Plan.Version() || s.Answered != nil {
			o.Errorf("%+v", s)
		}
		b := bob.rung()
		b.says(180, "")
		a.hears("180")
		from.State, to.State = "ringing", "ringing"
		look("ringing", from, to)
		o.pass(2 * time.Second)
		b.says(200, "answer")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		from.State, to.State = "up", "up"
		if s = look("up", from, to); s.Answered == nil || s.Answered.Sub(s.Started) != 2*time.Second {
			o.Errorf("%+v", s)
		}
		a.asks(sip.BYE, "")
		a.phone.hears("200 BYE")
		look("ending")
		b.oks(sip.BYE)
		o.idle()
	})
}

// A record says who called whom, by what, over what, how it went and why it ended.
func TestRecordContents(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob, other := o.alice(), o.bob(), o.registered("1002", 3)
		start := time.Now()
		a := alice.invites("1002", "offer of alice")
		b, c := bob.rung(), other.rung()
		o.pass(400 * time.Millisecond)
		b.says(180, "")
		a.hears("180")
		c.says(486, "")
		other.hears(sip.ACK)
		o.pass(600 * time.Millisecond)
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.media.of("a").packets.Store(70)
		o.media.of("b1").packets.Store(90)
		o.pass(9 * time.Second)
		o.hangsUp(a, b)
		r := o.record()
		at := func(d time.Duration) time.Time { return start.Add(d).UTC() }
		if r.Call == "" || !r.Started.Equal(start) || !r.Answered.Equal(at(time.Second)) || !r.Ended.Equal(at(10*time.Second)) || r.Duration != 9 ||
			r.From != "1001" || r.CallerID != "1001" || r.Dialled != "1002" || r.Number != "1002" || r.Route != "internal" ||
			r.Plan != o.board.Settings().Plan.Version() || r.Status != 200 || r.Cause != 16 || r.EndedBy != "a" {
			o.Errorf("record %+v", r)
		}
		if x := r.Attempts[0]; len(r.Attempts) != 2 || x.Extension != "1002" || x.Contact != bob.contactURI() || !x.Started.Equal(start) ||
			!x.Rang.Equal(at(400*time.Millisecond)) || !x.Ended.Equal(at(time.Second)) || x.Status != 200 {
			o.Errorf("first attempt %+v", x)
		}
		if x := r.Attempts[1]; x.Status != 486 || x.Reason != "Busy Here" || x.Rang != nil {
			o.Errorf("second attempt %+v", x)
		}
		if len(r.Legs) != 3 || r.Legs[0].Leg != "a" || r.Legs[0].Peer != "192.0.2.1:5060" || r.Legs[0].Transport != "UDP" ||
			r.Legs[0].CallID != a.callID || r.Legs[0].Media.In.Packets != 70 || r.Legs[0].Media.Codec != "PCMA" ||
			r.Legs[1].Media.In.Packets != 90 || r.Legs[1].CallID != b.callID || r.Legs[2].Leg != "b2" {
			o.Errorf("legs %+v", r.Legs)
		}
		if got := o.board.Stats().ByCause[16].Load(); got != 1 {
			o.Errorf("%d calls by cause 16", got)
		}
		if since := o.board.groups.state.IdleSince["1002"]; !since.Equal(r.Ended) {
			o.Errorf("idle since %v", since)
		}
	})
}

// An event of the media room for a leg that is gone is nothing.
func TestLateMediaEvents(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		x, y := o.media.of("a"), o.media.of("b1")
		a.asks(sip.BYE, "")
		a.phone.hears("200 BYE")
		for _, s := range []*fakeSession{x, y} {
			s.silence()
			s.options.Events(media.Event{Kind: media.PlayDone})
			s.options.Events(media.Event{Kind: media.Latched})
			s.options.Events(media.Event{Kind: media.DTMF, Digit: '5'})
		}
		b.oks(sip.BYE)
		o.idle()
		x.silence()
		o.settle()
	})
}
