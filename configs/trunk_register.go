package configs

import (
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
	"tandem/trunk"
)

var registerSchema = block.Schema("expires user username password each retry bulk")

// mostRegistrations bounds those of one trunk: each keeps a binding alive.
const mostRegistrations = 1000

// register reads one registration; a trunk may have several, for several accounts or numbers.
func (l *loader) register(c *trunk.Config, outer *block.Reader, b *hcl.Block) {
	r := l.open(b.Body, registerSchema)
	cred := l.credential(r, c.Credential.Realm)
	reg := trunk.Register{
		User: r.Text("user", r.Text("username", c.Credential.Username)), Each: r.Bool("each", false), Bulk: r.Bool("bulk", false), Credential: cred,
		Expires: r.Duration("expires", trunk.DefaultExpires, 10*time.Second, 24*time.Hour),
		Retry:   r.Duration("retry", trunk.DefaultRetry, time.Second, 30*time.Minute),
	}
	if cred.Username == "" {
		reg.Credential.Realm = ""
	}
	switch {
	case reg.User == "" && !outer.Has("username") && !outer.Meant("username") && !r.Has("username"):
		r.Fail(b.DefRange, "who registers", "Write the username of the trunk, or a user here where the carrier knows us by our address.")
	case !printable(reg.User):
		r.Fail(r.Range("user"), "not a user name", "A user name is one line.")
	case slices.ContainsFunc(c.Registers, func(o trunk.Register) bool { return o.User == reg.User }):
		r.Fail(b.DefRange, "registered twice", "%q is registered already: a further registration is of another user.", reg.User)
	case len(c.Registers) >= mostRegistrations:
		r.Fail(b.DefRange, "too many registrations", "A trunk has at most %d; a whole block of numbers takes one, with bulk = true (RFC 6140).", mostRegistrations)
	}
	c.Registers = append(c.Registers, reg)
}
