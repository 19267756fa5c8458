package dialplan

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

// Menu plays a greeting and takes digits (RFC 4733, or INFO). Choose says where they lead.
type Menu struct {
	Greeting string        // absolute path
	Invalid  string        // played before another try; empty: nothing
	Digits   int           // at most; "#" ends fewer
	Timeout  time.Duration // of silence after the greeting
	Between  time.Duration // between two digits
	Retries  int           // further tries after the first
	BargeIn  bool          // a digit ends the greeting
	// Otherwise is what happens when no try gave a choice.
	Otherwise []Step

	choices []choice // the more specific first
	names   [2]string
}

// choice is the steps of the digits that a pattern holds.
type choice struct {
	pattern *Pattern
	at      hcl.Range
	steps   []Step
}

var menuSchema = block.Schema("greeting invalid digits timeout between retries barge_in", "choice digits", "otherwise")

func (c *compiler) menu(b *hcl.Block) Step {
	r := c.open(b.Body, menuSchema)
	r.Require("greeting")
	m := Menu{
		Digits: r.Int("digits", 1, 1, 32), Timeout: r.Duration("timeout", 5*time.Second, time.Second, time.Minute),
		Between: r.Duration("between", 3*time.Second, 500*time.Millisecond, 30*time.Second),
		Retries: r.Int("retries", 2, 0, 10), BargeIn: r.Bool("barge_in", true),
	}
	m.Greeting, m.names[0] = c.file(r, "greeting")
	m.Invalid, m.names[1] = c.file(r, "invalid")
	otherwise := false
	read := map[hcl.Body][]Step{} // a choice of several labels is read once
	for _, inner := range r.Blocks {
		switch {
		case inner.Type == "otherwise" && otherwise:
			c.fail(inner.DefRange, "declared twice", "What happens otherwise is said already.")
		case inner.Type == "otherwise":
			otherwise = true
			m.Otherwise = c.steps(c.open(inner.Body, stepsSchema), inner.DefRange)
		default:
			steps, ok := read[inner.Body]
			if !ok {
				c.choosing++
				steps = c.steps(c.open(inner.Body, stepsSchema), inner.DefRange)
				c.choosing--
				read[inner.Body] = steps
			}
			m.choices = c.choice(m, inner.Labels[0], choice{at: inner.LabelRanges[0], steps: steps})
		}
	}
	if !otherwise {
		c.fail(r.Missing, "missing otherwise", "Say what happens to who chooses nothing: otherwise { … }.")
	}
	if len(m.choices) == 0 && !r.Meant("choice") {
		c.fail(b.DefRange, "no choice", "A menu has choices, as in choice \"1\" { … }.")
	}
	return m
}

// choice adds one label of a choice, in its place by how specific it is.
func (c *compiler) choice(m Menu, digits string, x choice) []choice {
	p, err := ParsePattern(digits)
	switch {
	case err != nil:
		c.fail(x.at, "not a pattern", "%s.", capital(err.Error()))
	case p.loop || len(p.mask) > m.Digits:
		c.fail(x.at, "too many digits", "The menu takes %d digits at most: say digits = %d.", m.Digits, len(p.mask))
	case p.public() || p.mask[0]>>symbolOf['#']&1 == 1:
		c.fail(x.at, "no key", "Phones have the keys 0 to 9 and *; # ends the digits.")
	}
	if err != nil {
		return m.choices
	}
	x.pattern = p
	at := len(m.choices)
	for i, o := range m.choices {
		switch p.relation(o.pattern) {
		case inside:
			at = min(at, i)
		case equal, crossing, unknown:
			both, _ := overlap(p, o.pattern)
			c.fail(x.at, "ambiguous choices", "%q at %s takes %s too, and nothing says which is meant.", o.pattern.text, placeOf(o.at), both)
		}
	}
	return append(m.choices[:at:at], append([]choice{x}, m.choices[at:]...)...)
}

// file reads the name of a sound file that must be there.
func (c *compiler) file(r *block.Reader, attribute string) (path, name string) {
	if name = r.Text(attribute, ""); name == "" {
		return "", ""
	}
	path, err := c.Resolve(name)
	if err != nil {
		c.fail(r.Range(attribute), "no such file", "%s.", capital(err.Error()))
	}
	return path, name
}

// May tells whether digits, perhaps with others after them, lead somewhere: whether to wait for more. Whole: they are a
// choice as they stand.
func (m Menu) May(digits string) (more, whole bool) {
	for _, c := range m.choices {
		set := c.pattern.start()
		for i := range len(digits) {
			s := symbolOf[digits[i]]
			if s == noSymbol {
				return false, false
			}
			set = c.pattern.step(set, 1<<s)
		}
		whole = whole || c.pattern.accepts(set)
		more = more || set&^(1<<len(c.pattern.mask)) != 0
	}
	return more, whole
}

// Choose gives the steps that digits lead to; false: none. It is as pure as Plan.Route: the facts are those of the
// call, with the state of this moment.
func (p *Plan) Choose(m Menu, f Facts, digits string) ([]Step, []Reason, bool) {
	for _, c := range m.choices {
		if c.pattern.Matches(digits) {
			e, d := env{plan: p, facts: &f, digits: digits}, Decision{}
			if !p.identify(&e, &d) || !p.number(&e, &d) {
				return nil, e.reasons, false
			}
			return resolveSteps(&e, c.steps), e.reasons, true
		}
	}
	return nil, nil, false
}

func (m Menu) resolve(e *env, to []Step) []Step {
	m.Otherwise = resolveSteps(e, m.Otherwise)
	return append(to, m)
}

func (m Menu) moving() bool { return movingSteps(m.Otherwise) }

func (m Menu) describe(b *strings.Builder) {
	fmt.Fprintf(b, "menu %s for %d digits, %v and %v, %d retries", m.names[0], m.Digits, m.Timeout, m.Between, m.Retries)
	if m.names[1] != "" {
		b.WriteString(" with " + m.names[1])
	}
	if !m.BargeIn {
		b.WriteString(", heard to its end")
	}
	for _, c := range m.choices {
		fmt.Fprintf(b, "; on %s {%s}", c.pattern, DescribeSteps(c.steps))
	}
	fmt.Fprintf(b, "; otherwise {%s}", DescribeSteps(m.Otherwise))
}

// MarshalJSON writes {"step": "menu", …}; times are in seconds.
func (m Menu) MarshalJSON() ([]byte, error) {
	type choiceJSON struct {
		Digits string `json:"digits"`
		Does   string `json:"does"`
	}
	choices := make([]choiceJSON, len(m.choices))
	for i, c := range m.choices {
		choices[i] = choiceJSON{c.pattern.text, DescribeSteps(c.steps)}
	}
	return json.Marshal(struct {
		Step      string       `json:"step"`
		Greeting  string       `json:"greeting"`
		Invalid   string       `json:"invalid,omitempty"`
		Digits    int          `json:"digits"`
		Timeout   float64      `json:"timeout"`
		Between   float64      `json:"between"`
		Retries   int          `json:"retries"`
		BargeIn   bool         `json:"barge_in"`
		Choices   []choiceJSON `json:"choices"`
		Otherwise []Step       `json:"otherwise"`
	}{"menu", m.Greeting, m.Invalid, m.Digits, m.Timeout.Seconds(), m.Between.Seconds(), m.Retries, m.BargeIn, choices, m.Otherwise})
}
