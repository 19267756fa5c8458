package dialplan

import (
	"fmt"
	"strings"
	"time"
)

// Step is one thing that happens to a call: Dial, Ring, Play, Echo, Tone, Reject or Redirect. Steps follow each other;
// all but Play end the list. When a list ends with a Play, the call ends after it: with BYE where it was answered, and
// with 480 where it was not.
type Step interface {
	// resolve appends the step as it is for one call: what depends on the call is filled in.
	resolve(e *env, to []Step) []Step
	// moving tells whether resolve gives something else for another call.
	moving() bool
	// describe is the step as one line of text, equal for equal steps.
	describe(b *strings.Builder)
}

// Target is one place to send the call to. For a call exactly one of Extension and Trunk is set; in the plan it may be a
// trunk group, which each call resolves.
type Target struct {
	Extension string `json:"extension,omitempty"` // its number; the registrar knows where it is
	Trunk     string `json:"trunk,omitempty"`     // its name
	Number    string `json:"number,omitempty"`    // for a trunk: the number to dial, E.164 where numbering made it so

	Group  string `json:"group,omitempty"`  // the trunk group that it came out of
	Rank   int    `json:"rank,omitempty"`   // in the group: trunks of one rank share the calls
	Weight int    `json:"weight,omitempty"` // its share
	Price  Price  `json:"price,omitzero"`   // by a rate deck
}

// Dial calls its targets. Several extensions ring together; trunks are tried one after the other.
type Dial struct {
	Targets []Target
	Timeout time.Duration // of ringing
	On      []Handler
	Payer   string // over trunks: the extension that forwards the call there, whose limits it counts against; empty: the caller

	Diverted []Diversion // over trunks: who has sent the call on, the first first
	Failover Failover    // between trunks

	extension *expression // whom to call, where that depends on the call
}

// Diversion is an extension that has sent a call on.
type Diversion struct {
	Extension string
	Number    string // its own in the public network, E.164; empty: none
	Why       string // "always", "busy", "no_answer" or "unreachable"
}

// Ring calls the members of a ring group, in the order in which they stand here. The caller is not among them: nobody
// rings at his own desk.
type Ring struct {
	Group    string
	Strategy Strategy
	Members  []string      // numbers of extensions
	Timeout  time.Duration // of all ringing together
	Each     time.Duration // how long one member rings before the next; not for RingAll
	On       []Handler
}

// Play plays a sound file to the caller. File is an absolute path. Where Answer is false it is early media (183).
type Play struct {
	File   string
	Answer bool

	name string // as it was written: the same in whatever folder the configuration lies
}

// Echo answers and sends back what it hears, until the caller hangs up.
type Echo struct{}

// Tone answers and plays a sine until the caller hangs up.
type Tone struct {
	Hz int
}

// Reject ends the call with a final response. Cause is Q.850; 0: by the status.
type Reject struct {
	Status int
	Reason string
	Cause  int
}

// Redirect answers with a 3xx and lets the caller's phone try Contact, a SIP URI or a number of ours.
type Redirect struct {
	Status  int
	Contact string

	to *expression
}

func (s Dial) resolve(e *env, to []Step) []Step {
	if s.extension != nil {
		number := s.extension.text(e)
		x := e.plan.whose(number)
		if x == nil {
			return append(to, e.nobody(number, s.On)...)
		}
		s.Targets, s.extension = []Target{{Extension: x.Number}}, nil
		s.On = resolveHandlers(e, s.On)
		return e.toExtension(to, s, x)
	} else if overTrunks(s.Targets) {
		if s.Targets = e.expand(s.Targets); len(s.Targets) == 0 {
			return append(to, e.noTrunk(s.On)...)
		}
		if n := len(e.via); n > 0 {
			s.Payer = e.via[n-1]
			s.Diverted = e.diverted
		}
	}
	s.On = resolveHandlers(e, s.On)
	if len(s.Targets) == 1 && s.Targets[0].Extension != "" {
		return e.toExtension(to, s, e.plan.extensions[s.Targets[0].Extension])
	}
	if len(s.Targets) > 1 && s.Targets[0].Extension != "" {
		return append(to, e.toExtensions(s)...)
	}
	return append(to, s)
}

// toExtensions is the steps of a call for several extensions at once: those that want no calls are left out.
func (e *env) toExtensions(s Dial) []Step {
	numbers := make([]string, len(s.Targets))
	for i, t := range s.Targets {
		numbers[i] = t.Extension
	}
	left := e.willing(numbers)
	switch {
	case len(left) == len(numbers):
		return []Step{s}
	case len(left) == 0:
		return e.failed(486, "", nil, s.On)
	}
	s.Targets = nil
	for _, number := range left {
		s.Targets = append(s.Targets, Target{Extension: number})
	}
	return []Step{s}
}

// nobody is what happens when a route dials a number that no extension has: what the route says for 404, or that.
func (e *env) nobody(number string, on []Handler) []Step {
	e.reason(Reason{Rule: "dial", Verdict: Lost, Why: "no extension has the number " + number})
	if h := HandlerFor(on, 404, false); h != nil {
		return resolveSteps(e, h.Steps)
	}
	return []Step{Reject{Status: 404, Reason: "Not Found", Cause: 1}}
}

func (s Dial) moving() bool {
	return true // phones are forwarded, and trunks are given the number
}

func (s Ring) resolve(e *env, to []Step) []Step {
	s.Members = e.willing(s.Strategy.order(s.Group, s.Members, &e.facts.State))
	s.On = resolveHandlers(e, s.On)
	return append(to, s)
}

func (s Ring) moving() bool { return true }

func (s Redirect) resolve(e *env, to []Step) []Step {
	s.Contact, s.to = s.to.text(e), nil
	return append(to, s)
}

func (s Redirect) moving() bool { return s.to.constant == nil }

func (s Play) resolve(_ *env, to []Step) []Step   { return append(to, s) }
func (s Echo) resolve(_ *env, to []Step) []Step   { return append(to, s) }
func (s Tone) resolve(_ *env, to []Step) []Step   { return append(to, s) }
func (s Reject) resolve(_ *env, to []Step) []Step { return append(to, s) }

func (s Play) moving() bool   { return false }
func (s Echo) moving() bool   { return false }
func (s Tone) moving() bool   { return false }
func (s Reject) moving() bool { return false }

// resolveSteps gives the steps for one call. Steps that are the same for every call are shared between all.
func resolveSteps(e *env, steps []Step) []Step {
	if !movingSteps(steps) {
		return steps
	}
	out := make([]Step, 0, len(steps))
	for _, s := range steps {
		out = s.resolve(e, out)
	}
	return out
}

func resolveHandlers(e *env, on []Handler) []Handler {
	if !movingHandlers(on) {
		return on
	}
	out := make([]Handler, len(on))
	for i, h := range on {
		out[i] = Handler{h.Classes, resolveSteps(e, h.Steps)}
	}
	return out
}

func movingSteps(steps []Step) bool {
	for _, s := range steps {
		if s.moving() {
			return true
		}
	}
	return false
}

func movingHandlers(on []Handler) bool {
	for _, h := range on {
		if movingSteps(h.Steps) {
			return true
		}
	}
	return false
}

func (s Dial) describe(b *strings.Builder) {
	b.WriteString("dial")
	if s.extension != nil {
		fmt.Fprintf(b, " extension %s", s.extension.source)
	}
	for _, t := range s.Targets {
		b.WriteByte(' ')
		b.WriteString(t.String())
	}
	fmt.Fprintf(b, " for %v", s.Timeout)
	s.Failover.describe(b)
	describeHandlers(b, s.On)
}

// String is the target for people: extension 1001, trunk a with +442079460018.
func (t Target) String() string {
	switch {
	case t.Trunk == "" && t.Group != "":
		return "trunk group " + t.Group
	case t.Trunk == "":
		return "extension " + t.Extension
	case t.Number == "":
		return "trunk " + t.Trunk
	}
	text := "trunk " + t.Trunk + " with " + t.Number
	if t.Group != "" {
		text += fmt.Sprintf(" (group %s, rank %d, weight %d)", t.Group, t.Rank, t.Weight)
	}
	return text
}

func (s Ring) describe(b *strings.Builder) {
	fmt.Fprintf(b, "ring group %s (%s: %s) for %v", s.Group, s.Strategy, strings.Join(s.Members, ", "), s.Timeout)
	if s.Each != 0 {
		fmt.Fprintf(b, ", each %v", s.Each)
	}
	describeHandlers(b, s.On)
}

func (s Play) describe(b *strings.Builder) {
	name := s.name
	if name == "" {
		name = s.File
	}
	if s.Answer {
		fmt.Fprintf(b, "answer and play %s", name)
	} else {
		fmt.Fprintf(b, "play %s before answering", name)
	}
}

func (s Echo) describe(b *strings.Builder) { b.WriteString("answer and echo") }

func (s Tone) describe(b *strings.Builder) { fmt.Fprintf(b, "answer and play %d Hz", s.Hz) }

func (s Reject) describe(b *strings.Builder) {
	fmt.Fprintf(b, "reject %d %s", s.Status, s.Reason)
	if s.Cause != 0 {
		fmt.Fprintf(b, ", cause %d", s.Cause)
	}
}

func (s Redirect) describe(b *strings.Builder) {
	if s.to == nil {
		fmt.Fprintf(b, "redirect %d to %s", s.Status, s.Contact)
		return
	}
	fmt.Fprintf(b, "redirect %d to %s", s.Status, s.to.source)
}

func describeHandlers(b *strings.Builder, on []Handler) {
	for _, h := range on {
		fmt.Fprintf(b, "; on %s {%s}", strings.Join(h.Classes, " "), DescribeSteps(h.Steps))
	}
}

// DescribeSteps is a list of steps as one line for people.
func DescribeSteps(steps []Step) string {
	var b strings.Builder
	for i, s := range steps {
		if i > 0 {
			b.WriteString(", then ")
		}
		s.describe(&b)
	}
	return b.String()
}
