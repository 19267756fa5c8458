package dialplan

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"tandem/dialplan/block"
)

var (
	dialSchema     = block.Schema("extension extensions trunks timeout")
	ringSchema     = block.Schema("group timeout")
	playSchema     = block.Schema("file answer")
	echoSchema     = block.Schema("")
	toneSchema     = block.Schema("hz")
	rejectSchema   = block.Schema("status reason cause")
	redirectSchema = block.Schema("to status")
	failoverSchema = block.Schema("on first_reply")
)

// steps reads the step blocks of a route or of an on block.
func (c *compiler) steps(r *block.Reader, owner hcl.Range) []Step {
	var steps []Step
	ended := "" // the step after which nothing can follow
	for i, b := range r.Blocks {
		switch b.Type {
		case "on":
			if i > 0 && r.Blocks[i-1].Type == "on" && r.Blocks[i-1].Body == b.Body {
				continue // a further label of the same block
			}
			c.on(steps, b, labels(r.Blocks[i:]))
			continue
		case "failover":
			c.failover(steps, b)
			continue
		}
		if why := notYetSteps[b.Type]; why != "" {
			c.refuseWord(b.DefRange, b.Type, why)
			ended = b.Type
			continue
		}
		if ended != "" {
			c.fail(b.DefRange, "never reached", "%q ends a list of steps, so nothing after it happens. What follows a failed dial or ring stands in an on block.", ended)
			continue
		}
		if b.Type == "flow" {
			steps = append(steps, attachable(c.runFlow(b))...)
			if len(steps) == 0 || ends(steps[len(steps)-1]) {
				ended = b.Type
			}
			continue
		}
		if step := c.step(b); step != nil {
			steps = append(steps, step)
		}
		if b.Type != "play" {
			ended = b.Type
		}
	}
	if len(steps) == 0 && ended == "" && !misspelt(r) {
		c.fail(owner, "no step", "Say what happens to the call: dial, ring, play, echo, tone, reject, redirect or flow.")
	}
	return values(steps)
}

// misspelt tells whether a step is there under a name that was reported.
func misspelt(r *block.Reader) bool {
	for _, b := range stepsSchema.Blocks {
		if r.Meant(b.Type) {
			return true
		}
	}
	return false
}

// values turns the steps that on blocks were attached to into the values that a Plan gives out.
func values(steps []Step) []Step {
	for i, s := range steps {
		switch s := s.(type) {
		case *Dial:
			steps[i] = *s
		case *Ring:
			steps[i] = *s
		}
	}
	return steps
}

// attachable is the steps of a flow as on blocks may be attached to them: copies, since other routes run the flow too.
func attachable(steps []Step) []Step {
	out := make([]Step, len(steps))
	for i, s := range steps {
		switch s := s.(type) {
		case Dial:
			s.On = slices.Clip(s.On)
			out[i] = &s
		case Ring:
			s.On = slices.Clip(s.On)
			out[i] = &s
		default:
			out[i] = s
		}
	}
	return out
}

// labels gathers the labels of an on block that Prepare has split.
func labels(blocks hcl.Blocks) []block.Word {
	var words []block.Word
	for _, b := range blocks {
		if b.Type != "on" || b.Body != blocks[0].Body {
			break
		}
		words = append(words, block.Word{Text: b.Labels[0], At: b.LabelRanges[0]})
	}
	return words
}

func (c *compiler) step(b *hcl.Block) Step {
	switch b.Type {
	case "dial":
		return c.dial(c.open(b.Body, dialSchema), b)
	case "ring":
		return c.ring(c.open(b.Body, ringSchema))
	case "play":
		return c.play(c.open(b.Body, playSchema))
	case "echo":
		c.open(b.Body, echoSchema)
		return Echo{}
	case "tone":
		// Telephony is sampled at 8 kHz, so there is nothing from 4 kHz on.
		return Tone{c.open(b.Body, toneSchema).Int("hz", 1004, 20, 3999)}
	case "menu":
		return c.menu(b)
	case "voicemail":
		return c.voicemail(b)
	case "hook":
		return c.hook(b)
	case "reject":
		return c.reject(c.open(b.Body, rejectSchema))
	}
	return c.redirect(c.open(b.Body, redirectSchema))
}

func (c *compiler) dial(r *block.Reader, b *hcl.Block) Step {
	d := &Dial{Timeout: r.Duration("timeout", defaultRing, time.Second, maxRing)}
	given := 0
	for _, name := range []string{"extension", "extensions", "trunks"} {
		if r.Has(name) {
			given++
		}
	}
	if given != 1 {
		c.fail(b.DefRange, "whom to dial", "A dial has one of extension, extensions and trunks.")
	}
	if e := r.Expr("extension"); e != nil {
		c.dialExtension(d, e)
	}
	for _, ref := range r.Refs("extensions", "extension") {
		if lookup(c, ref, c.plan.extensions) != nil {
			d.Targets = append(d.Targets, Target{Extension: ref.Name})
		}
	}
	if out := c.outward(r, "trunks"); len(out) > 0 {
		d.Targets, d.Failover.FirstReply = out, firstReply
	}
	return d
}

// dialExtension reads extension = extension["1001"], or an expression such as call.to.
func (c *compiler) dialExtension(d *Dial, e hcl.Expression) {
	if native, diags := block.Native(e); !diags.HasErrors() {
		if path, diags := hcl.AbsTraversalForExpr(native); !diags.HasErrors() && path.RootName() != "call" {
			ref, diag := block.FromPath(path, "extension")
			if diag != nil {
				c.diags = append(c.diags, diag)
			} else if lookup(c, ref, c.plan.extensions) != nil {
				d.Targets = []Target{{Extension: ref.Name}}
			}
			return
		}
	}
	x := c.expression(e, cty.String, "The extension")
	if x != nil && x.constant != nil {
		c.fail(e.Range(), "not a reference", "A quoted text is not a reference. Write extension[%q], or call.to for the number that was dialled.", *x.constant)
		return
	}
	d.extension = x
}

func (c *compiler) ring(r *block.Reader) Step {
	r.Require("group")
	e := r.Expr("group")
	if e == nil {
		return nil
	}
	ref, ok := r.Ref(e, "ring_group")
	if !ok {
		return nil
	}
	g := lookup(c, ref, c.plan.groups)
	if g == nil {
		return nil
	}
	return &Ring{
		Group: g.Name, Strategy: g.Strategy, Members: g.Members, Each: g.Each,
		Timeout: r.Duration("timeout", g.Timeout, time.Second, maxRing),
	}
}

func (c *compiler) play(r *block.Reader) Step {
	r.Require("file")
	p := Play{Answer: r.Bool("answer", true)}
	name := r.Text("file", "")
	if name == "" {
		return p
	}
	path, err := c.Resolve(name)
	if err != nil {
		c.fail(r.Range("file"), "no such file", "%s.", capital(err.Error()))
	}
	p.File, p.name = path, name
	return p
}

func (c *compiler) reject(r *block.Reader) Step {
	r.Require("status")
	step := Reject{
		Status: r.Int("status", 480, 400, 699),
		Reason: r.Text("reason", ""),
		Cause:  r.Int("cause", 0, 1, 127),
	}
	if strings.ContainsFunc(step.Reason, func(ch rune) bool { return ch < ' ' || ch == 0x7f }) || len(step.Reason) > 128 {
		c.fail(r.Range("reason"), "not a reason", "A reason is one line of at most 128 characters: it goes on the wire.")
	}
	return step
}

func (c *compiler) redirect(r *block.Reader) Step {
	r.Require("to")
	step := Redirect{Status: r.Int("status", 302, 300, 399)}
	if e := r.Expr("to"); e != nil {
		step.to = c.expression(e, cty.String, "Where to redirect")
	}
	if step.to != nil && step.to.constant != nil {
		step.Contact = *step.to.constant
		if strings.ContainsAny(step.Contact, " \t\r\n<>\"") || step.Contact == "" {
			c.fail(r.Range("to"), "not an address", "Write a number or a SIP URI, such as \"sip:desk@example.com\".")
		}
	}
	return step
}

// on attaches steps to the dial or ring before.
func (c *compiler) on(steps []Step, b *hcl.Block, words []block.Word) {
	h := Handler{}
	for _, w := range words {
		if !isFailure(w.Text) {
			c.fail(w.At, "unknown failure", "%q is no failure. There are %s, 4xx, 5xx, 6xx, and codes such as 486.%s",
				w.Text, strings.Join(failures, ", "), block.DidYouMean(w.Text, failures))
			continue
		}
		h.Classes = append(h.Classes, w.Text)
	}
	h.Steps = c.steps(c.open(b.Body, stepsSchema), b.DefRange)
	var list *[]Handler
	if len(steps) > 0 {
		switch last := steps[len(steps)-1].(type) {
		case *Dial:
			list = &last.On
		case *Ring:
			list = &last.On
		}
	}
	if list == nil {
		c.fail(b.DefRange, "nothing that could fail", "An on block stands after a dial or ring.")
		return
	}
	for _, before := range *list {
		for _, w := range words {
			if contains(before.Classes, w.Text) {
				c.fail(w.At, "handled twice", "What happens on %q is said already.", w.Text)
			}
		}
	}
	*list = append(*list, h)
}

// failover reads when the next trunk of the dial before is tried. It means something with trunks only.
func (c *compiler) failover(steps []Step, b *hcl.Block) {
	r := c.open(b.Body, failoverSchema)
	f := Failover{FirstReply: r.Duration("first_reply", firstReply, 100*time.Millisecond, maxRing)}
	if r.Has("on") {
		f.On = []string{}
	}
	for _, w := range r.Words("on") {
		if !isFailure(w.Text) {
			c.fail(w.At, "unknown failure", "%q is no failure.%s", w.Text, block.DidYouMean(w.Text, failures))
			continue
		}
		f.On = append(f.On, w.Text)
	}
	if len(steps) > 0 {
		if d, ok := steps[len(steps)-1].(*Dial); ok && overTrunks(d.Targets) {
			d.Failover = f
			return
		}
	}
	c.fail(b.DefRange, "nothing to fail over to", "A failover stands after a dial over trunks.")
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
