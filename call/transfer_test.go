package call

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transport"
)

// refers sends a REFER that is taken, and notes that the switch begins.
func (d *dialogue) refers(to string, lines ...string) {
	d.o.Helper()
	d.asks(sip.REFER, "", append([]string{"Refer-To: " + to}, lines...)...)
	d.phone.hears("202 REFER")
	d.told("100")
}

// told takes the next NOTIFY, which must tell that status.
func (d *dialogue) told(status string) siptest.Received {
	d.o.Helper()
	r := d.phone.hears(sip.NOTIFY)
	state := map[bool]string{true: "active", false: "terminated"}[status < "200"]
	body := r.Body()
	s, _ := r.Named("Subscription-State")
	if !strings.HasPrefix(body, "SIP/2.0 "+status+" ") || !strings.HasPrefix(s, state) || !strings.HasPrefix(r.Header(sip.HeaderEvent), "refer") ||
		!isType(r.Message, "message/sipfrag") {
		d.o.Errorf("%s is told\n%s", d.ext, r.Raw())
	}
	d.phone.replies(r, 200, "", nil, "")
	return r
}

// rejoins answers the re-INVITE that comes next.
func (d *dialogue) rejoins() string {
	d.o.Helper()
	r := d.phone.hears(sip.INVITE)
	d.phone.replies(r, 200, "answer of "+d.ext, []string{d.contact()}, "")
	d.phone.hears(sip.ACK)
	return r.Body()
}

// joined tells whether two legs of the latest call hear each other.
func (o *office) joined(a, b string) bool {
	x, y := o.media.of(a), o.media.of(b)
	return x.joined == y && y.joined == x && x.doing == ""
}

const carolAt = "<sip:1003@" + domain + ">"

// Either side transfers the other to a third phone: who stays hears that it rings, is seen by the third as who it is, and is
// joined with it by an ordinary re-offer; the transferor is told all along and then leaves.
func TestBlindTransfer(t *testing.T) {
	for _, side := range []string{"a", "b"} {
		t.Run(side, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
				a, b := o.talk(alice, bob)
				by, stays, leg := b, a, "a"
				if side == "a" {
					by, stays, leg = a, b, "b1"
				}
				by.refers(carolAt)
				if body := stays.rejoins(); !strings.Contains(body, "sendrecv") {
					o.Errorf("taken off hold with %q", body)
				}
				c := carol.rung()
				from := c.invite.Header(sip.HeaderFrom)
				referrer, _ := c.invite.Named("Referred-By")
				if !strings.Contains(from, "sip:"+stays.ext+"@") || !strings.Contains(referrer, "sip:"+by.ext+"@") {
					o.Errorf("carol sees From %q, Referred-By %q", from, referrer)
				}
				if o.media.of(leg).doing != "play" {
					o.Error("who stays hears nothing while it rings")
				}
				c.says(180, "")
				by.told("180")
				c.says(200, "answer of carol")
				carol.hears(sip.ACK)
				by.told("200")
				by.phone.oks(sip.BYE)
				stays.rejoins()
				o.settle()
				if !o.joined(leg, "b2") {
					o.Error("the two are not joined")
				}
				o.hangsUp(stays, c)
				r := o.record()
				if r.From != "1001" || len(r.Transfers) != 1 || r.Transfers[0].By != by.ext || r.Transfers[0].To != "1003" || r.Transfers[0].Kind != "blind" ||
					r.Transfers[0].Status != 200 || len(r.Legs) != 3 || r.EndedBy != leg {
					o.Errorf("record %+v", r)
				}
			})
		})
	}
}

// The target does not answer: the call goes back to the transferor, whatever the plan said in between.
func TestTransferFails(t *testing.T) {
	for name, x := range map[string]struct {
		status string
		ends   func(o *office, carol *dialogue)
	}{
		"busy":      {"486", func(_ *office, c *dialogue) { c.says(486, ""); c.phone.hears(sip.ACK) }},
		"no answer": {"480", func(o *office, c *dialogue) { c.says(100, ""); o.pass(20 * time.Second); c.hearsCancelled() }},
		"unusable":  {"488", func(_ *office, c *dialogue) { c.says(200, "broken"); c.phone.hears(sip.ACK); c.phone.oks(sip.BYE) }},
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
				a, b := o.talk(alice, bob)
				b.refers(carolAt)
				a.rejoins()
				x.ends(o, carol.rung())
				b.told(x.status)
				a.rejoins()
				if !o.joined("a", "b1") {
					o.Error("the call is not what it was")
				}
				b.refers(carolAt) // and may be transferred again
				a.rejoins()
				c := carol.rung()
				c.says(200, "answer of carol")
				carol.hears(sip.ACK)
				if r := b.told("200"); !strings.Contains(r.Header(sip.HeaderEvent), "id=") {
					o.Errorf("the second subscription has no id: %q", r.Header(sip.HeaderEvent))
				}
				bob.oks(sip.BYE)
				a.rejoins()
				o.hangsUp(a, c)
			})
		})
	}
}

// The transferor hangs up at once, as many phones do: the others go on, and where the target is busy it is rung again.
func TestTransferorLeavesAtOnce(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
		a, b := o.talk(alice, bob)
		b.refers(carolAt)
		b.asks(sip.BYE, "")
		bob.hears("200 BYE")
		a.rejoins()
		c := carol.rung()
		c.says(486, "")
		carol.hears(sip.ACK)
		again := bob.rung()
		again.says(200, "answer of bob")
		bob.hears(sip.ACK)
		o.settle()
		if !o.joined("a", "b3") {
			o.Error("the call did not come back")
		}
		o.hangsUp(again, a)
	})
	inOffice(t, func(o *office) { // nobody takes it back
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
		a, b := o.talk(alice, bob)
		b.refers(carolAt)
		b.asks(sip.BYE, "")
		bob.hears("200 BYE")
		a.rejoins()
		carol.rung().says(486, "")
		carol.hears(sip.ACK)
		bob.rung().says(486, "")
		bob.hears(sip.ACK)
		alice.oks(sip.BYE)
	})
}

// Who stays hangs up while the target rings: all is over, and the transferor is told.
func TestWhoStaysHangsUp(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
		a, b := o.talk(alice, bob)
		b.refers(carolAt)
		a.rejoins()
		c := carol.rung()
		c.says(180, "")
		b.told("180")
		a.asks(sip.BYE, "")
		alice.hears("200 BYE")
		c.hearsCancelled()
		b.told("487")
		bob.oks(sip.BYE)
		if r := o.record(); r.Transfers[0].Status != 487 {
			o.Errorf("record %+v", r.Transfers)
		}
	})
}

// What answers need not be a phone.
func TestTransferToTheSwitch(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		b.refers("<sip:400@" + domain + ">") // an echo
		a.rejoins()
		b.told("200")
		bob.oks(sip.BYE)
		o.settle()
		if o.media.of("a").doing != "echo" {
			o.Error("no echo")
		}
		a.asks(sip.BYE, "")
		alice.hears("200 BYE")
	})
}

// RFC 4488: who does not want to be told is not.
func TestTransferWithoutSubscription(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
		a, b := o.talk(alice, bob)
		b.asks(sip.REFER, "", "Refer-To: "+carolAt, "Refer-Sub: false", "Require: norefersub")
		if r := bob.hears("202 REFER"); !strings.Contains(r.Raw(), "Refer-Sub: false") {
			o.Errorf("answer\n%s", r.Raw())
		}
		a.rejoins()
		c := carol.rung()
		c.says(200, "answer of carol")
		carol.hears(sip.ACK)
		bob.oks(sip.BYE)
		a.rejoins()
		o.hangsUp(c, a)
	})
}

// A phone takes its extension's call over from another one (RFC 3891); a stranger's phone does not.
func TestReplaces(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		dave := o.phone(transport.UDP, "1004", 6)
		dave.invites("1001", "offer of dave", "Replaces: "+b.replacing()).hears("403")
		dave.invites("1001", "offer of dave", "Replaces: nothing;to-tag=1;from-tag=2").hears("481")
		dave.invites("1001", "offer of dave", "Replaces: nothing").hears("400")

		soft := o.phone(transport.TCP, "1002", 7)
		soft.invites("1001", "offer of soft", "Replaces: "+b.replacing()+";early-only").hears("486")
		s := soft.invites("1001", "offer of soft", "Require: replaces", "Replaces: "+b.replacing())
		bob.oks(sip.BYE)
		s.hears("200")
		s.acks("")
		a.rejoins()
		o.hangsUp(a, s)
		if n := len(o.ledger.all()); n != 6 {
			o.Errorf("%d records", n)
		}
	})
}

// What is no transfer of ours, or none that the transferor may make, is refused before anybody hears of it.
func TestTransferRefused(t *testing.T) {
	inOffice(t, func(o *office) {
		a, b := o.talk(o.alice(), o.bob())
		for _, x := range []struct{ to, status string }{
			{"<sip:1003@evil.example>", "403"},
			{"<sip:900123@" + domain + ">", "404"}, // no route
			{"<sip:1003@" + domain + ";method=BYE>", "403"},
			{"<https://example.com/>", "400"},
			{"<sip:" + domain + ">", "400"},
			{"nonsense", "400"},
			{carolAt + ", " + carolAt, "400"},
		} {
			b.asks(sip.REFER, "", "Refer-To: "+x.to)
			b.phone.hears(x.status + " REFER")
		}
		b.asks(sip.REFER, "")
		b.phone.hears("400 REFER")
		o.settle()
		if !o.joined("a", "b1") {
			o.Error("the call is not what it was")
		}
		o.hangsUp(a, b)
	})
}

// Calls with carriers: an extension sends its caller from outside on, or the one it has called outside, by its own rules and
// on its own account; a carrier sends nobody anywhere.
func TestTransferOfCarriersCalls(t *testing.T) {
	inTrade(t, func(o *office, _ wires) {
		alice, bob, first := o.alice(), o.bob(), o.phone(transport.UDP, "first", 71)
		a := alice.invites(abroad, "offer of alice")
		f := first.rung()
		f.says(200, "answer of first")
		first.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		f.asks(sip.REFER, "", "Refer-To: <sip:1002@"+domain+">")
		first.hears("405 REFER")
		a.refers("<sip:1002@" + domain + ">")
		f.rejoins()
		b := bob.rung()
		if from := b.invite.Header(sip.HeaderFrom); strings.Contains(from, "1001") || !strings.Contains(from, strings.TrimPrefix(abroad, "00")) {
			o.Errorf("bob sees %q", from)
		}
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.told("200")
		alice.oks(sip.BYE)
		f.rejoins()
		o.leaves(f, b)
		o.pass(time.Second)
		if r := o.record(); r.From != "1001" || r.Attempts[1].Extension != "1002" || r.Transfers[0].Status != 200 {
			o.Errorf("record %+v", r)
		}
	})
	inTrade(t, func(o *office, _ wires) { // to a number outside: the transferor pays
		alice, bob, first := o.alice(), o.bob(), o.phone(transport.UDP, "first", 71)
		a, b := o.talk(alice, bob)
		b.refers("<sip:" + abroad + "@" + domain + ">")
		a.rejoins()
		f := first.rung()
		if raw := f.invite.Raw(); strings.Contains(raw, "Referred-By") || strings.Contains(raw, "1001") || strings.Contains(raw, "1002") {
			o.Errorf("the carrier is told of the inside:\n%s", raw)
		}
		f.says(200, "answer of first")
		first.hears(sip.ACK)
		b.told("200")
		bob.oks(sip.BYE)
		a.rejoins()
		o.leaves(a, f)
		o.pass(time.Second)
		if r := o.record(); r.payer != "1002" {
			o.Errorf("paid by %q", r.payer)
		}
	})
	inTrade(t, func(o *office, _ wires) { // who may not call outside may not transfer there
		alice, dave := o.alice(), o.registered("1004", 6)
		a, d := o.talk(alice, dave)
		d.asks(sip.REFER, "", "Refer-To: <sip:"+abroad+"@"+domain+">")
		dave.hears("403 REFER")
		o.leaves(a, d)
	})
}

// Two phones that transfer a third to each other do not go on for ever.
func TestTransfersAreBounded(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
		a, by := o.talk(alice, bob)
		for i := range mostTransfers {
			to := []*phone{carol, bob}[i%2]
			by.refers("<sip:" + to.ext + "@" + domain + ">")
			a.rejoins()
			next := to.rung()
			next.says(200, "answer")
			to.hears(sip.ACK)
			by.told("200")
			by.phone.oks(sip.BYE)
			a.rejoins()
			by = next
		}
		by.asks(sip.REFER, "", "Refer-To: "+carolAt)
		by.phone.hears("403 REFER")
		o.hangsUp(a, by)
	})
}

// A transferred call survives the process, whichever side stayed, and so does one that was made of two.
func TestTransferredCallSurvivesAKill(t *testing.T) {
	check := func(o *office, x, y *dialogue) {
		o.settle()
		o.revive()
		if n := o.board.Live(); n != 1 {
			o.Fatalf("%d calls", n)
		}
		x.asks(sip.INVITE, "offer sendonly")
		r := y.phone.hears(sip.INVITE)
		y.replies(r, 200, "answer recvonly", []string{y.contact()}, "")
		y.phone.hears(sip.ACK)
		x.phone.hears("200 INVITE")
		x.acks("")
		o.settle()
		o.hangsUp(y, x)
		if n := o.journal.size(); n != 0 {
			o.Errorf("%d calls left in the journal", n)
		}
	}
	for _, side := range []string{"a", "b"} {
		t.Run("blind "+side, func(t *testing.T) {
			inOffice(t, func(o *office) {
				o.keeps()
				alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
				a, b := o.talk(alice, bob)
				by, stays := b, a
				if side == "a" {
					by, stays = a, b
				}
				by.refers(carolAt)
				stays.rejoins()
				c := carol.rung()
				c.says(200, "answer of carol")
				carol.hears(sip.ACK)
				by.told("200")
				by.phone.oks(sip.BYE)
				stays.rejoins()
				check(o, stays, c)
			})
		})
	}
	t.Run("attended", func(t *testing.T) {
		inOffice(t, func(o *office) {
			o.keeps()
			alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
			a, b := o.talk(alice, bob)
			b2, c := o.consults(bob, carol)
			b.refers("<sip:1003@" + domain + "?Replaces=" + url.QueryEscape(b2.replacing()) + ">")
			heard := bob.hearsAll(sip.NOTIFY, sip.BYE)
			bob.replies(heard[sip.BYE], 200, "", nil, "")
			bob.replies(heard[sip.NOTIFY], 200, "", nil, "")
			bob.oks(sip.BYE)
			for _, d := range []*dialogue{a, c, a} {
				d.rejoins()
			}
			check(o, a, c)
		})
	})
}

// The process dies while a call is being transferred: the next one gives it back to the transferor.
func TestKilledInATransfer(t *testing.T) {
	for _, side := range []string{"a", "b"} {
		t.Run(side, func(t *testing.T) {
			inOffice(t, func(o *office) {
				o.keeps()
				alice, bob := o.alice(), o.bob()
				a, b := o.talk(alice, bob)
				by, stays := b, a
				if side == "a" {
					by, stays = a, b
				}
				by.refers("<sip:400@" + domain + ">")
				stays.phone.hears(sip.INVITE)
				o.settle()
				o.revive()
				stays.rejoins()
				if x, y := o.media.of("a"), o.media.of("b1"); x.joined != y || y.joined != x {
					o.Error("the two are not joined again")
				}
				o.hangsUp(by, stays)
				if n := o.journal.size(); n != 0 {
					o.Errorf("%d calls left in the journal", n)
				}
			})
		})
	}
}
