package call

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/sip"
)

// consults lets bob, who talks with alice, talk with carol too.
func (o *office) consults(bob, carol *phone) (b, c *dialogue) {
	o.Helper()
	b = bob.invites("1003", "offer of bob")
	c = carol.rung()
	c.says(200, "answer of carol")
	carol.hears(sip.ACK)
	b.hears("200")
	b.acks("")
	o.settle()
	return b, c
}

// replacing is a Refer-To, or a Replaces, of a dialogue's own dialog, as the other side of it has it.
func (d *dialogue) replacing() string {
	tag := func(value string) string { _, t, _ := strings.Cut(value, ";tag="); return t }
	return d.callID + ";to-tag=" + tag(d.remote) + ";from-tag=" + tag(d.local)
}

// Two calls of one phone become one between the others, which phones tell by Replaces.
func TestAttendedTransfer(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
		a, b := o.talk(alice, bob)
		b2, c := o.consults(bob, carol)
		b.asks(sip.REFER, "", "Refer-To: <sip:1003@192.0.2.9?Replaces="+url.QueryEscape(b2.replacing())+">")
		heard := bob.hearsAll("202 REFER", sip.NOTIFY, sip.BYE)
		bob.replies(heard[sip.BYE], 200, "", nil, "")
		bob.replies(heard[sip.NOTIFY], 200, "", nil, "")
		b.told("200")
		bob.oks(sip.BYE)
		for _, d := range []*dialogue{a, c, a} {
			d.rejoins()
		}
		o.settle()
		if x, y := o.media.sessions[0], o.media.sessions[3]; x.joined != y || y.joined != x {
			o.Error("alice and carol are not joined")
		}
		if calls := o.board.Calls(); len(calls) != 1 || o.media.sessions[3].renamed != calls[0].Call+"/"+calls[0].Legs[1].Leg {
			o.Errorf("carol's streams are noted as those of %q in %+v", o.media.sessions[3].renamed, calls)
		}
		c.sends(sip.INFO, "text/plain", "it is me") // what carol says reaches alice
		alice.oks(sip.INFO)
		carol.hears("200 INFO")
		o.hangsUp(c, a)
		records := o.ledger.all()
		if len(records) != 2 {
			o.Fatalf("%d records", len(records))
		}
		i := slices.IndexFunc(records, func(r Record) bool { return len(r.Transfers) > 0 })
		if r := records[i]; r.Transfers[0].Kind != "attended" || r.Transfers[0].Status != 200 || r.From != "1001" || len(r.Legs) != 3 {
			o.Errorf("record %+v", r)
		}
		if r := records[1-i]; r.From != "1002" || r.Number != "1003" || len(r.Legs) != 2 || r.Cause != sip.CauseNormal {
			o.Errorf("record of the second call %+v", r)
		}
	})
}

// JsSIP names a call that came in, of the two that become one, with the tags the other way round.
func TestAttendedTransferOfCallsThatCameIn(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
		a, b := o.talk(alice, bob)
		c, b2 := o.consults2(carol, bob)
		tags := strings.NewReplacer("to-tag", "from-tag", "from-tag", "to-tag").Replace(b2.replacing())
		b.refers("<sip:1003@" + domain + "?Replaces=" + url.QueryEscape(tags) + ">")
		heard := bob.hearsAll(sip.NOTIFY, sip.BYE)
		bob.replies(heard[sip.BYE], 200, "", nil, "")
		bob.replies(heard[sip.NOTIFY], 200, "", nil, "")
		bob.oks(sip.BYE)
		for _, d := range []*dialogue{a, c, a} {
			d.rejoins()
		}
		o.hangsUp(c, a)
	})
}

// consults2 has x call y, who talks already.
func (o *office) consults2(x, y *phone) (a, b *dialogue) {
	o.Helper()
	a = x.invites(y.ext, "offer")
	b = y.rung()
	b.says(200, "answer")
	y.hears(sip.ACK)
	a.hears("200")
	a.acks("")
	o.settle()
	return a, b
}

// Bob transfers while carol still rings, as phones do that do not cancel first: his own call ends, and carol is called for alice. So it is with a target that our
// own leg is named by.
func TestTransferWhileItRings(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
		a, b := o.talk(alice, bob)
		b2 := bob.invites("1003", "offer of bob")
		c := carol.rung()
		c.says(180, "")
		r := bob.hears("180")
		b2.remote = r.Header(sip.HeaderTo)
		o.settle()
		b.asks(sip.REFER, "", "Refer-To: <sip:192.0.2.9?Replaces="+url.QueryEscape(b2.replacing())+">")
		heard := bob.hearsAll("202 REFER", sip.NOTIFY, "487 INVITE")
		bob.replies(heard[sip.NOTIFY], 200, "", nil, "")
		b2.acks("")
		r = carol.hears(sip.CANCEL)
		carol.replies(r, 200, "", nil, "")
		c.says(487, "")
		carol.hears(sip.ACK)
		a.rejoins()
		c = carol.rung()
		c.says(200, "answer of carol")
		carol.hears(sip.ACK)
		b.told("200")
		bob.oks(sip.BYE)
		a.rejoins()
		o.hangsUp(a, c)
	})
}

// Somebody else's dialog, one that is not there, one that is still open, and this call itself.
func TestAttendedTransferRefused(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
		a, b := o.talk(alice, bob)
		dave := o.registered("1004", 6)
		d, c := o.consults(dave, carol)
		for status, r := range map[string]string{
			"403": d.replacing(), "481": "nothing;to-tag=1;from-tag=2", "400": "nothing;to-tag=1",
		} {
			b.asks(sip.REFER, "", "Refer-To: <sip:1003@"+domain+"?Replaces="+url.QueryEscape(r)+">")
			bob.hears(status + " REFER")
		}
		b.asks(sip.REFER, "", "Refer-To: <sip:1001@"+domain+"?Replaces="+url.QueryEscape(b.replacing())+">")
		bob.hears("403 REFER")
		o.leaves(d, c)
		o.hangsUp(a, b)
	})
}

// The second call has something open: it is asked again, and at last given up, and the call goes back.
func TestAttendedTransferWaits(t *testing.T) {
	for name, closes := range map[string]bool{"in time": true, "not": false} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
				a, b := o.talk(alice, bob)
				b2, c := o.consults(bob, carol)
				c.asks(sip.INVITE, "offer sendonly")
				open := bob.hears(sip.INVITE)
				bob.replies(open, 100, "", nil, "")
				b.refers("<sip:1003@" + domain + "?Replaces=" + url.QueryEscape(b2.replacing()) + ">")
				o.pass(time.Second)
				if !closes {
					o.pass(4200 * time.Millisecond)
					b.told("491")
					a.rejoins()
				}
				bob.replies(open, 200, "answer recvonly", []string{b2.contact()}, "")
				bob.hears(sip.ACK)
				c.phone.hears("200")
				c.acks("")
				if !closes {
					o.leaves(b2, c)
					o.hangsUp(a, b)
					return
				}
				o.pass(askAgain)
				heard := bob.hearsAll(sip.NOTIFY, sip.BYE)
				bob.replies(heard[sip.BYE], 200, "", nil, "")
				bob.replies(heard[sip.NOTIFY], 200, "", nil, "")
				bob.oks(sip.BYE)
				for _, d := range []*dialogue{a, c, a} {
					d.rejoins()
				}
				o.hangsUp(a, c)
			})
		})
	}
}
