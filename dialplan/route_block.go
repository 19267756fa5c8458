package dialplan

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"tandem/dialplan/block"
)

// route is one route of the configuration, compiled.
type route struct {
	name       string
	at         hcl.Range // of its header
	toAt       hcl.Range // of its pattern
	from       []origin  // empty: every extension, and no trunk
	to         *Pattern
	when       *expression
	callerID   *expression
	callerName *expression
	steps      []Step
	table      string // the table that it stands in; empty: it is a block

	rung   int32  // where it stands in the plan
	turn   int    // among the routes of its rung
	others string // what is said to a caller whom it is not for
	closed string // what is said where its condition is false
}

// origin admits callers: one extension, those of a class, or a trunk.
type origin struct{ kind, name string }

// routeSchema is that of a route; a list of steps elsewhere (an on block) has only its blocks.
var routeSchema, stepsSchema = func() (*hcl.BodySchema, *hcl.BodySchema) {
	blocks := []string{"dial", "ring", "play", "echo", "tone", "reject", "redirect", "failover", "on class", "flow", "menu", "voicemail", "hook"}
	for name := range notYetSteps {
		blocks = append(blocks, name)
	}
	return block.Schema("from to when caller_id caller_name", blocks...), block.Schema("", blocks...)
}()

func (c *compiler) route(b *hcl.Block) {
	r := c.open(b.Body, routeSchema)
	r.Require("to")
	route := &route{name: b.Labels[0], at: b.DefRange, toAt: r.Range("to")}
	if v, ok := r.Value("to", cty.String); ok {
		p, err := ParsePattern(v.AsString())
		if err != nil {
			c.fail(r.Range("to"), "not a pattern", "%s.", capital(err.Error()))
		} else {
			route.to = p
			c.reachable(route)
		}
	}
	c.routeRest(route, r, b)
	if route.to != nil {
		c.plan.routes = append(c.plan.routes, route)
	}
}

// routeRest reads what a route has beside its pattern.
func (c *compiler) routeRest(route *route, r *block.Reader, b *hcl.Block) {
	for _, ref := range r.Refs("from", "class", "extension", "trunk", "trunk_group") {
		switch {
		case !c.exists(ref):
		case ref.Kind == "trunk_group":
			for _, m := range c.plan.trunkGroups[ref.Name].Members {
				route.from = append(route.from, origin{"trunk", m.Trunk})
			}
		default:
			route.from = append(route.from, origin{ref.Kind, ref.Name})
		}
	}
	if r.Empty("from") {
		c.fail(r.Range("from"), "nobody may use it", "An empty list admits no caller. Without \"from\" a route is for every extension.")
	}
	if e := r.Expr("when"); e != nil {
		route.when = c.expression(e, cty.Bool, "A condition")
	}
	if e := r.Expr("caller_id"); e != nil {
		route.callerID = c.callerID(e)
	}
	if e := r.Expr("caller_name"); e != nil {
		route.callerName = c.expression(e, cty.String, "A caller's name")
	}
	if b.Type != "routes" || len(r.Blocks) > 0 {
		route.steps = c.steps(r, b.DefRange)
	}
	route.others = "it is for " + route.callers()
	if route.when != nil {
		route.closed = "its condition is false: " + route.when.source
	}
}

func (c *compiler) callerID(e hcl.Expression) *expression {
	x := c.expression(e, cty.String, "A caller ID")
	if x != nil && x.constant != nil && !validNumber(strings.TrimPrefix(*x.constant, "+")) {
		c.fail(e.Range(), "not a number", "A caller ID is a number such as \"+442079460018\" or call.extension.did.")
	}
	return x
}

func (c *compiler) exists(ref block.Ref) bool {
	switch ref.Kind {
	case "class":
		return lookup(c, ref, c.plan.classes) != nil
	case "extension":
		return lookup(c, ref, c.plan.extensions) != nil
	case "trunk_group":
		return lookup(c, ref, c.plan.trunkGroups) != nil
	}
	return lookup(c, ref, c.plan.trunks) != nil
}

// reachable warns of a pattern in a form that numbering takes away before routes are tried: 020… in Britain. It looks
// at one number of the pattern, of a usual length.
func (c *compiler) reachable(r *route) {
	number := r.to.sample(c.plan.numbering.Most + len(c.plan.numbering.National))
	if made := c.plan.numbering.E164(number); made != number && !r.to.Matches(made) && c.plan.extensions[number] == nil {
		c.warn(r.toAt, "numbering comes first", "A dialled %s is %s by the time that routes are tried: write the pattern in that form.", number, made)
	}
}

// sample is a number of the pattern, with further digits up to a length where it takes any.
func (p *Pattern) sample(length int) string {
	var b strings.Builder
	for i, m := range p.mask {
		if p.optional>>i&1 == 1 && b.Len() >= length {
			continue
		}
		s := 0
		for m>>s&1 == 0 || s == 0 && m&^1 != 0 { // no zero where another digit will do
			s++
		}
		b.WriteByte(alphabet[s])
	}
	for p.loop && b.Len() < length {
		b.WriteByte('2')
	}
	return b.String()
}

// admits tells whether a route is for a caller.
func (r *route) admits(e *env) bool {
	if len(r.from) == 0 {
		return e.caller != nil
	}
	for _, o := range r.from {
		switch o.kind {
		case "class":
			if e.caller != nil && e.caller.Class == o.name {
				return true
			}
		case "extension":
			if e.caller != nil && e.caller.Number == o.name {
				return true
			}
		case "trunk":
			if e.facts.Trunk == o.name {
				return true
			}
		}
	}
	return false
}

// meets tells whether some caller may use both routes.
func (r *route) meets(o *route, p *Plan) bool {
	if len(r.from) == 0 {
		return len(o.from) == 0 || o.forExtensions()
	}
	if len(o.from) == 0 {
		return r.forExtensions()
	}
	for _, a := range r.from {
		for _, b := range o.from {
			if a == b || a.holds(b, p) || b.holds(a, p) {
				return true
			}
		}
	}
	return false
}

// holds tells whether the class a has the extension b.
func (a origin) holds(b origin, p *Plan) bool {
	return a.kind == "class" && b.kind == "extension" && p.extensions[b.name].Class == a.name
}

func (r *route) forExtensions() bool {
	for _, o := range r.from {
		if o.kind != "trunk" {
			return true
		}
	}
	return false
}

// callers is from as text.
func (r *route) callers() string {
	if len(r.from) == 0 {
		return "every extension"
	}
	out := make([]string, len(r.from))
	for i, o := range r.from {
		out[i] = block.Spell(o.kind, o.name)
	}
	return strings.Join(out, ", ")
}

func (r *route) describe() string {
	var b strings.Builder
	b.WriteString("from " + r.callers() + " to " + r.to.text)
	for _, x := range []struct {
		word string
		*expression
	}{{" when ", r.when}, {" caller_id ", r.callerID}, {" caller_name ", r.callerName}} {
		if x.expression != nil {
			b.WriteString(x.word + x.source)
		}
	}
	if r.when != nil { // among guarded routes on one pattern the order is part of what the plan says
		fmt.Fprintf(&b, " turn %d", r.turn)
	}
	b.WriteString(": " + DescribeSteps(r.steps))
	return b.String()
}
