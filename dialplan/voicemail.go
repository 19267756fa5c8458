package dialplan

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"tandem/dialplan/block"
)

// Voicemail answers, greets and takes a message for an extension; or, where Listen is set, lets the caller hear the
// messages of the box and delete them.
type Voicemail struct {
	Box      string        // number of the extension
	Listen   bool          // hear messages, instead of leaving one
	Greeting string        // absolute path; empty: that of the box
	Longest  time.Duration // of one message
	Silence  time.Duration // that ends a message

	box  *expression
	name string
}

var voicemailSchema = block.Schema("box listen greeting longest silence")

func (c *compiler) voicemail(b *hcl.Block) Step {
	r := c.open(b.Body, voicemailSchema)
	r.Require("box")
	v := Voicemail{
		Listen: r.Bool("listen", false), Longest: r.Duration("longest", 3*time.Minute, 5*time.Second, time.Hour),
		Silence: r.Duration("silence", 5*time.Second, time.Second, time.Minute),
	}
	v.Greeting, v.name = c.file(r, "greeting")
	if v.Listen && r.Has("greeting") {
		c.fail(r.Range("greeting"), "nobody to greet", "Who listens to messages is told how many there are.")
	}
	if e := r.Expr("box"); e != nil {
		if target, is := c.extensionRef(e); is {
			v.Box = target
		} else if v.box = c.expression(e, cty.String, "The box"); v.box != nil && v.box.constant != nil {
			c.fail(e.Range(), "not a reference", "A quoted text is not a reference. Write extension[%q], or call.to for the number that was dialled.", *v.box.constant)
		}
	}
	return v
}

// extensionRef reads extension["1001"]; false: it is an expression such as call.to.
func (c *compiler) extensionRef(e hcl.Expression) (string, bool) {
	native, diags := block.Native(e)
	if diags.HasErrors() {
		return "", false
	}
	path, diags := hcl.AbsTraversalForExpr(native)
	if diags.HasErrors() || path.RootName() == "call" {
		return "", false
	}
	ref, diag := block.FromPath(path, "extension")
	if diag != nil {
		c.diags = append(c.diags, diag)
	} else {
		lookup(c, ref, c.plan.extensions)
	}
	return ref.Name, true
}

func (s Voicemail) resolve(e *env, to []Step) []Step {
	if s.box != nil {
		number := s.box.text(e)
		x := e.plan.whose(number)
		if x == nil {
			return append(to, e.nobody(number, nil)...)
		}
		s.Box, s.box = x.Number, nil
	}
	return append(to, s)
}

func (s Voicemail) moving() bool { return s.box != nil }

func (s Voicemail) describe(b *strings.Builder) {
	box := s.Box
	if s.box != nil {
		box = s.box.source
	}
	if s.Listen {
		fmt.Fprintf(b, "messages of %s", box)
		return
	}
	fmt.Fprintf(b, "voicemail of %s for %v, silence %v", box, s.Longest, s.Silence)
	if s.name != "" {
		b.WriteString(", greeting " + s.name)
	}
}

// MarshalJSON writes {"step": "voicemail", …}; times are in seconds.
func (s Voicemail) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Step     string  `json:"step"`
		Box      string  `json:"box"`
		Listen   bool    `json:"listen,omitempty"`
		Greeting string  `json:"greeting,omitempty"`
		Longest  float64 `json:"longest"`
		Silence  float64 `json:"silence"`
	}{"voicemail", s.Box, s.Listen, s.Greeting, s.Longest.Seconds(), s.Silence.Seconds()})
}
