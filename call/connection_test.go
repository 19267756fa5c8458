package call

import (
	"net/netip"
	"testing"
	"time"

	"tandem/media"
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transport"
)

// tcpAlice is 1001 over a connection.
func (o *office) tcpAlice() *phone { o.Helper(); return o.phone(transport.TCP, "1001", 1) }

// A caller whose connection closes while it rings has given up.
func TestCallersConnectionCloses(t *testing.T) {
	for _, rings := range []bool{false, true} {
		inOffice(t, func(o *office) {
			alice, bob := o.tcpAlice(), o.bob()
			a := alice.invites("1002", "offer of alice")
			b := bob.rung()
			b.says(100, "")
			if rings {
				b.says(180, "")
				a.hears("180")
			}
			o.net.Break(alice.flow)
			b.hearsCancelled()
			o.idle()
			if r := o.record(); r.EndedBy != "caller" || r.Status != 487 || r.Cause != sip.CauseOutOfOrder {
				o.Errorf("record %+v", r)
			}
		})
	}
}

// A ringing branch whose connection closes has failed; the others ring on.
func TestCalleesConnectionCloses(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, soft := o.alice(), o.phone(transport.TCP, "1002", 3)
		soft.register("")
		bob := o.bob()
		a := alice.invites("1002", "offer of alice")
		s, b := soft.rung(), bob.rung()
		s.says(180, "")
		a.hears("180")
		o.net.Break(soft.flow)
		o.settle()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.hangsUp(a, b)
		if r := o.record(); r.Attempts[0].Status != 503 || r.Attempts[0].Reason != "unreachable" {
			o.Errorf("attempts %+v", r.Attempts)
		}
	})
	inOffice(t, func(o *office) {
		alice, soft := o.alice(), o.phone(transport.TCP, "1002", 3)
		soft.register("")
		a := alice.invites("1002", "offer of alice")
		soft.rung()
		o.net.Break(soft.flow)
		a.hears("480")
	})
}

// In a call, media goes on without the connection. The phone registers again over a new one, and is found there: by
// its instance, its contact, or because it is the only one.
func TestConnectionClosesInACall(t *testing.T) {
	for _, x := range []struct {
		name string
		back func(o *office, p *phone)
	}{
		{"by its instance", func(o *office, p *phone) {
			other := o.phone(transport.TCP, "1002", 40) // another phone of the extension
			other.register("other")
			p.connect()
			p.register("urn:uuid:1")
			o.locator.mu.Lock()
			o.locator.bindings["1002"][1].Contact = "sip:new@192.0.2.3:9999"
			o.locator.mu.Unlock()
		}},
		{"by its contact", func(o *office, p *phone) {
			o.phone(transport.TCP, "1002", 40).register("other")
			p.connect()
			p.register("")
		}},
		{"as the only phone", func(o *office, p *phone) {
			p.connect()
			p.register("")
			o.locator.bindings["1002"][0].Contact = "sip:new@192.0.2.3:9999"
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob := o.alice(), o.phone(transport.TCP, "1002", 3)
				bob.register("urn:uuid:1")
				a, b := o.talk(alice, bob)
				o.net.Break(bob.flow)
				o.locator.drop("1002")
				o.pass(5 * time.Second)
				if o.board.Live() != 1 || o.media.open() != 2 {
					o.Error("the call has not survived its connection")
				}
				x.back(o, bob)
				a.sends(sip.INFO, "text/plain", "are you there?")
				info := bob.hears(sip.INFO)
				if info.ToTag() != bob.Tag() {
					o.Errorf("another dialog:\n%s", info.Raw())
				}
				bob.replies(info, 200, "", nil, "")
				a.phone.hears("200 INFO")
				o.hangsUp(a, b)
			})
		})
	}
}

// Nobody to be found: requests fail, and the call ends as far as it can.
func TestConnectionStaysClosed(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.phone(transport.TCP, "1002", 3)
		bob.register("")
		a, _ := o.talk(alice, bob)
		o.net.Break(bob.flow)
		o.locator.drop("1002")
		o.settle()
		a.sends(sip.INFO, "text/plain", "are you there?")
		o.pass(parkTime)
		a.phone.hears("500 INFO")
		a.asks(sip.INVITE, "offer sendonly")
		o.pass(parkTime)
		a.refused("500")
		a.asks(sip.BYE, "")
		a.phone.hears("200 BYE")
		o.pass(parkTime)
		o.idle()
	})
}

// The phone of the caller speaks over a new connection: it is answered there from then on, and a refresh that could not
// be sent is sent there.
func TestCallerMovesToANewConnection(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.tcpAlice(), o.bob()
		a := alice.invites("1002", "offer of alice", "Supported: timer", "Session-Expires: 100;refresher=uas", "Allow: UPDATE")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.pass(10 * time.Second)
		o.net.Break(alice.flow)
		o.until(52 * time.Second) // the refresh at 50 s waits
		alice.connect()
		a.asks(sip.OPTIONS, "")
		a.phone.hears("200 OPTIONS")
		r := alice.hears(sip.UPDATE)
		if r.At != 52*time.Second || r.Flow != alice.flow {
			o.Errorf("refreshed at %v", r.At)
		}
		a.replies(r, 200, "", []string{a.contact(), "Session-Expires: 100;refresher=uac"}, "")
		b.asks(sip.BYE, "")
		b.phone.hears("200 BYE")
		alice.oks(sip.BYE)
	})
}

// The answer cannot be delivered, and neither can its BYE: the call still ends.
func TestConnectionClosesWithTheAnswer(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.tcpAlice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(180, "")
		a.hears("180")
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		o.net.Break(alice.flow)
		if bye := bob.oks(sip.BYE); bye.At != 32*time.Second {
			o.Errorf("BYE at %v", bye.At)
		}
		o.pass(parkTime)
		o.idle()
	})
}

// A phone is killed at every stage of a call, and nothing of it is left: clean looks for that.
func TestPhoneDies(t *testing.T) {
	stages := []func(o *office, alice, bob *phone) (a, b *dialogue){
		func(o *office, alice, bob *phone) (a, b *dialogue) { // as it begins
			return alice.invites("1002", "offer of alice"), bob.rung()
		},
		func(o *office, alice, bob *phone) (a, b *dialogue) { // ringing
			a = alice.invites("1002", "offer of alice")
			b = bob.rung()
			b.says(180, "")
			a.hears("180")
			return a, b
		},
		func(o *office, alice, bob *phone) (a, b *dialogue) { // with early media
			a = alice.invites("1002", "offer of alice")
			b = bob.rung()
			b.says(183, "early answer")
			a.hears("183")
			return a, b
		},
		func(o *office, alice, bob *phone) (a, b *dialogue) { // before the ACK
			a = alice.invites("1002", "offer of alice")
			b = bob.rung()
			b.says(200, "answer of bob")
			bob.hears(sip.ACK)
			a.hears("200")
			return a, b
		},
		func(o *office, alice, bob *phone) (a, b *dialogue) { return o.talk(alice, bob) },
		func(o *office, alice, bob *phone) (a, b *dialogue) { // while it holds
			a, b = o.talk(alice, bob)
			a.asks(sip.INVITE, "offer sendonly")
			bob.hears(sip.INVITE)
			return a, b
		},
		func(o *office, alice, bob *phone) (a, b *dialogue) { // hung up
			a, b = o.talk(alice, bob)
			a.asks(sip.BYE, "")
			return a, b
		},
	}
	for _, proto := range []transport.Proto{transport.UDP, transport.TCP} {
		for stage, reach := range stages {
			for _, who := range []string{"alice", "bob", "both"} {
				t.Run(proto.String()+" stage "+string(rune('0'+stage))+" "+who, func(t *testing.T) {
					inOffice(t, func(o *office) {
						alice, bob := o.phone(proto, "1001", 1), o.phone(proto, "1002", 2)
						bob.register("")
						reach(o, alice, bob)
						alice.deaf, bob.deaf = true, true
						for _, p := range []*phone{alice, bob} {
							if who == "both" || p == map[string]*phone{"alice": alice, "bob": bob}[who] {
								p.Close()
								if proto != transport.UDP {
									o.net.Break(p.flow)
								}
							} else {
								p.humble()
							}
						}
						o.pass(10 * time.Second)
						for _, leg := range []string{"a", "b1"} { // the watchdog finds calls that nobody ends
							if s := o.media.of(leg); s.room != nil && !s.closed {
								s.silence()
								o.settle()
							}
						}
						o.pass(100 * time.Second)
						o.idle()
					})
				})
			}
		}
	}
}

// humble has a phone go on by itself: it answers what it is asked.
func (p *phone) humble() {
	p.Script(func(r siptest.Received) {
		switch r.Method() {
		case sip.BYE, sip.CANCEL, sip.OPTIONS:
			p.replies(r, 200, "", nil, p.Tag())
		case sip.INVITE:
			p.replies(r, 486, "", nil, p.Tag())
		}
		if r.Status() >= 300 && r.CSeqMethod() == sip.INVITE {
			(&dialogue{phone: p, request: siptest.Request{URI: "sip:1002@" + domain}}).acksRefusal(r)
		}
	})
}

// A page that sends nothing any more, not even checks, is gone when its connection is gone too: the other side is told at once. While the connection
// stands it may come back.
func TestPageIsGone(t *testing.T) {
	for _, closed := range []bool{false, true} {
		t.Run(map[bool]string{false: "connection stands", true: "connection closed"}[closed], func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob := o.tcpAlice(), o.bob()
				a, b := o.talk(alice, bob)
				if closed {
					o.net.Break(alice.flow)
				}
				o.media.of("a").options.Events(media.Event{Kind: media.Lost})
				o.settle()
				if !closed {
					bob.hearsNothing(time.Second)
					o.hangsUp(a, b)
					return
				}
				bob.oks(sip.BYE)
				o.pass(2 * parkTime)
				o.idle()
			})
		})
	}
}

// A phone on a connection of another shard, whose node has changed: what is said to it waits until it has come back there.
func TestAwayAtAnotherShard(t *testing.T) {
	for name, back := range map[string]bool{"it comes back": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob := o.alice(), o.bob()
				a, b := o.talk(alice, bob)
				for _, c := range o.board.calls {
					c.b.place = netip.MustParseAddr("192.0.2.77")
				}
				a.asks(sip.BYE, "")
				a.hears("200 BYE")
				began := o.net.Since()
				branches := map[string]bool{}
				for o.net.Since() < began+parkTime/2 {
					r := bob.hears(sip.BYE)
					via, err := r.TopVia()
					if branch := via.Branch(); err != nil || branches[branch] {
						t.Fatalf("the same branch %q again, %v", branch, err)
					} else {
						branches[branch] = true
					}
					b.replies(r, 430, "", nil, "")
				}
				if back {
					bob.oks(sip.BYE)
				} else {
					for o.net.Since() < began+parkTime {
						b.replies(bob.hears(sip.BYE), 430, "", nil, "")
					}
				}
				o.idle()
				bob.hearsNothing(time.Minute)
				o.record()
			})
		})
	}
}
