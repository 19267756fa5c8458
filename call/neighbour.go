package call

import (
	"tandem/dialplan"
	"tandem/registrar"
	"tandem/sip"
)

// Neighbours are the other shards of a cluster. A call belongs to the shard of who called, so of the two calls that a transfer makes
// one of, each may be in another: the one that has been asked then takes the other's place there, by INVITE with Replaces
// (RFC 5589 §7), in the name of the extension that both are of.
type Neighbours interface {
	// Ways lead to each neighbour, for an INVITE with that Replaces in the name of an extension.
	Ways(extension, replaces string) []registrar.Binding
	// Speaks is the extension in whose name a neighbour has sent such an INVITE; false: it comes from none.
	Speaks(m *sip.Message) (extension string, ok bool)
}

// search is a dialog that is none of ours, and where it may be.
type search struct {
	replaces string
	ways     []registrar.Binding
}

// searchFor is where a dialog of an extension may be that was not found here; nil: nowhere.
func (s *Switchboard) searchFor(r *replaces, extension string, fail *sip.StatusError) *search {
	if fail == nil || fail.Code != 481 || s.neighbours == nil || r.earlyOnly {
		return nil
	}
	x := &search{replaces: r.text()}
	if x.ways = s.neighbours.Ways(extension, x.replaces); len(x.ways) == 0 {
		return nil
	}
	return x
}

// text is the value of a Replaces header.
func (r *replaces) text() string { return r.callID + ";to-tag=" + r.local + ";from-tag=" + r.remote }

// seek is the step that asks the neighbours, all at once: the one that has the dialog answers, the others say 481.
func (c *Call) seek(x *search, extension string) {
	c.seeking = x
	c.steps = []dialplan.Step{dialplan.Dial{Targets: []dialplan.Target{{Extension: extension}}, Timeout: askTime}}
}

// fromNeighbour is the extension in whose name a neighbour asks; false: the request is no such.
func (s *Switchboard) fromNeighbour(m *sip.Message) (extension string, ok bool) {
	if s.neighbours == nil || m.Method() != sip.INVITE || m.ToTag() != "" {
		return "", false
	}
	if _, ok = m.Named("Replaces"); !ok {
		return "", false
	}
	return s.neighbours.Speaks(m)
}
