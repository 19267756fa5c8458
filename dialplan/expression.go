package dialplan

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"tandem/dialplan/block"
)

// callFacts are the facts that an expression may read as call.NAME, with their types.
var callFacts = map[string]cty.Type{
	"to":      cty.String, // the number, after numbering
	"dialled": cty.String, // the number as it was dialled
	"from":    cty.String, // the calling number
	"trunk":   cty.String,
	"digits":  cty.String, // that were pressed in the menu around; empty elsewhere
	"class":   cty.String,
	"domain":  cty.String,
	"hour":    cty.Number, // 0-23, by the zone of numbering
	"minute":  cty.Number,
	"weekday": cty.String, // "mon"
	"date":    cty.String, // "2026-12-25"
	"extension": cty.Object(map[string]cty.Type{ // the calling one; empty texts for a call over a trunk
		"number": cty.String, "name": cty.String, "did": cty.String, "class": cty.String,
	}),
}

var scheduleFacts = map[string]cty.Type{"is_open": cty.Bool, "is_closed": cty.Bool}

// expression is a value that depends on the call: a guard or a text. It has been evaluated at load with unknown values
// of the declared types, and what could fail with known ones (a text taken for a number, a division by zero) is
// refused there, so it cannot fail during a call.
type expression struct {
	source    string // as written, blanks made one
	tree      hclsyntax.Expression
	constant  *string           // the value, where it is the same for every call
	fact      func(*env) string // call.to and its like, read without evaluation
	schedules []*Schedule       // those it asks
	call      bool              // it asks the call
	classes   cty.Value         // class.NAME is its name
	functions map[string]function.Function
}

// env is one call on its way through a plan.
type env struct {
	plan    *Plan
	facts   *Facts
	caller  *Extension // nil over a trunk
	class   *Class     // nil: none
	number  string
	reasons []Reason
	asked   bool // a condition was asked
	explain bool // somebody reads the reasons: those that cost something are given too

	digits   string      // pressed in a menu
	diverted []Diversion // by them
	via      []string    // extensions that have forwarded the call to here
	forwards int         // that have been looked at for the call
}

func (e *env) reason(r Reason) { e.reasons = append(e.reasons, r) }

// holds evaluates a guard.
func (x *expression) holds(e *env) (bool, error) {
	v, d := x.tree.Value(x.context(e))
	if d.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.Bool {
		return false, fmt.Errorf("it has no value: %w", d)
	}
	return v.True(), nil
}

// text evaluates a text; one without a value is empty.
func (x *expression) text(e *env) string {
	switch {
	case x == nil:
		return ""
	case x.constant != nil:
		return *x.constant
	case x.fact != nil:
		return x.fact(e)
	}
	v, d := x.tree.Value(x.context(e))
	if d.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}

func (x *expression) context(e *env) *hcl.EvalContext {
	vars := map[string]cty.Value{"class": x.classes}
	if x.call {
		vars["call"] = e.values()
	}
	if len(x.schedules) > 0 {
		open := make(map[string]cty.Value, len(x.schedules))
		for _, s := range x.schedules {
			is := e.open(s)
			open[s.Name] = cty.ObjectVal(map[string]cty.Value{"is_open": cty.BoolVal(is), "is_closed": cty.BoolVal(!is)})
		}
		vars["schedule"] = cty.ObjectVal(open)
	}
	return &hcl.EvalContext{Variables: vars, Functions: x.functions}
}

// values is the call as expressions see it.
func (e *env) values() cty.Value {
	x := e.caller
	if x == nil {
		x = &Extension{}
	}
	local := e.facts.Now.In(e.plan.zone)
	return cty.ObjectVal(map[string]cty.Value{
		"to":      cty.StringVal(e.number),
		"dialled": cty.StringVal(e.facts.To),
		"from":    cty.StringVal(e.from()),
		"trunk":   cty.StringVal(e.facts.Trunk),
		"digits":  cty.StringVal(e.digits),
		"class":   cty.StringVal(x.Class),
		"domain":  cty.StringVal(e.facts.Domain),
		"hour":    cty.NumberIntVal(int64(local.Hour())),
		"minute":  cty.NumberIntVal(int64(local.Minute())),
		"weekday": cty.StringVal(weekdays[local.Weekday()]),
		"date":    cty.StringVal(local.Format(time.DateOnly)),
		"extension": cty.ObjectVal(map[string]cty.Value{
			"number": cty.StringVal(x.Number), "name": cty.StringVal(x.Name),
			"did": cty.StringVal(x.DID), "class": cty.StringVal(x.Class),
		}),
	})
}

// from is the calling number.
func (e *env) from() string {
	if e.caller != nil {
		return e.caller.Number
	}
	return e.facts.Caller
}

// plainFacts are the facts that need no evaluation: they are read on the path of every call.
var plainFacts = map[string]func(*env) string{
	"call.to":               func(e *env) string { return e.number },
	"call.dialled":          func(e *env) string { return e.facts.To },
	"call.from":             (*env).from,
	"call.digits":           func(e *env) string { return e.digits },
	"call.trunk":            func(e *env) string { return e.facts.Trunk },
	"call.domain":           func(e *env) string { return e.facts.Domain },
	"call.extension.number": func(e *env) string { return e.of((*Extension).number) },
	"call.extension.name":   func(e *env) string { return e.of((*Extension).name) },
	"call.extension.did":    func(e *env) string { return e.of((*Extension).did) },
}

func (e *env) of(field func(*Extension) string) string {
	if e.caller == nil {
		return ""
	}
	return field(e.caller)
}

func (x *Extension) number() string { return x.Number }
func (x *Extension) name() string   { return x.Name }
func (x *Extension) did() string    { return x.DID }

// expression compiles an expression that must have the type.
func (c *compiler) expression(expr hcl.Expression, want cty.Type, what string) *expression {
	tree, d := block.Native(expr)
	if d.HasErrors() {
		c.diags = append(c.diags, d...)
		return nil
	}
	x := &expression{tree: tree, source: c.source(tree.Range()), functions: guardFunctions, classes: c.classNames()}
	if !c.known(x) {
		return nil
	}
	v, d := tree.Value(c.unknown(x))
	if d.HasErrors() {
		for _, diag := range d {
			if strings.Contains(diag.Summary, "unknown function") {
				diag.Detail += " There are " + strings.Join(keys(guardFunctions), ", ") + "."
			}
		}
		c.diags = append(c.diags, d...)
		return nil
	}
	if !c.total(x) {
		return nil
	}
	if got := v.Type(); !got.Equals(want) {
		c.fail(tree.Range(), "wrong type", "%s must be %s, and this is %s.", what, block.TypeName(want), block.TypeName(got))
		return nil
	}
	if v.IsKnown() && !v.IsNull() && len(tree.Variables()) == 0 {
		if text, err := convert.Convert(v, cty.String); err == nil {
			s := text.AsString()
			x.constant = &s
		}
	}
	x.fact = plainFacts[x.source]
	return x
}

// known checks every name in the expression and notes the schedules.
func (c *compiler) known(x *expression) bool {
	ok := true
	for _, path := range x.tree.Variables() {
		if d := c.knownPath(x, path); d != nil {
			c.diags = append(c.diags, d)
			ok = false
		}
	}
	return ok
}

func (c *compiler) knownPath(x *expression, path hcl.Traversal) *hcl.Diagnostic {
	root := path.RootName()
	switch root {
	case "call":
		x.call = true
		if a, ok := path[min(1, len(path)-1)].(hcl.TraverseAttr); ok && a.Name == "digits" && c.choosing == 0 {
			return block.Errorf(path.SourceRange(), "no digits here", "call.digits is what was pressed in a menu: ask it in a choice.")
		}
		return knownFacts(path, path[1:], cty.Object(callFacts), "call")
	case "schedule":
		if len(path) != 3 {
			return block.Errorf(path.SourceRange(), "incomplete reference", "Ask a schedule with schedule.NAME.is_open or schedule.NAME.is_closed.")
		}
		ref, d := block.FromPath(path[:2], "schedule")
		if d != nil {
			return d
		}
		s := c.plan.schedules[ref.Name]
		if s == nil {
			return block.Errorf(ref.NameAt, "unknown schedule", "There is no schedule %q.%s", ref.Name, block.DidYouMean(ref.Name, keys(c.plan.schedules)))
		}
		x.schedules = append(x.schedules, s)
		return knownFacts(path, path[2:], cty.Object(scheduleFacts), "schedule."+ref.Name)
	case "class":
		ref, d := block.FromPath(path, "class")
		if d == nil && c.plan.classes[ref.Name] == nil {
			d = block.Errorf(ref.NameAt, "unknown class", "There is no class %q.%s", ref.Name, block.DidYouMean(ref.Name, keys(c.plan.classes)))
		}
		return d
	}
	return block.Errorf(path[0].SourceRange(), "unknown name", "An expression may ask call, schedule and class, not %q.%s",
		root, block.DidYouMean(root, []string{"call", "schedule", "class"}))
}

// knownFacts follows a path through declared types.
func knownFacts(whole, rest hcl.Traversal, t cty.Type, so string) *hcl.Diagnostic {
	if len(rest) == 0 {
		if t.IsObjectType() {
			return block.Errorf(whole.SourceRange(), "incomplete reference", "%s is not a value: it has %s.", so, strings.Join(keys(t.AttributeTypes()), ", "))
		}
		return nil
	}
	step, ok := rest[0].(hcl.TraverseAttr)
	if ok && !t.IsObjectType() {
		return block.Errorf(rest[0].SourceRange(), "no such fact", "%s has no parts.", so)
	}
	if !ok {
		return block.Errorf(rest[0].SourceRange(), "no such fact", "Facts are asked by name, as in call.to or call.extension.did.")
	}
	next, ok := t.AttributeTypes()[step.Name]
	if !ok {
		names := keys(t.AttributeTypes())
		suggestion := block.DidYouMean(step.Name, names)
		if suggestion == "" {
			suggestion = " There are " + strings.Join(names, ", ") + "."
		}
		return block.Errorf(step.SrcRange, "no such fact", "%s has no %q.%s", so, step.Name, suggestion)
	}
	return knownFacts(whole, rest[1:], next, so+"."+step.Name)
}

// unknown is the context of the check at load: every fact has its type and no value.
func (c *compiler) unknown(x *expression) *hcl.EvalContext {
	schedules := map[string]cty.Value{}
	for _, s := range x.schedules {
		schedules[s.Name] = cty.UnknownVal(cty.Object(scheduleFacts))
	}
	return &hcl.EvalContext{
		Variables: map[string]cty.Value{
			"call": cty.UnknownVal(cty.Object(callFacts)), "schedule": cty.ObjectVal(schedules), "class": x.classes,
		},
		Functions: x.functions,
	}
}
