package call

import (
	"context"
	"testing"

	"tandem/sip"
	"tandem/sip/transport"
)

// The transferor has hung up, and the process dies while the target rings: who stays is neither forgotten nor given back to nobody; the
// target is rung again.
func TestKilledInATransferThatWasLeft(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
		a, b := o.talk(alice, bob)
		b.refers(carolAt)
		a.rejoins()
		carol.rung()
		b.asks(sip.BYE, "")
		b.hears("200 BYE")
		o.router.reach = func(context.Context, sip.URI, int) (transport.Flow, error) { return carol.back(), nil } // her binding's flow died
		o.revive()
		c := carol.rung()
		a.rejoins()
		c.says(200, "answer of carol")
		carol.hears(sip.ACK)
		o.settle()
		if !o.joined("a", "b2") {
			t.Error("the two are not joined")
		}
		o.hangsUp(a, c)
		if r := o.record(); r.EndedBy != "a" || len(r.Transfers) != 1 || len(r.Legs) != 3 {
			t.Errorf("record %+v", r)
		}
	})
}

// The process dies when the target has answered and the transferor is not told goodbye yet: it is told by whoever goes on.
func TestKilledBeforeTheTransferorLeaves(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
		a, b := o.talk(alice, bob)
		b.refers(carolAt)
		a.rejoins()
		c := carol.rung()
		c.says(200, "answer of carol")
		carol.hears(sip.ACK)
		bob.hears(sip.NOTIFY) // and what it says to that is lost
		a.rejoins()
		o.revive()
		bob.oks(sip.BYE)
		o.settle()
		if !o.joined("a", "b2") {
			t.Error("the two are not joined")
		}
		o.hangsUp(a, c)
		o.record()
	})
}
