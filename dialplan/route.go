package dialplan

import (
	"slices"
	"strings"
)

// Route decides where a call goes. It is a pure function of the plan and the facts: it may be called from any
// goroutine, and the same facts give the same decision.
func (p *Plan) Route(f Facts) Decision {
	e, d := env{plan: p, facts: &f}, Decision{}
	p.decide(&e, &d)
	return d
}

// decide goes through the pipeline, a step a function. Nobody can forward to an emergency number.
func (p *Plan) decide(e *env, d *Decision) {
	d.Plan = p.version
	switch {
	case !p.identify(e, d):
	case len(e.via) == 0 && e.caller != nil && p.isEmergency(e.facts.To):
		p.help(e, d)
	case p.set(e, d):
	case p.number(e, d) && p.permit(e, d) && p.limit(e, d) && p.blocked(e, d):
		p.choose(e, d)
	}
	d.Reasons = e.reasons
}

// identify finds who is calling: an extension and its class, or a trunk.
func (p *Plan) identify(e *env, d *Decision) bool {
	switch f := e.facts; {
	case f.From != "":
		x := p.extensions[f.From]
		if x == nil {
			return refuse(e, d, 403, "caller", "there is no extension "+f.From)
		}
		e.caller, e.class = x, p.classes[x.Class]
		d.Caller = Caller{Extension: x.Number, Class: x.Class}
		if e.class != nil {
			d.MaxCalls = e.class.MaxCalls
		}
	case f.Trunk != "":
		d.Caller = Caller{Trunk: f.Trunk}
		if p.trunks[f.Trunk] == nil {
			return refuse(e, d, 403, "caller", "there is no trunk "+f.Trunk)
		}
	default:
		return refuse(e, d, 403, "caller", "nobody has proven to be the caller")
	}
	return true
}

// longestNumber bounds what is looked at of a dialled number, in bytes: strangers send megabytes.
const longestNumber = 256

// number brings what was dialled into the form of patterns. An extension's number means the extension, whatever the
// country.
func (p *Plan) number(e *env, d *Decision) bool {
	if len(e.facts.To) > longestNumber {
		return refuse(e, d, 404, "numbering", "it is longer than any number")
	}
	dialled := withoutSeparators(e.facts.To)
	e.number = dialled
	if p.extensions[dialled] == nil {
		e.number = p.numbering.E164(dialled)
	}
	if e.number != e.facts.To {
		e.reason(Reason{Rule: "numbering", Verdict: Applied, Why: e.facts.To + " is " + e.number})
	}
	d.Number = e.number
	if strings.HasPrefix(e.number, "+") && !publicNumber.Matches(e.number) {
		return refuse(e, d, 404, "numbering", "a number with a plus has 7 to 15 digits, and the first is not 0")
	}
	return true
}

// permit holds the number against what the caller's class may dial. A number of one of our own extensions is free for
// all, and what comes over a trunk has no class.
func (p *Plan) permit(e *env, d *Decision) bool {
	if e.caller == nil || e.number == "" || e.number[0] != '+' || p.dids[e.number] != nil {
		return true
	}
	country := Country(e.number)
	if e.class != nil && e.class.Countries != nil {
		if slices.Contains(e.class.Countries, country) || slices.Contains(e.class.Countries, "*") {
			return true
		}
	} else if country != "" && country == p.numbering.Country {
		return true
	}
	if country == "" {
		return refuse(e, d, 403, "class", e.number+" belongs to no country")
	}
	if e.caller.Class == "" {
		return refuse(e, d, 403, "class", "an extension without a class may not dial "+country)
	}
	return refuse(e, d, 403, "class", "class "+e.caller.Class+" may not dial "+country)
}

// choose tries the routes on every pattern that the number is in, the most specific first.
func (p *Plan) choose(e *env, d *Decision) {
	var room [16]int32
	rungs := p.candidates(e.number, room[:0])
	e.reasons = slices.Grow(e.reasons, len(rungs))
	var winner *route
	admitted := false
	for _, k := range rungs {
		for _, r := range p.rungs[k].routes {
			why := ""
			switch {
			case winner != nil && winner.rung != k:
				why = "a more specific pattern won"
			case winner != nil:
				why = "a route before it on the same pattern won"
			case !r.admits(e):
				why = r.others
			default:
				admitted = true
				why = r.guard(e)
			}
			if why != "" {
				e.reason(Reason{"route", r.name, placeOf(r.at), Lost, why})
				continue
			}
			winner = r
			e.reason(Reason{"route", r.name, placeOf(r.at), Won, "the most specific pattern that matches"})
		}
	}
	switch {
	case winner != nil:
		p.follow(e, d, winner)
	case len(rungs) > 0 && !admitted:
		refuse(e, d, 403, "class", "every route that matches is for other callers")
	default:
		refuse(e, d, 404, "route", "no route takes "+e.number)
	}
}

// guard is empty where the route's condition holds, and why it does not otherwise.
func (r *route) guard(e *env) string {
	if r.when == nil {
		return ""
	}
	e.asked = true
	ok, err := r.when.holds(e)
	switch {
	case err != nil:
		return "its condition failed: " + err.Error()
	case !ok:
		return r.closed
	}
	return ""
}

// candidates gives the rungs that the number is on, the most specific first.
func (p *Plan) candidates(number string, rungs []int32) []int32 {
	var room [16]int32
	for _, pattern := range p.matcher.match(number, room[:0]) {
		rungs = include(rungs, p.rungOf[pattern])
	}
	// Few patterns match one number, so the plainest sort is the fastest.
	for i := 1; i < len(rungs); i++ {
		for j := i; j > 0 && p.before(rungs[j], rungs[j-1]); j-- {
			rungs[j], rungs[j-1] = rungs[j-1], rungs[j]
		}
	}
	return rungs
}

func (p *Plan) before(a, b int32) bool {
	if p.rungs[a].level != p.rungs[b].level {
		return p.rungs[a].level > p.rungs[b].level
	}
	return a < b
}

// follow fills in what the winning route says.
func (p *Plan) follow(e *env, d *Decision, r *route) {
	d.Route, d.Place = r.name, placeOf(r.at)
	d.CallerID.Number = r.callerID.text(e)
	if d.CallerID.Number == "" {
		d.CallerID.Number = e.from()
	}
	if e.caller != nil && e.outside() {
		d.CallerID.Number = e.outsideNumber(d.CallerID.Number)
	}
	d.CallerID.Name = r.callerName.text(e)
	if d.CallerID.Name == "" && e.caller != nil {
		d.CallerID.Name = e.caller.Name
	}
	d.Steps = resolveSteps(e, r.steps)
}

func refuse(e *env, d *Decision, status int, rule, why string) bool {
	d.Reject = Reject{Status: status, Reason: "Not Found"}
	if status == 403 {
		d.Reject.Reason = "Forbidden"
	}
	e.reason(Reason{Rule: rule, Verdict: Lost, Why: why})
	return false
}
