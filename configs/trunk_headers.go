package configs

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"tandem/dialplan/block"
	"tandem/sip"
	"tandem/trunk"
)

var headersSchema = block.Schema("add remove pass")

// removable are the headers that an INVITE to a carrier has by itself and can be without.
var removable = []string{"User-Agent", "Priority", "User-to-User"}

// mostHeaders bounds those of one trunk, and longestHeader the value of one, in bytes: the INVITE must fit into a datagram.
const (
	mostHeaders   = 16
	longestHeader = 256
)

// trunkHeaders reads what the INVITEs to one carrier have beside the usual.
func (l *loader) trunkHeaders(c *trunk.Config, b *hcl.Block) {
	r := l.open(b.Body, headersSchema)
	if v, ok := r.Value("add", cty.Map(cty.String)); ok && !v.IsNull() {
		added := v.AsValueMap()
		for _, name := range slices.Sorted(maps.Keys(added)) {
			l.addHeader(r, c, name, added[name])
		}
	}
	for _, w := range r.Words("remove") {
		if !slices.ContainsFunc(removable, func(n string) bool { return strings.EqualFold(n, w.Text) }) {
			r.Fail(w.At, "not removable", "Only what a call can be without is removed: %s.%s", strings.Join(removable, ", "), block.DidYouMean(w.Text, removable))
			continue
		}
		c.Headers.Remove = append(c.Headers.Remove, w.Text)
	}
	for _, w := range r.Words("pass") {
		if !trunk.MayCarry(w.Text) || strings.EqualFold(w.Text, "User-Agent") {
			r.Fail(w.At, "not passed on", "%q is a header that the switch writes itself, or none.", w.Text)
			continue
		}
		c.Headers.Pass = append(c.Headers.Pass, w.Text)
	}
	if len(c.Headers.Add)+len(c.Headers.Pass) > mostHeaders {
		r.Fail(b.DefRange, "too many headers", "A trunk adds and passes at most %d headers.", mostHeaders)
	}
}

func (l *loader) addHeader(r *block.Reader, c *trunk.Config, name string, v cty.Value) {
	at := r.Range("add")
	switch {
	case !trunk.MayCarry(name):
		r.Fail(at, "not to be added", "%q is a header that the switch writes itself, or none.", name)
		return
	case v.IsNull() || !v.IsKnown():
		r.Fail(at, "no value", "The header %s has no value.", name)
		return
	case slices.ContainsFunc(c.Headers.Add, func(a [2]string) bool { return sip.EqualFold(a[0], name) }):
		r.Fail(at, "named twice", "The header %s is there already: case does not matter.", name)
		return
	}
	value := v.AsString()
	if !printable(value) || strings.TrimSpace(value) != value || value == "" || len(value) > longestHeader {
		r.Fail(at, "not a header's value", "The value of %s is one line of 1 to %d bytes without control characters.", name, longestHeader)
		return
	}
	c.Headers.Add = append(c.Headers.Add, [2]string{name, value})
}
