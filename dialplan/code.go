package dialplan

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

var codesSchema = block.Schema(`forward_always forward_busy forward_no_answer forward_unreachable forward_off do_not_disturb_on do_not_disturb_off
	night night_schedule night_classes`)

// What a Set is of.
const (
	ForwardAlways      = "forward_always"
	ForwardBusy        = "forward_busy"
	ForwardNoAnswer    = "forward_no_answer"
	ForwardUnreachable = "forward_unreachable"
	ForwardOff         = "forward_off"
	DoNotDisturbOn     = "do_not_disturb_on"
	DoNotDisturbOff    = "do_not_disturb_off"
	Night              = "night"
)

// The states of a schedule that a Set of Night may ask for.
const (
	OpenByHand   = "open"
	ClosedByHand = "closed"
	ByHours      = "auto"
)

// codeDefaults are the codes of a feature_codes block that does not name others: those that people know from the public
// network. A forward's number follows its code, with or without a # behind it.
var codeDefaults = []code{
	{ForwardAlways, "*21*"}, {ForwardNoAnswer, "*61*"}, {ForwardUnreachable, "*62*"}, {ForwardBusy, "*67*"}, {ForwardOff, "#21#"},
	{DoNotDisturbOn, "*78"}, {DoNotDisturbOff, "*79"}, {Night, "*28"},
}

// code is what is dialled for a feature.
type code struct{ feature, digits string }

func (c code) takesNumber() bool {
	switch c.feature {
	case ForwardAlways, ForwardBusy, ForwardNoAnswer, ForwardUnreachable:
		return true
	}
	return false
}

// featureCodes is the block feature_codes.
type featureCodes struct {
	codes    []code
	schedule string   // of the night switch; empty: there is none
	classes  []string // who may turn it
	at       Place
}

// Set is a step that changes what an extension does with its calls, or the night switch; the caller hears a tone.
type Set struct {
	Feature  string // ForwardAlways to Night
	Number   string // of a forward
	Schedule string // of Night
	State    string // of Night: OpenByHand, ClosedByHand or ByHours
}

func (s Set) resolve(_ *env, to []Step) []Step { return append(to, s) }
func (s Set) moving() bool                     { return false }
func (s Set) describe(b *strings.Builder)      { b.WriteString("set " + s.String()) }

// String is what is set, for people.
func (s Set) String() string {
	switch {
	case s.Schedule != "":
		return "schedule " + s.Schedule + " " + s.State
	case s.Number != "":
		return s.Feature + " " + s.Number
	}
	return s.Feature
}

// MarshalJSON writes {"step": "set", …}.
func (s Set) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Step     string `json:"step"`
		Feature  string `json:"feature"`
		Number   string `json:"number,omitempty"`
		Schedule string `json:"schedule,omitempty"`
		State    string `json:"state,omitempty"`
	}{"set", s.Feature, s.Number, s.Schedule, s.State})
}

// Apply is the features after the step. A forward to no number is none.
func (s Set) Apply(f Features) Features {
	switch s.Feature {
	case ForwardAlways:
		f.Forward.Always = s.Number
	case ForwardBusy:
		f.Forward.Busy = s.Number
	case ForwardNoAnswer:
		f.Forward.NoAnswer = s.Number
	case ForwardUnreachable:
		f.Forward.Unreachable = s.Number
	case ForwardOff:
		f.Forward = Forward{}
	case DoNotDisturbOn, DoNotDisturbOff:
		f.DoNotDisturb = s.Feature == DoNotDisturbOn
	}
	if f.Forward.NoAnswer == "" {
		f.Forward.After = 0
	}
	return f
}

func (c *compiler) featureCodes(b *hcl.Block) {
	if c.plan.codes != nil {
		c.fail(b.DefRange, "declared twice", "The block feature_codes is there already, at %s.", c.plan.codes.at)
		return
	}
	r := c.open(b.Body, codesSchema)
	f := &featureCodes{at: placeOf(b.DefRange)}
	c.plan.codes = f
	if e := r.Expr("night_schedule"); e != nil {
		if ref, ok := r.Ref(e, "schedule"); ok && lookup(c, ref, c.plan.schedules) != nil {
			f.schedule = ref.Name
		}
	}
	for _, ref := range r.Refs("night_classes", "class") {
		if lookup(c, ref, c.plan.classes) != nil {
			f.classes = append(f.classes, ref.Name)
		}
	}
	for _, k := range codeDefaults {
		k.digits = r.Text(k.feature, k.digits)
		if k.digits == "" || k.feature == Night && f.schedule == "" {
			continue
		}
		at := b.DefRange
		if r.Has(k.feature) {
			at = r.Range(k.feature)
		}
		c.code(f, k, at)
	}
	switch night := r.Has("night") || r.Has("night_classes"); {
	case r.Has("night_schedule") && !r.Has("night_classes"):
		c.fail(r.Range("night_schedule"), "who may", "Say which classes may turn the night switch: night_classes = [class.office].")
	case night && !r.Has("night_schedule"):
		c.fail(b.DefRange, "which schedule", "Say which schedule the night switch is of: night_schedule = schedule.office.")
	}
}

// code takes one code, if no other begins like it.
func (c *compiler) code(f *featureCodes, k code, at hcl.Range) {
	switch {
	case !validNumber(k.digits) || strings.Trim(k.digits, "0123456789") == "" || len(k.digits) > 16:
		c.fail(at, "not a code", "A code is up to 16 digits with a * or # among them, such as \"*21*\"; \"\" turns %s off.", k.feature)
		return
	case c.plan.extensions[k.digits] != nil:
		c.fail(at, "an extension's number", "Extension %s has this number, at %s, and could never be called.", k.digits, c.plan.extensions[k.digits].Place)
		return
	}
	for _, other := range f.codes {
		if k.digits == other.digits || k.takesNumber() && strings.HasPrefix(other.digits, k.digits) ||
			other.takesNumber() && strings.HasPrefix(k.digits, other.digits) {
			c.fail(at, "two codes alike", "%s is %q, and %s is %q: one hides the other.", k.feature, k.digits, other.feature, other.digits)
			return
		}
	}
	f.codes = append(f.codes, k)
}

// codeFor is the feature that was dialled, and the number behind its code.
func (p *Plan) codeFor(dialled string) (k code, number string, ok bool) {
	if p.codes == nil || len(dialled) > longestNumber {
		return k, "", false
	}
	for _, k := range p.codes.codes {
		if dialled == k.digits {
			return k, "", true
		}
		if rest, ok := strings.CutPrefix(dialled, k.digits); ok && k.takesNumber() {
			return k, strings.TrimSuffix(rest, "#"), true
		}
	}
	return k, "", false
}

// set decides a call that is a code. It is false where it is none. Who forwards may only send calls where he could call
// himself.
func (p *Plan) set(e *env, d *Decision) bool {
	if e.caller == nil || len(e.via) > 0 {
		return false
	}
	dialled := withoutSeparators(e.facts.To)
	k, number, ok := p.codeFor(dialled)
	if !ok {
		return false
	}
	d.Number, d.Place = dialled, p.codes.at
	s := Set{Feature: k.feature, Number: number}
	switch {
	case k.feature == Night:
		s.Schedule, s.State = p.codes.schedule, e.turned(p.schedules[p.codes.schedule])
		if e.class == nil || !slices.Contains(p.codes.classes, e.class.Name) {
			refuse(e, d, 403, "feature code", "only other classes may turn the night switch")
			return true
		}
	case k.takesNumber():
		if why := e.mayForward(number); why != "" {
			refuse(e, d, 403, "feature code", why)
			return true
		}
	}
	e.reason(Reason{"feature code", k.feature, p.codes.at, Won, s.String()})
	d.Steps = []Step{s}
	return true
}

// turned is the state that a schedule has after its switch was turned: the other one by hand, or its hours again.
func (e *env) turned(s *Schedule) string {
	if _, byHand := e.facts.State.Switches[s.Name]; byHand {
		return ByHours
	}
	if s.Open(e.facts.Now) {
		return ClosedByHand
	}
	return OpenByHand
}

// mayForward is empty where the caller may send its calls to a number, and why not otherwise.
func (e *env) mayForward(number string) string {
	if !validNumber(number) && !isE164(number) {
		return "calls cannot be forwarded to " + fmt.Sprintf("%q", number)
	}
	if e.plan.whose(number) == e.caller {
		return "calls are not forwarded in a circle"
	}
	facts, d := *e.facts, Decision{}
	facts.To = number
	next := env{plan: e.plan, facts: &facts, via: []string{e.caller.Number}}
	e.plan.decide(&next, &d)
	if d.Reject.Status != 0 {
		return "calls cannot be forwarded to " + number + ", which the extension cannot call: " + d.Reasons[len(d.Reasons)-1].Why
	}
	return ""
}

// MayForward is the number without separators; it fails where an extension may not send its calls there, for it could
// not call there itself.
func (p *Plan) MayForward(f Facts, extension, number string) (string, error) {
	f.From, f.Trunk = extension, ""
	e := env{plan: p, facts: &f, caller: p.extensions[extension]}
	if e.caller == nil {
		return "", fmt.Errorf("there is no extension %q", extension)
	}
	e.class, number = p.classes[e.caller.Class], withoutSeparators(number)
	if why := e.mayForward(number); why != "" {
		return "", errors.New(why)
	}
	return number, nil
}

func (f *featureCodes) describe() string {
	var b strings.Builder
	for _, k := range f.codes {
		fmt.Fprintf(&b, "%s %s ", k.feature, k.digits)
	}
	fmt.Fprintf(&b, "night schedule %s for %s", f.schedule, strings.Join(f.classes, " "))
	return b.String()
}

// Day is the day of an instant where the phones stand, as 2026-11-23.
func (p *Plan) Day(t time.Time) string { return t.In(p.zone).Format(time.DateOnly) }

// Abroad is the country of a number outside, as the alarm of a new one knows it; empty: it is ours, or none.
func (p *Plan) Abroad(number string) string {
	if !strings.HasPrefix(number, "+") || p.dids[number] != nil {
		return ""
	}
	if country := Country(number); country != p.numbering.Country {
		return country
	}
	return ""
}

// Valid tells whether a step that came from outside makes sense.
func (s Set) Valid() error {
	switch s.Feature {
	case ForwardAlways, ForwardBusy, ForwardNoAnswer, ForwardUnreachable, ForwardOff, DoNotDisturbOn, DoNotDisturbOff:
		return nil
	case Night:
		if s.State == OpenByHand || s.State == ClosedByHand || s.State == ByHours {
			return nil
		}
		return fmt.Errorf("a schedule is %s, %s or %s, and not %q", OpenByHand, ClosedByHand, ByHours, s.State)
	}
	return fmt.Errorf("%q is nothing that can be set", s.Feature)
}
