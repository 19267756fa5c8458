package call

import "testing"

// A call whose state shall be written anew is, though nothing has changed in it. One that rings is forgotten where a node of the version before
// would read it.
func TestRewrite(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob, carol := o.alice(), o.bob(), o.registered("1003", 5)
		a, b := o.talk(alice, bob)
		o.settle()
		before := o.journal.puts
		o.board.Rewrite()
		o.settle()
		if got := o.journal.puts - before; got != 1 {
			t.Errorf("written %d times", got)
		}
		o.hangsUp(a, b)
		c := carol.invites("1002", "offer of carol")
		d := bob.rung()
		before = o.journal.puts
		o.board.Rewrite()
		o.settle()
		if got := o.journal.puts - before; got != 1 {
			t.Errorf("a ringing call is written %d times", got)
		}
		o.journal.old.Store(true)
		o.board.Rewrite()
		o.settle()
		if got := o.journal.puts - before; got != 1 || o.journal.size() != 0 {
			t.Errorf("a ringing call is written %d times, and there for a node that takes it for an answered one", got)
		}
		d.says(486, "")
		bob.hears("ACK")
		c.hears("486")
	})
}
