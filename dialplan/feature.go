package dialplan

import (
	"fmt"
	"slices"
	"time"

	"tandem/dialplan/block"
)

// mostForwards bounds the forwards that are looked at for one call, side by side or one after the other: three of each
// phone, and three of each that those lead to, would grow without end.
const mostForwards = 12

// ForwardSchema is that of the forward block of an extension.
var ForwardSchema = block.Schema("always busy no_answer unreachable after")

// ReadForward reads the forward block of an extension.
func ReadForward(r *block.Reader) Forward {
	number := func(name string) string {
		text := withoutSeparators(r.Text(name, ""))
		if text != "" && !validNumber(text) && !isE164(text) || r.Has(name) && text == "" {
			r.Fail(r.Range(name), "not a number", "A call is forwarded to a number that the extension could dial, such as \"1002\" or \"+442079460018\".")
			return ""
		}
		return text
	}
	f := Forward{
		Always: number("always"), Busy: number("busy"), NoAnswer: number("no_answer"), Unreachable: number("unreachable"),
		After: r.Duration("after", 0, time.Second, maxRing),
	}
	if r.Has("after") && f.NoAnswer == "" {
		r.Fail(r.Range("after"), "after what", "\"after\" is how long the phone rings before no_answer: say where the call goes then.")
	}
	return f
}

// describe is the features as text; empty where there is none.
func (f Features) describe() string {
	if f == (Features{}) {
		return ""
	}
	return fmt.Sprintf(" do_not_disturb %v forward always %q busy %q no_answer %q after %v unreachable %q",
		f.DoNotDisturb, f.Forward.Always, f.Forward.Busy, f.Forward.NoAnswer, f.Forward.After, f.Forward.Unreachable)
}

// toExtension appends the steps of a call for one extension: what it has set decides before the route does.
func (e *env) toExtension(to []Step, d Dial, x *Extension) []Step {
	f := e.features(x)
	if f == (Features{}) {
		return append(to, d)
	}
	if f.Forward.Always != "" {
		if steps, ok := e.forward(x, "always", f.Forward.Always); ok {
			return append(to, steps...)
		}
	}
	if f.DoNotDisturb {
		e.reason(Reason{Rule: "do not disturb", Name: x.Number, Verdict: Applied, Why: "extension " + x.Number + " takes no calls"})
		return append(to, e.failed(486, f.Forward.Busy, x, d.On)...)
	}
	var first []Handler
	for _, w := range []struct{ class, to string }{
		{string(Busy), f.Forward.Busy}, {string(NoAnswer), f.Forward.NoAnswer}, {string(Unreachable), f.Forward.Unreachable},
	} {
		if w.to == "" {
			continue
		}
		if steps, ok := e.forward(x, w.class, w.to); ok {
			first = append(first, Handler{[]string{w.class}, steps})
		}
	}
	if f.Forward.NoAnswer != "" && f.Forward.After > 0 {
		d.Timeout = min(d.Timeout, f.Forward.After)
	}
	d.On = append(first, d.On...)
	return append(to, d)
}

// failed is the steps of a call that fails before anything rings: those of a forward, of the route, or the refusal.
func (e *env) failed(status int, forward string, x *Extension, on []Handler) []Step {
	if forward != "" {
		if steps, ok := e.forward(x, string(ClassOf(status, false)), forward); ok {
			return steps
		}
	}
	if h := HandlerFor(on, status, false); h != nil {
		return h.Steps
	}
	return []Step{Reject{Status: status, Reason: "Busy Here", Cause: 17}}
}

// forward is the steps of a call that an extension sends on, routed as if it had dialled itself: it may forward where
// it may call, and its class pays for it.
func (e *env) forward(x *Extension, when, to string) ([]Step, bool) {
	at := Reason{Rule: "forward", Name: x.Number, Place: x.Place, Verdict: Applied, Why: "extension " + x.Number + " forwards (" + when + ") to " + to}
	switch {
	case slices.Contains(e.via, x.Number):
		at.Verdict, at.Why = Lost, "extension "+x.Number+" forwards in a circle"
	case e.forwards >= mostForwards:
		return nil, false
	}
	e.reason(at)
	if at.Verdict == Lost {
		return nil, false
	}
	facts := *e.facts
	facts.From, facts.Trunk, facts.To = x.Number, "", to
	d := Decision{}
	next := env{plan: e.plan, facts: &facts, forwards: e.forwards + 1, via: append(slices.Clone(e.via), x.Number)}
	next.diverted = append(slices.Clone(e.diverted), Diversion{Extension: x.Number, Number: x.DID, Why: when})
	e.plan.decide(&next, &d)
	e.reasons = append(e.reasons, next.reasons...)
	e.asked, e.forwards = e.asked || next.asked, next.forwards
	return d.Steps, d.Reject.Status == 0
}
