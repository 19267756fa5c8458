package call

import (
	"strings"
	"testing"

	"tandem/sip"
	"tandem/trunk"
)

// The transport is told how long an INVITE to a carrier will be before it is written, for one that is too long for a datagram
// goes over TCP (RFC 3261 §18.1.1): never less than it is, and not so much more that short ones would go there.
func TestTheLengthOfAnINVITEIsForeseen(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(first, second *trunk.Config)
		lines  []string
	}{
		{"plain", func(_, _ *trunk.Config) {}, nil},
		{"headers of the trunk", func(first, _ *trunk.Config) {
			first.Headers.Add = [][2]string{{"X-Long", strings.Repeat("x", 250)}, {"X-Longer", strings.Repeat("y", 250)}}
		}, nil},
		{"headers of the caller", func(first, _ *trunk.Config) { first.Headers.Pass = []string{"X-Ticket"} }, []string{"X-Ticket: " + strings.Repeat("z", 400)}},
		{"signed", func(first, _ *trunk.Config) { first.STIR.Sign, first.Identity = true, trunk.IdentityPAI }, nil},
	} {
		n := newNotary(t)
		inTrade(t, func(o *office, w wires) {
			s := *o.board.Settings()
			s.Signer = n.signer
			o.board.Update(&s)
			alice, first := o.alice(), o.phone(0x1, "first", 71)
			a := alice.invites(abroad, "offer of alice"+strings.Repeat(" ", 300), x.lines...)
			b := first.rung()
			if is := len(b.invite.Raw()) + 300; *w.size < is || *w.size > is+450 { // the offer here is shorter than the caller's
				t.Errorf("%s: %d bytes are foreseen, %d come", x.name, *w.size, is)
			}
			b.says(486, "")
			first.hears(sip.ACK)
			a.hears("486")
		}, x.change, func(first, _ *trunk.Config) { first.STIR.Known, first.STIR.Owned = "B", "A" })
	}
}
