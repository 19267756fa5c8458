package dialplan

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"tandem/dialplan/block"
)

// total refuses what has the right type at load and could still fail, or never hold, during a call: HCL turns texts
// into numbers and booleans on its own where it can.
func (c *compiler) total(x *expression) bool {
	before := len(c.diags)
	ctx := c.unknown(x)
	typeOf := func(e hclsyntax.Expression) cty.Type {
		v, _ := e.Value(ctx)
		return v.Type()
	}
	hclsyntax.VisitAll(x.tree, func(n hclsyntax.Node) hcl.Diagnostics { //nolint:errcheck // the visitor collects
		switch n := n.(type) {
		case *hclsyntax.BinaryOpExpr:
			c.totalBinary(n, typeOf)
		case *hclsyntax.UnaryOpExpr:
			c.mustBe(n.Val, typeOf(n.Val), n.Op.Type)
		case *hclsyntax.ConditionalExpr:
			c.mustBe(n.Condition, typeOf(n.Condition), cty.Bool)
		case *hclsyntax.LiteralValueExpr:
			if n.Val.IsNull() {
				c.fail(n.Range(), "no value", "null is no answer here.")
			}
		case *hclsyntax.FunctionCallExpr:
			c.totalCall(n, typeOf)
		case *hclsyntax.IndexExpr, *hclsyntax.ForExpr, *hclsyntax.SplatExpr:
			c.fail(n.Range(), "not in a condition", "Conditions compare facts: no loops and no computed indexes.")
		}
		return nil
	})
	return len(c.diags) == before
}

func (c *compiler) totalBinary(n *hclsyntax.BinaryOpExpr, typeOf func(hclsyntax.Expression) cty.Type) {
	left, right := typeOf(n.LHS), typeOf(n.RHS)
	switch n.Op {
	case hclsyntax.OpEqual, hclsyntax.OpNotEqual:
		if !left.Equals(right) && left != cty.DynamicPseudoType && right != cty.DynamicPseudoType {
			c.fail(n.Range(), "never equal", "The left is %s and the right is %s, so they are never equal.", block.TypeName(left), block.TypeName(right))
		}
	case hclsyntax.OpLogicalAnd, hclsyntax.OpLogicalOr:
		c.mustBe(n.LHS, left, cty.Bool)
		c.mustBe(n.RHS, right, cty.Bool)
	case hclsyntax.OpDivide, hclsyntax.OpModulo:
		v, d := n.RHS.Value(nil)
		if d.HasErrors() || v.Type() != cty.Number || v.RawEquals(cty.Zero) {
			c.fail(n.RHS.Range(), "division", "Divide only by a number that is written out and is not zero.")
		}
		c.mustBe(n.LHS, left, cty.Number)
	default:
		c.mustBe(n.LHS, left, cty.Number)
		c.mustBe(n.RHS, right, cty.Number)
	}
}

func (c *compiler) mustBe(e hclsyntax.Expression, got, want cty.Type) {
	if !got.Equals(want) {
		c.fail(e.Range(), "wrong type", "This is %s, and %s is needed.", block.TypeName(got), block.TypeName(want))
	}
}

func (c *compiler) totalCall(n *hclsyntax.FunctionCallExpr, typeOf func(hclsyntax.Expression) cty.Type) {
	for i, arg := range n.Args {
		if n.Name == "last" && i == 1 {
			c.count(arg)
		} else if t := typeOf(arg); t.IsPrimitiveType() && t != cty.String {
			c.mustBe(arg, t, cty.String)
		}
	}
	if n.Name != "matches" || len(n.Args) != 2 {
		return
	}
	v, d := n.Args[1].Value(nil)
	if d.HasErrors() || v.Type() != cty.String {
		c.fail(n.Args[1].Range(), "not a pattern", "The pattern of matches() is written out, as in matches(call.from, \"+44...\").")
		return
	}
	if _, err := ParsePattern(v.AsString()); err != nil {
		c.fail(n.Args[1].Range(), "not a pattern", "%s.", capital(err.Error()))
	}
}

// count refuses what is no number of digits that is written out: last(call.to, 4).
func (c *compiler) count(arg hclsyntax.Expression) {
	v, d := arg.Value(nil)
	n := int64(0)
	if !d.HasErrors() && v.Type() == cty.Number && v.IsKnown() && !v.IsNull() {
		n, _ = v.AsBigFloat().Int64()
	}
	if n < 1 || n > 32 {
		c.fail(arg.Range(), "not a count", "How many digits last() takes is written out, from 1 to 32, as in last(call.to, 4).")
	}
}

// guardFunctions is what an expression may call. None of them can fail on texts.
var guardFunctions = map[string]function.Function{
	"startswith": textFunction(strings.HasPrefix),
	"endswith":   textFunction(strings.HasSuffix),
	"matches": textFunction(func(number, pattern string) bool {
		p, err := ParsePattern(pattern)
		return err == nil && p.Matches(number)
	}),
	"last": function.New(&function.Spec{ // last(call.to, 4): its last digits, or all where there are fewer
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "count", Type: cty.Number}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text := args[0].AsString()
			n, _ := args[1].AsBigFloat().Int64()
			return cty.StringVal(text[max(0, len(text)-int(min(n, 32))):]), nil
		},
	}),
	"oneof": function.New(&function.Spec{ // oneof(call.to, "1001", "1002")
		Params:   []function.Parameter{{Name: "text", Type: cty.String}},
		VarParam: &function.Parameter{Name: "options", Type: cty.String},
		Type:     function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for _, o := range args[1:] {
				if o.AsString() == args[0].AsString() {
					return cty.True, nil
				}
			}
			return cty.False, nil
		},
	}),
}

func textFunction(f func(a, b string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "a", Type: cty.String}, {Name: "b", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-0x20) + s[1:]
}
