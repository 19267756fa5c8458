package dialplan

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Outcome is what a target answers, in a trial.
type Outcome struct {
	Status      int  `json:"status"` // final status; 200: it answers
	Silent      bool `json:"silent,omitempty"`
	Unreachable bool `json:"unreachable,omitempty"`

	Body string `json:"body,omitempty"` // of a hook: its answer, as JSON
}

// outcomeWords are the outcomes that have a name; the others are a status.
var outcomeWords = map[string]Outcome{
	"answer":      {Status: 200},
	"busy":        {Status: 486},
	"no_answer":   {Status: 408},
	"declined":    {Status: 603},
	"unreachable": {Status: 480, Unreachable: true},
	"timeout":     {Status: 408, Silent: true},
}

// Outcomes is what each target answers, by its label ("1001", "trunk.a"). A target that is not in it answers.
type Outcomes map[string]Outcome

func (o Outcomes) of(label string) Outcome {
	if out, ok := o[label]; ok {
		return out
	}
	return outcomeWords["answer"]
}

// Label is the target as tests name it: 1001, trunk.a.
func (t Target) Label() string {
	if t.Trunk != "" {
		return "trunk." + t.Trunk
	}
	return t.Extension
}

// Trial is a call that was routed and then played through with what its targets would answer: what a call would do,
// without a phone. It follows the rules of the room of the calls: a step that fails goes to its handler, a 6xx speaks
// for everybody, and a trunk that fails hands over to the next where the failure allows it.
type Trial struct {
	Decision Decision `json:"decision"`
	Tried    []string `json:"tried"`              // labels of the targets, in order
	Answered string   `json:"answered,omitempty"` // label of the target that took the call, or "switch"
	Status   int      `json:"status"`             // what the caller gets
	Steps    []string `json:"steps"`              // names of the steps that were begun
	Plays    []string `json:"plays,omitempty"`    // absolute paths of the files that were played

	asked  bool     // some condition was asked, so the moment matters
	digits []string // that will be pressed
}

// Try routes a call and plays its steps through. digits are what the caller presses in menus, a try each.
func (p *Plan) Try(f Facts, o Outcomes, digits ...string) Trial {
	e, d := env{plan: p, facts: &f, explain: true}, Decision{}
	p.decide(&e, &d)
	t := Trial{Decision: d, asked: e.asked, digits: digits, Tried: []string{}, Steps: []string{}}
	if d.Reject.Status != 0 {
		t.Status = d.Reject.Status
		return t
	}
	t.run(p, f, d.Steps, o)
	return t
}

// run plays steps until one of them decides the call.
func (t *Trial) run(p *Plan, f Facts, steps []Step, o Outcomes) {
	answered := false
	var last *Outcome
	for len(steps) > 0 {
		step := steps[0]
		steps = steps[1:]
		t.Steps = append(t.Steps, stepName(step))
		var on []Handler
		switch s := step.(type) {
		case Dial:
			last, on = t.dial(s, o), s.On
		case Ring:
			last, on = t.ring(s, o), s.On
		case Play:
			t.Plays = append(t.Plays, s.File)
			answered = answered || s.Answer
			continue
		case Menu:
			answered = true
			steps = t.menu(s, p, f)
			continue
		case Hook:
			steps = t.hook(s, p, f, o)
			continue
		case Reject:
			t.Status = s.Status
			return
		case Redirect:
			t.Status = s.Status
			return
		default: // the switch itself answers, and stays
			t.Answered, t.Status = "switch", 200
			return
		}
		if last.Status < 300 {
			t.Status = 200
			return
		}
		if h := HandlerFor(on, last.Status, last.Silent); h != nil {
			steps = h.Steps
		}
	}
	switch {
	case answered:
		t.Answered, t.Status = "switch", 200
	case last != nil:
		t.Status = CallerStatus(last.Status)
	default:
		t.Status = 480
	}
}

// menu gives the steps that the digits of the facts lead to: one entry is one try.
func (t *Trial) menu(m Menu, p *Plan, f Facts) []Step {
	for i := 0; i <= m.Retries && len(t.digits) > 0; i++ {
		pressed := t.digits[0]
		t.digits = t.digits[1:]
		if steps, reasons, ok := p.Choose(m, f, pressed); ok {
			t.Decision.Reasons = append(t.Decision.Reasons, reasons...)
			return steps
		}
	}
	return m.Otherwise
}

// hook gives the steps that a web server answers; where the outcomes do not say what, nobody answers.
func (t *Trial) hook(h Hook, p *Plan, f Facts, o Outcomes) []Step {
	out, ok := o[h.URL]
	if !ok {
		return h.Otherwise
	}
	steps, err := p.Answer(f, []byte(out.Body))
	if err != nil {
		t.Decision.Reasons = append(t.Decision.Reasons, Reason{Rule: "hook", Name: h.URL, Verdict: Lost, Why: err.Error()})
		return h.Otherwise
	}
	return steps
}

// dial tries extensions together and trunks one after the other.
func (t *Trial) dial(s Dial, o Outcomes) *Outcome {
	var best *Outcome
	trunks := false
	for _, target := range s.Targets {
		if target.Trunk == "" {
			continue
		}
		trunks = true
		t.Tried = append(t.Tried, target.Label())
		out := o.of(target.Label())
		best = &out
		if out.Status < 300 {
			t.Answered = target.Label()
			return best
		}
		if !s.movesOn(out) {
			return best
		}
	}
	if trunks {
		return best
	}
	labels := make([]string, len(s.Targets))
	for i, target := range s.Targets {
		labels[i] = target.Label()
	}
	return t.together(labels, o)
}

func (t *Trial) ring(s Ring, o Outcomes) *Outcome {
	if s.Strategy == RingAll || len(s.Members) == 0 {
		return t.together(s.Members, o)
	}
	var best *Outcome
	for _, m := range s.Members {
		best = better(best, t.together([]string{m}, o))
		if best.Status < 300 || best.Status >= 600 {
			break
		}
	}
	return best
}

// together rings all at once: the first of those that answer takes the call.
func (t *Trial) together(labels []string, o Outcomes) *Outcome {
	best := &Outcome{Status: 480, Unreachable: true} // nobody to ring
	for i, label := range labels {
		t.Tried = append(t.Tried, label)
		out := o.of(label)
		if i == 0 {
			best = &out
		} else {
			best = better(best, &out)
		}
		if out.Status < 300 && t.Answered == "" {
			t.Answered = label
		}
	}
	if t.Answered != "" {
		return &Outcome{Status: 200}
	}
	return best
}

// stepName is the word that stands for a step in the configuration.
func stepName(s Step) string {
	switch s.(type) {
	case Dial:
		return "dial"
	case Ring:
		return "ring"
	case Play:
		return "play"
	case Echo:
		return "echo"
	case Tone:
		return "tone"
	case Reject:
		return "reject"
	case Redirect:
		return "redirect"
	case Menu:
		return "menu"
	case Voicemail:
		return "voicemail"
	case Hook:
		return "hook"
	case Set:
		return "set"
	}
	return "step"
}

// said is what a trial did, as the text that a test's expectation of that name is compared with.
func (t *Trial) said(what string) string {
	switch what {
	case "route":
		return t.Decision.Route
	case "number":
		return t.Decision.Number
	case "caller_id":
		return t.Decision.CallerID.Number
	case "caller_name":
		return t.Decision.CallerID.Name
	case "status":
		return strconv.Itoa(t.Status)
	case "answered":
		return t.Answered
	case "tried":
		return strings.Join(t.Tried, ", ")
	case "alarm":
		var rules []string
		for _, a := range t.Decision.Alarms {
			rules = append(rules, a.Rule)
		}
		return strings.Join(rules, ", ")
	case "steps":
		return strings.Join(t.Steps, ", ")
	}
	return ""
}

// played tells whether the files that were played are those of a list of paths, absolute or as they were written.
func (t *Trial) played(files []string) bool {
	return slices.EqualFunc(t.Plays, files, func(path, want string) bool {
		return path == want || strings.HasSuffix(path, string(filepath.Separator)+filepath.Clean(want))
	})
}
