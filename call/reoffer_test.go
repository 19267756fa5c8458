package call

import (
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/siptest"
)

// refused ends a re-INVITE of the dialogue: takes note of the status and acknowledges it.
func (d *dialogue) refused(status string) siptest.Received {
	d.o.Helper()
	r := d.phone.hears(status)
	if r.CSeqMethod() == sip.INVITE {
		d.acksRefusal(r)
	}
	return r
}

// A refusal puts both sides back to what was agreed, and the same status comes back (RFC 3261 §14.1).
func TestReInviteRefused(t *testing.T) {
	for _, x := range []struct {
		status int
		want   string
	}{{488, "488"}, {491, "491"}, {500, "500"}, {603, "603"}, {401, "488"}, {407, "488"}, {302, "488"}, {503, "500"}} {
		for _, caller := range []bool{true, false} {
			inOffice(t, func(o *office) {
				a, b := o.talk(o.alice(), o.bob())
				from, to := a, b
				if !caller {
					from, to = b, a
				}
				from.asks(sip.INVITE, "offer sendonly")
				re := to.phone.hears(sip.INVITE)
				to.replies(re, x.status, "", []string{`WWW-Authenticate: Digest realm="example.com", nonce="n", qop="auth"`}, "")
				to.phone.hears(sip.ACK)
				if r := from.refused(x.want); r.Has(sip.HeaderWWWAuthenticate) {
					o.Error("a challenge is passed on")
				}
				if s, r := o.media.of("a"), o.media.of("b1"); s.rollbacks != 1 || r.rollbacks != 1 || s.pending+r.pending != "" {
					o.Errorf("rolled back %d and %d times", s.rollbacks, r.rollbacks)
				}
				to.phone.hearsNothing(5 * time.Second)
				o.hangsUp(from, to)
			})
		}
	}
}

// A peer that knows the dialog no more, or says nothing, has left the call.
func TestReInviteToAPeerThatIsGone(t *testing.T) {
	t.Run("481", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			a.asks(sip.INVITE, "offer sendonly")
			re := b.phone.hears(sip.INVITE)
			b.replies(re, 481, "", nil, "")
			b.phone.hearsAll(sip.ACK, sip.BYE)
			b.replies(b.phone.All()[b.read-1], 481, "", nil, "")
			a.refused("481")
			a.oks(sip.BYE)
			o.pass(33 * time.Second)
			if r := o.record(); r.EndedBy != "b1" {
				o.Errorf("ended by %s", r.EndedBy)
			}
		})
	})
	t.Run("silence", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			b.phone.Close()
			b.deaf = true
			a.asks(sip.INVITE, "offer sendonly")
			a.refused("500")
			o.at(32 * time.Second)
			a.oks(sip.BYE)
			o.pass(33 * time.Second)
		})
	})
}

// A re-INVITE that got a provisional response and then nothing is given up: neither the asker nor the end of the call
// waits for it.
func TestReInviteNeverAnswered(t *testing.T) {
	t.Run("given up", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			a.asks(sip.INVITE, "offer sendonly")
			re := b.phone.hears(sip.INVITE)
			b.replies(re, 180, "", nil, "")
			a.refused("500")
			o.at(32500 * time.Millisecond)
			cancel := b.phone.hears(sip.CANCEL)
			b.replies(cancel, 200, "", nil, "")
			b.replies(re, 487, "", nil, "")
			b.phone.hears(sip.ACK)
			o.hangsUp(a, b)
		})
	})
	t.Run("answered when it was given up", func(t *testing.T) {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			a.asks(sip.INVITE, "offer sendonly")
			re := b.phone.hears(sip.INVITE)
			b.replies(re, 180, "", nil, "")
			a.refused("500")
			cancel := b.phone.hears(sip.CANCEL)
			b.replies(re, 200, "answer recvonly", []string{b.contact()}, "")
			b.replies(cancel, 200, "", nil, "")
			b.phone.hears(sip.ACK)
			again := b.phone.hears(sip.INVITE) // it holds for nobody: told so
			if again.Body() != "offer 3 of b1: sendrecv" {
				o.Errorf("offered %q", again.Body())
			}
			b.replies(again, 200, "answer of bob", []string{b.contact()}, "")
			b.phone.hears(sip.ACK)
			o.hangsUp(a, b)
		})
	})
	t.Run("the call ends meanwhile", func(t *testing.T) {
		for _, final := range []int{487, 200, 0} {
			inOffice(t, func(o *office) {
				a, b := o.talk(o.alice(), o.bob())
				a.asks(sip.INVITE, "offer sendonly")
				invite := a.cseq
				re := b.phone.hears(sip.INVITE)
				b.replies(re, 180, "", nil, "")
				o.pass(time.Second)
				a.asks(sip.BYE, "")
				got := a.phone.hearsAll("200 BYE", "487 INVITE")
				if seq, _, _ := got["487 INVITE"].CSeq(); int(seq) != invite {
					o.Error("another INVITE was refused")
				}
				a.acksRefusal(got["487 INVITE"])
				more := b.phone.hearsAll(sip.CANCEL, sip.BYE)
				b.replies(more[sip.CANCEL], 200, "", nil, "")
				b.replies(more[sip.BYE], 200, "", nil, "")
				switch final {
				case 0:
					o.pass(32 * time.Second)
				default:
					b.replies(re, final, "answer", []string{b.contact()}, "")
					b.phone.hears(sip.ACK)
					if final == 200 {
						b.replies(re, final, "answer", []string{b.contact()}, "")
						b.phone.hears(sip.ACK)
					}
				}
				o.idle()
			})
		}
	})
}

// The asker gives its re-INVITE up: 487 for it, CANCEL for the other side.
func TestReInviteCancelled(t *testing.T) {
	for _, crossed := range []bool{false, true} {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			r := a.asks(sip.INVITE, "offer sendonly")
			re := b.phone.hears(sip.INVITE)
			b.replies(re, 180, "", nil, "")
			o.settle()
			a.Send(a.flow, siptest.Request{Method: sip.CANCEL, URI: r.URI, Branch: r.Branch, From: r.From, To: r.To, CallID: r.CallID, CSeq: r.CSeq})
			a.acksRefusal(a.phone.hearsAll("200 CANCEL", "487 INVITE")["487 INVITE"])
			cancel := b.phone.hears(sip.CANCEL)
			b.replies(cancel, 200, "", nil, "")
			if crossed {
				b.replies(re, 200, "answer recvonly", []string{b.contact()}, "")
				b.phone.hears(sip.ACK)
				again := b.phone.hears(sip.INVITE)
				b.replies(again, 491, "", nil, "") // and even that may meet something
				b.phone.hears(sip.ACK)
				at := o.net.Since()
				again = b.phone.hears(sip.INVITE)
				if pause := o.net.Since() - at; pause < 2100*time.Millisecond || pause > 4*time.Second {
					o.Errorf("tried again after %v", pause) // we made the Call-ID (RFC 3261 §14.1)
				}
				b.replies(again, 200, "answer of bob", []string{b.contact()}, "")
			} else {
				b.replies(re, 487, "", nil, "")
			}
			b.phone.hears(sip.ACK)
			o.settle()
			if a, b := o.media.of("a"), o.media.of("b1"); a.pending != "" || b.direction.String() != "sendrecv" {
				o.Errorf("%q pending, Bob %v", a.pending, b.direction)
			}
			o.hangsUp(a, b)
		})
	}
}

// A description that cannot be used is refused, and the call goes on.
func TestBrokenReInvite(t *testing.T) {
	for _, x := range []struct {
		body, kind string
		want       string
	}{{"broken", "", "400"}, {"unknown-codec", "", "488"}, {"offer", "multipart/mixed;boundary=x", "415"}} {
		inOffice(t, func(o *office) {
			a, b := o.talk(o.alice(), o.bob())
			for _, d := range []*dialogue{a, b} {
				d.cseq++
				d.Send(d.flow, siptest.Request{
					Method: sip.INVITE, URI: d.target, From: d.local, To: d.remote, CallID: d.callID, CSeq: d.cseq,
					Body: x.body, Type: x.kind, Lines: []string{d.contact()},
				})
				d.refused(x.want)
			}
			// and a broken answer of the other side is a refusal
			a.asks(sip.INVITE, "offer sendonly")
			re := b.phone.hears(sip.INVITE)
			b.replies(re, 200, "broken", []string{b.contact()}, "")
			b.phone.hears(sip.ACK)
			a.refused("488")
			o.hangsUp(a, b)
		})
	}
}

// A BYE from the side that was asked while the re-INVITE pends.
func TestByeWhileAReInvitePends(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		a.asks(sip.INVITE, "offer sendonly")
		re := b.phone.hears(sip.INVITE)
		b.asks(sip.BYE, "")
		b.phone.hears("200 BYE")
		a.acksRefusal(a.phone.hearsAll("487 INVITE", sip.BYE)["487 INVITE"])
		a.replies(a.lastBye(), 200, "", nil, "")
		b.replies(re, 487, "", nil, "")
		b.phone.hears(sip.ACK)
		o.idle()
	})
}

// lastBye is the last BYE that the phone heard.
func (p *phone) lastBye() siptest.Received {
	all := p.All()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Method() == sip.BYE {
			return all[i]
		}
	}
	return siptest.Received{}
}
