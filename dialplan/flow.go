package dialplan

import (
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

// A flow is a named list of steps. Where a step names it, its steps stand instead: nothing of it is left when the plan
// is made, so a call never finds itself in a circle.
type flow struct {
	block *hcl.Block
	steps []Step
	done  bool
}

var flowStepSchema = block.Schema("run")

// flows compiles every flow, those that nobody runs too: their mistakes are mistakes.
func (c *compiler) flows() {
	for _, name := range keys(c.flowsByName) {
		c.flow(name)
	}
}

// flow compiles one flow, once.
func (c *compiler) flow(name string) *flow {
	f := c.flowsByName[name]
	if f.done {
		return f
	}
	f.done = true
	c.running = append(c.running, name)
	f.steps = c.steps(c.open(f.block.Body, stepsSchema), f.block.DefRange)
	c.running = c.running[:len(c.running)-1]
	return f
}

// runFlow reads a flow step and gives the steps of its flow.
func (c *compiler) runFlow(b *hcl.Block) []Step {
	r := c.open(b.Body, flowStepSchema)
	r.Require("run")
	e := r.Expr("run")
	if e == nil {
		return nil
	}
	ref, ok := r.Ref(e, "flow")
	if !ok || lookup(c, ref, c.flowsByName) == nil {
		return nil
	}
	for i, name := range c.running {
		if name == ref.Name {
			c.fail(ref.At, "flows in a circle", "%s: a call would never leave it.", strings.Join(append(c.running[i:len(c.running):len(c.running)], name), " runs "))
			return nil
		}
	}
	return c.flow(ref.Name).steps
}

// ends tells whether nothing can follow a step.
func ends(s Step) bool {
	_, play := s.(Play)
	return !play
}
