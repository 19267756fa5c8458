package call

import (
	"maps"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// A call survives a kill: everything that either side may ask of it works afterwards, and its record is one.
func TestCallSurvivesAKill(t *testing.T) {
	for name, then := range map[string]func(o *office, a, b *dialogue){
		"caller hangs up": func(o *office, a, b *dialogue) { o.hangsUp(a, b) },
		"callee hangs up": func(o *office, a, b *dialogue) { o.hangsUp(b, a) },
		"caller holds and resumes": func(o *office, a, b *dialogue) {
			for _, want := range []string{"offer sendonly", "offer"} {
				a.asks(sip.INVITE, want)
				r := b.phone.hears(sip.INVITE)
				b.replies(r, 200, "answer of bob", []string{b.contact()}, "")
				b.phone.hears(sip.ACK)
				a.phone.hears("200 INVITE")
				a.acks("")
			}
			o.settle()
			o.hangsUp(a, b)
		},
		"callee holds": func(o *office, a, b *dialogue) {
			b.asks(sip.INVITE, "offer sendonly")
			r := a.phone.hears(sip.INVITE)
			a.replies(r, 200, "answer of alice recvonly", []string{a.contact()}, "")
			a.phone.hears(sip.ACK)
			b.phone.hears("200 INVITE")
			b.acks("")
			o.settle()
			o.hangsUp(b, a)
		},
		"killed again and again": func(o *office, a, b *dialogue) {
			for range 3 {
				o.revive()
			}
			o.hangsUp(a, b)
		},
		"a digit by INFO": func(o *office, a, b *dialogue) {
			a.asks(sip.INFO, "Signal=5\r\nDuration=160\r\n", "Content-Type: application/dtmf-relay")
			a.phone.hears("200 INFO")
			if got := o.media.of("b1").digits; got != "5(160ms)" {
				o.Errorf("digits %q", got)
			}
			o.hangsUp(a, b)
		},
		"the operator ends it": func(o *office, a, b *dialogue) {
			o.board.HangUp(o.board.Calls()[0].Call)
			a.phone.oks(sip.BYE)
			b.phone.oks(sip.BYE)
			o.idle()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				o.keeps()
				alice, bob := o.alice(), o.bob()
				a, b := o.talk(alice, bob)
				before := o.board.Calls()[0]
				o.revive()
				after := o.board.Calls()
				if len(after) != 1 || after[0].Call != before.Call || !after[0].Started.Equal(before.Started) || after[0].State != "up" {
					t.Fatalf("adopted %+v, was %+v", after, before)
				}
				if s := o.media.of("a"); s.joined != o.media.of("b1") || s.closed {
					t.Fatal("legs are not joined")
				}
				o.pass(time.Second)
				then(o, a, b)
				r := o.record()
				if r.Answered == nil || r.Duration < 3 || len(r.Legs) != 2 || len(r.Attempts) != 1 || r.Cause != sip.CauseNormal {
					t.Errorf("record %+v", r)
				}
				if o.journal.size() != 0 {
					t.Errorf("%d calls left in the journal", o.journal.size())
				}
			})
		})
	}
}

// Our CSeq is raised, so that what was sent after the state was written is never repeated; what the peer sent before is old.
func TestAdoptedDialogCountsOn(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		o.revive()
		a.asks(sip.BYE, "")
		a.hears("200 BYE")
		bye := b.phone.oks(sip.BYE)
		invite, _, _ := b.invite.CSeq()
		if seq, _, _ := bye.CSeq(); seq <= invite+seqLeap-1 {
			t.Errorf("CSeq %d after %d", seq, invite)
		}
	})
}

// The switch dies after the state was written and before its 200 was heard: the next one sends it, and the call stands.
func TestKilledBetweenAnswerAndACK(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		o.revive()
		a.hears("200")
		a.acks("")
		alice.hearsNothing(15 * time.Second)
		b.says(200, "answer of bob") // the callee has not heard our ACK, either
		bob.hears(sip.ACK)
		o.hangsUp(a, b)
	})
}

// A 200 is not sent before the state is held; a journal that does not answer delays it by little, and a deposed node says nothing.
func TestAnswerWaitsForTheJournal(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		o.journal.slow = 7 * time.Millisecond
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		if r := a.hears("200"); r.At != o.net.Since() || r.At != 7*time.Millisecond {
			t.Errorf("200 at %v", r.At)
		}
		a.acks("")
		o.journal.slow = time.Hour
		a.asks(sip.BYE, "")
		if r := a.hears("200 BYE"); r.At != 7*time.Millisecond+holdWithin {
			t.Errorf("200 to BYE at %v", r.At)
		}
		b.phone.oks(sip.BYE)
		if n := o.board.stats.Unheld.Load(); n != 1 {
			t.Errorf("%d answers went without", n)
		}
		o.pass(time.Hour)
	})
}

func TestDeposedNodeSaysNothing(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		o.journal.answer = ErrDeposed
		alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(200, "answer of bob")
		alice.hearsNothing(40 * time.Second)
		bob.hearsNothing(0) // no ACK either: it says again that it has answered, to the other node
		o.idle()
		o.forgotten, o.unanswered = 1, 1
	})
	inOffice(t, func(o *office) {
		o.keeps()
		o.talk(o.alice(), o.bob())
		o.board.Depose()
		o.idle()
		o.forgotten = 1
	})
}

// Whoever dies in the middle of a hang-up: one record, and the other side hears of it.
func TestKilledWhileHangingUp(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		bob.deaf = true // its BYE is lost with the process
		a.asks(sip.BYE, "")
		a.hears("200 BYE")
		bob.deaf = false
		b.phone.hears(sip.BYE)
		o.revive()
		if o.revived.Ended != 1 || o.revived.Calls != 0 {
			t.Errorf("revived %+v", o.revived)
		}
		b.phone.oks(sip.BYE)
		o.idle()
		if r := o.record(); r.EndedBy != "a" || r.Duration != soonAfter.Seconds() || len(r.Legs) != 2 {
			t.Errorf("record %+v", r)
		}
	})
}

// Two in a row die in the middle of a hang-up, the second before its address is here: the one after them tells the other side, also where
// the state had to be written anew meanwhile.
func TestKilledTwiceWhileHangingUp(t *testing.T) {
	for name, doubt := range map[string]bool{"as it was written": false, "written anew": true} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				o.keeps()
				alice, bob := o.alice(), o.bob()
				a, b := o.talk(alice, bob)
				bob.deaf = true // its BYE is lost with the process
				a.asks(sip.BYE, "")
				a.hears("200 BYE")
				bob.deaf = false
				b.phone.hears(sip.BYE)
				o.away = true
				o.revive()
				if doubt {
					o.board.Doubt("")
					o.settle()
				}
				o.away = false
				o.revive()
				if o.revived.Ended != 1 {
					t.Errorf("revived %+v", o.revived)
				}
				b.phone.oks(sip.BYE)
				o.idle()
				if r := o.record(); r.EndedBy != "a" || len(r.Legs) != 2 {
					t.Errorf("record %+v", r)
				}
			})
		})
	}
}

// The journal has lost that a call is over, and says so: it is written again, with whom nobody has said goodbye to.
func TestEndIsWrittenAgain(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		before := maps.Clone(o.journal.states)
		bob.deaf = true
		a.asks(sip.BYE, "")
		a.hears("200 BYE")
		bob.deaf = false
		b.phone.hears(sip.BYE)
		o.journal.states = before
		o.board.Doubt("")
		o.revive()
		if o.revived.Ended != 1 || o.revived.Calls != 0 {
			t.Errorf("revived %+v", o.revived)
		}
		b.phone.oks(sip.BYE)
		o.idle()
		o.record()
	})
}

// Whoever takes over speaks before its address has moved: what is lost by that is said again.
func TestHangUpBeforeTheAddressIsHere(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		bob.deaf = true // its BYE is lost with the process
		a.asks(sip.BYE, "")
		a.hears("200 BYE")
		bob.deaf = false
		b.phone.hears(sip.BYE)
		o.away = true
		o.revive()
		if o.revived.Ended != 1 {
			t.Errorf("revived %+v", o.revived)
		}
		o.udp.Away(false)
		b.phone.oks(sip.BYE)
		o.idle()
		o.record()
	})
}

// A record that was written is not written again, when the process died before its call was forgotten.
func TestKilledBetweenRecordAndForgetting(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		var state []byte
		for _, s := range o.journal.states {
			state = s
		}
		o.hangsUp(a, b)
		call := o.record().Call
		o.journal.states[call] = state
		o.revive()
		o.idle()
		o.record()
		if o.journal.size() != 0 {
			t.Error("the call is still in the journal")
		}
	})
}

// Both sides of an adopted call are silent: they are asked, and whoever is gone ends it.
func TestOrphansAreFound(t *testing.T) {
	for name, gone := range map[string]bool{"both are there": false, "one is gone": true} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				o.keeps()
				alice, bob := o.alice(), o.bob()
				a, b := o.talk(alice, bob)
				o.revive()
				revived := o.net.Since()
				a.phone.oks(sip.OPTIONS)
				o.at(revived + orphanAfter)
				if !gone {
					b.phone.oks(sip.OPTIONS)
					alice.hearsNothing(2 * time.Minute)
					o.hangsUp(a, b)
					return
				}
				r := b.phone.hears(sip.OPTIONS)
				b.replies(r, 481, "", nil, "")
				a.phone.oks(sip.BYE)
				b.phone.oks(sip.BYE)
				o.idle()
				if r := o.record(); r.EndedBy != "failover-orphan" || r.Cause != sip.CauseOutOfOrder {
					t.Errorf("record %+v", r)
				}
			})
		})
	}
}

// One side of an adopted call is silent: it is asked. It may only be mute, and answer no OPTIONS; one that knows nothing of the call has
// hung up, and the switch has forgotten it.
func TestOrphanWhoseOtherSideSpeaks(t *testing.T) {
	for name, status := range map[string]int{"it is there": 200, "it answers as if nobody had": 408, "it is gone": 481} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				o.keeps()
				alice, bob := o.alice(), o.bob()
				a, b := o.talk(alice, bob)
				o.revive()
				revived := o.net.Since()
				o.media.of("b1").packets.Add(1)
				r := a.phone.hears(sip.OPTIONS)
				o.at(revived + orphanAfter)
				a.replies(r, status, "", nil, "")
				if status != 481 {
					alice.hearsNothing(time.Minute)
					o.hangsUp(a, b)
					return
				}
				a.phone.oks(sip.BYE)
				b.phone.oks(sip.BYE)
				o.idle()
				if r := o.record(); r.EndedBy != "a" || r.Cause != sip.CauseOutOfOrder {
					t.Errorf("record %+v", r)
				}
			})
		})
	}
}

// A call whose sides are heard is not asked.
func TestNoOrphanWhereBothSpeak(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		o.revive()
		o.pass(10 * time.Second)
		o.media.of("a").packets.Add(1)
		o.media.of("b1").packets.Add(1)
		alice.hearsNothing(time.Minute)
		o.hangsUp(a, b)
	})
}

// Deadlines are those of the call, and everybody has some grace.
func TestDeadlinesAfterAKill(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice", "Supported: timer", "Session-Expires: 120;refresher=uac")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.pass(soonAfter)
		o.killed(100 * time.Second) // the session would have ended at 88 s
		o.start()
		revived := o.net.Since()
		if bye := alice.oks(sip.BYE); bye.At != revived+grace {
			t.Errorf("BYE at %v, want %v", bye.At, revived+grace)
		}
		b.phone.oks(sip.BYE)
	})
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		_, _ = a, b
		o.killed(20 * time.Minute)
		o.start()
		o.settle()
		for _, s := range []string{"a", "b1"} {
			o.media.of(s).packets.Add(1)
		}
		o.until(30 * time.Minute)
		if bye := alice.oks(sip.BYE); bye.At != 30*time.Minute || bye.Cause() != sip.CauseTimerExpired {
			t.Errorf("BYE at %v", bye.At)
		}
		b.phone.oks(sip.BYE)
	}, func(cfg *Config, _ *Settings) { cfg.MaxDuration = 30 * time.Minute })
}

// The limits of extensions count adopted calls.
func TestLimitsAfterAKill(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		o.revive()
		if n := o.board.busy["1001"]; n != 1 || o.board.busy["1002"] != 1 {
			t.Errorf("busy %v", o.board.busy)
		}
		o.hangsUp(a, b)
	})
}

// A caller with whom the switch itself speaks hears the step again.
func TestStepOfTheSwitchSurvives(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice := o.alice()
		a := alice.invites("400", "offer of alice")
		a.hears("200")
		a.acks("")
		o.pass(soonAfter)
		o.revive()
		if got := o.media.of("a").doing; got != "echo" {
			t.Errorf("doing %q", got)
		}
		a.asks(sip.BYE, "")
		a.hears("200 BYE")
		o.idle()
		if r := o.record(); r.Answered == nil || len(r.Legs) != 1 {
			t.Errorf("record %+v", r)
		}
	})
}

// A phone on a connection is reached over the new one once it has registered again, whatever the call wants of it first.
func TestPhoneOnAConnectionComesBack(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice := o.alice()
		bob := o.phone(transport.TCP, "1002", 2)
		bob.register("<urn:uuid:1>")
		a, b := o.talk(alice, bob)
		o.revive()
		o.locator.drop("1002")
		bob.connect()
		bob.register("<urn:uuid:1>")
		o.hangsUp(a, b)
	})
}

// What cannot be gone on with has its record all the same, and its peers are told.
func TestStateThatCannotBeAdopted(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		o.killed(0)
		o.media.full = func(leg string) bool { return leg == "b1" }
		o.journal.states["nonsense"] = []byte("{")
		o.start()
		if len(o.revived.Failed) != 2 {
			t.Errorf("revived %+v", o.revived)
		}
		a.phone.oks(sip.BYE)
		b.phone.oks(sip.BYE)
		o.idle()
		if r := o.record(); r.Answered == nil || r.EndedBy != "switch" {
			t.Errorf("record %+v", r)
		}
	})
}

// A switch that leaves says nothing about calls that it has left: what is asked of it then is answered by the next one.
func TestNothingIsSaidWhileLeaving(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		left := make(chan struct{})
		go func() {
			defer close(left)
			o.board.Leave(false)
		}()
		<-left
		bye := a.asks(sip.BYE, "")
		alice.hearsNothing(time.Second)
		o.revive()
		a.Send(a.flow, bye) // as every phone does that was not answered
		a.phone.hears("200 BYE")
		b.phone.oks(sip.BYE)
		o.idle()
		o.record()
	})
}

// A node that another one has taken the role from is gone at once: nobody hears what it says, so it waits for no answer. The state of a call that
// is hung up just then is left to the other, and one that is being set up has its record.
func TestDeposedNodeWaitsForNobody(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		a.asks(sip.BYE, "")
		alice.hears("200 BYE")
		bob.hears(sip.BYE) // and says nothing
		carol, dave := o.registered("1003", 5), o.registered("1004", 6)
		carol.invites("1004", "offer of carol")
		dave.rung()
		carol.deaf, dave.deaf = true, true
		before := time.Now()
		o.board.Leave(true)
		o.stop()
		<-o.stopped
		if took := time.Since(before); took > 100*time.Millisecond {
			t.Errorf("it was gone after %v", took)
		}
		if all := o.ledger.all(); len(all) != 1 || all[0].Dialled != "1004" || o.journal.size() != 1 {
			t.Errorf("records %+v, and %d states", all, o.journal.size())
		}
		o.revive()
		b.phone.oks(sip.BYE)
		o.idle()
	})
}

// The caller has heard nothing of its INVITE, which the dead switch had answered already, and sends it again: it is the same call.
func TestInviteThatWasAnsweredComesAgain(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		first := a.hears("200")
		o.revive()
		a.hears("200") // by itself
		a.again()
		again := a.hears("200")
		if again.ToTag() != first.ToTag() || o.board.Live() != 1 {
			t.Fatalf("%d calls, To tag %s after %s", o.board.Live(), again.ToTag(), first.ToTag())
		}
		a.acks("")
		o.settle()
		o.hangsUp(a, b)
		if len(o.board.invites) != 0 {
			t.Error("the INVITE is remembered after its call")
		}
	})
}

// Before a planned change the node waits until its calls have done what they were told: one that has taken a BYE and waits for its record to
// be held has not.
func TestSettledBeforeAPlannedChange(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		if !o.board.Settled() {
			t.Error("a quiet call is not settled")
		}
		o.journal.slow = 30 * time.Millisecond
		a.asks(sip.BYE, "")
		o.pass(20 * time.Millisecond)
		if o.board.Settled() {
			t.Error("settled before the BYE is answered")
		}
		o.pass(20 * time.Millisecond)
		if !o.board.Settled() {
			t.Error("not settled once the BYE is answered")
		}
		alice.hears("200 BYE")
		b.oks(sip.BYE)
		o.journal.slow = 0
	})
}

// A planned change waits for a call that is being set up where nobody could go on with it, and for none that rings, which may take long.
func TestSettingUpBeforeAPlannedChange(t *testing.T) {
	for _, old := range []bool{true, false} {
		inOffice(t, func(o *office) {
			o.keeps()
			o.journal.old.Store(old)
			alice, bob := o.alice(), o.bob()
			a := alice.invites("1002", "offer of alice")
			b := bob.rung()
			o.settle()
			if o.board.SettingUp() != old {
				t.Errorf("other nodes do not know calls that ring: %v; a call waits for bob: %v", old, o.board.SettingUp())
			}
			b.says(180, "")
			a.hears("180")
			o.settle()
			if o.board.SettingUp() {
				t.Error("a call that rings is being set up")
			}
			b.says(200, "answer of bob")
			bob.hears(sip.ACK)
			a.hears("200")
			a.acks("")
			o.settle()
			if o.board.SettingUp() {
				t.Error("a call that was answered is being set up")
			}
			o.hangsUp(a, b)
		})
	}
}
