package dialplan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

// premiumPrefixes is where a minute costs what a call to a friend never does: premium services, personal numbers that
// fraud is fond of, and networks of no country. Source: national numbering plans; ITU-T E.164 for 878 to 979.
const premiumPrefixes = `878 881 882 883 979 1900 2792 3090 31900 31906 31909 3290 3389 34803 34806 34807 34905 34907
	351601 351607 35315 358600 358700 359900 3616 3690 39892 39894 39895 39899 4021 40900 4190 420900 420906 420909 43900 43901 43930
	43931 43939 4470 449 4590 46900 46939 46944 47829 4870 49900 6119 64900`

var premium = func() []string {
	var out []string
	for p := range strings.FieldsSeq(premiumPrefixes) {
		out = append(out, "+"+p)
	}
	return out
}()

// IsPremium tells whether an E.164 number belongs to a premium service, or to a network without a country.
func IsPremium(number string) bool {
	return slices.ContainsFunc(premium, func(p string) bool { return strings.HasPrefix(number, p) })
}

// What a class does with the first call of an extension to a country.
const (
	newAllowed = "allow"
	newAlarm   = "alarm"
	newRefused = "refuse"
)

// AlarmsNewCountry tells whether the first call of an extension of the class to a country is to be heard of.
func (c *Class) AlarmsNewCountry() bool { return c.NewCountry == newAlarm }

// Alarm is something that a person should hear of, while the call goes on.
type Alarm struct {
	Rule string `json:"rule"`
	Why  string `json:"why"`
}

// readLimits reads what a class limits beside countries.
func (c *compiler) readLimits(class *Class, r *block.Reader) {
	class.CallsPerMinute = r.Int("calls_per_minute", 0, 1, 100000)
	class.MinutesPerDay = r.Int("minutes_per_day", 0, 1, 1440*1000)
	class.Premium = r.Bool("premium", false)
	class.NewCountry = r.OneOf("new_country", newAllowed, newAllowed, newAlarm, newRefused)
	for _, w := range r.Words("may_show") {
		if block, ok := strings.CutSuffix(w.Text, "*"); !isE164(block) && !(ok && (block == "" || block[0] == '+' && strings.Trim(block[1:], "0123456789") == "")) {
			c.fail(w.At, "not a number", "Write a number in full, \"+442079460018\", a block of them, \"+4420794600*\", or \"*\" for any.")
		}
		class.MayShow = append(class.MayShow, w.Text)
	}
	if class.CallerID = r.Text("caller_id", ""); class.CallerID != "" && !isE164(class.CallerID) {
		c.fail(r.Range("caller_id"), "not E.164", "The number that is shown outside is written with plus and country code, as in \"+442079460018\".")
	}
}

// limits is the limits as text; empty where there is none.
func (c *Class) limits() string {
	var b strings.Builder
	if c.CallsPerMinute > 0 {
		fmt.Fprintf(&b, " calls_per_minute %d", c.CallsPerMinute)
	}
	if c.MinutesPerDay > 0 {
		fmt.Fprintf(&b, " minutes_per_day %d", c.MinutesPerDay)
	}
	if c.Premium {
		b.WriteString(" premium")
	}
	if c.NewCountry != "" && c.NewCountry != newAllowed {
		b.WriteString(" new_country " + c.NewCountry)
	}
	if len(c.MayShow) > 0 {
		b.WriteString(" may_show " + strings.Join(c.MayShow, " "))
	}
	if c.CallerID != "" {
		b.WriteString(" caller_id " + c.CallerID)
	}
	return b.String()
}

// outside tells whether the number is one of the public network and not of an extension of ours.
func (e *env) outside() bool {
	return strings.HasPrefix(e.number, "+") && e.plan.dids[e.number] == nil
}

// limit holds a call against the counters of its extension. What comes over a trunk has no class; the trunk's own limits
// are the trunk's.
func (p *Plan) limit(e *env, d *Decision) bool {
	if e.caller == nil || e.class == nil {
		return true
	}
	u := e.facts.State.Usage[e.caller.Number]
	if most := e.class.CallsPerMinute; most > 0 && u.LastMinute >= most {
		return refuse(e, d, 403, "limit", fmt.Sprintf("class %s begins at most %d calls a minute", e.class.Name, most))
	}
	if !e.outside() {
		return true
	}
	if most := e.class.MinutesPerDay; most > 0 && u.MinutesToday >= float64(most) {
		return refuse(e, d, 403, "limit", fmt.Sprintf("class %s calls outside for at most %d minutes a day", e.class.Name, most))
	}
	if !e.class.Premium && IsPremium(e.number) {
		return refuse(e, d, 403, "class", "class "+e.class.Name+" may not dial premium services")
	}
	return p.newCountry(e, d, u.Countries)
}

// newCountry speaks up, or refuses, when an extension calls a country for the first time: what fraud does on a weekend.
func (p *Plan) newCountry(e *env, d *Decision, before []string) bool {
	country := Country(e.number)
	if e.class.NewCountry == "" || e.class.NewCountry == newAllowed || country == p.numbering.Country || slices.Contains(before, country) {
		return true
	}
	why := "extension " + e.caller.Number + " has never called " + country + " before"
	if e.class.NewCountry == newRefused {
		return refuse(e, d, 403, "limit", why)
	}
	d.Alarms = append(d.Alarms, Alarm{"new_country", why})
	e.reason(Reason{Rule: "limit", Verdict: Applied, Why: why})
	return true
}

// blockList is numbers that may not call, or may not be called.
type blockList struct {
	name         string
	at           Place
	callers      []*Pattern // of calls over trunks
	anonymous    bool       // calls without a number too
	destinations []*Pattern
	classes      []string // whom the destinations are for; empty: everybody
	status       int
}

var blockSchema = block.Schema("callers anonymous destinations classes status")

func (c *compiler) blockList(b *hcl.Block) {
	r := c.open(b.Body, blockSchema)
	l := &blockList{name: b.Labels[0], at: placeOf(b.DefRange), anonymous: r.Bool("anonymous", false), status: r.Int("status", 603, 400, 699)}
	patterns := func(name string) (out []*Pattern) {
		for _, w := range r.Words(name) {
			p, err := ParsePattern(w.Text)
			if err != nil {
				c.fail(w.At, "not a pattern", "%s.", capital(err.Error()))
				continue
			}
			out = append(out, p)
		}
		return out
	}
	l.callers, l.destinations = patterns("callers"), patterns("destinations")
	for _, ref := range r.Refs("classes", "class") {
		if lookup(c, ref, c.plan.classes) != nil {
			l.classes = append(l.classes, ref.Name)
		}
	}
	if !r.Has("callers") && !r.Has("destinations") && !l.anonymous {
		c.fail(b.DefRange, "blocks nothing", "A block_list has callers, destinations or anonymous = true.")
	}
	if r.Has("classes") && !r.Has("destinations") {
		c.fail(r.Range("classes"), "for what", "\"classes\" says for whom the destinations are blocked: there are none.")
	}
	c.plan.blocks = append(c.plan.blocks, l)
}

// blocked holds a call against the block lists.
func (p *Plan) blocked(e *env, d *Decision) bool {
	for _, l := range p.blocks {
		why := l.blocks(e)
		if why == "" {
			continue
		}
		d.Reject = Reject{Status: l.status, Reason: reasonOf(l.status)}
		e.reason(Reason{"block_list", l.name, l.at, Lost, why})
		return false
	}
	return true
}

// blocks is why the list stops a call, or empty.
func (l *blockList) blocks(e *env) string {
	if e.facts.Trunk != "" {
		caller := e.plan.numbering.E164(withoutSeparators(e.facts.Caller))
		if caller == "" && l.anonymous {
			return "the caller gives no number"
		}
		if in(l.callers, caller) {
			return "calls from " + caller + " are blocked"
		}
	}
	class := ""
	if e.class != nil {
		class = e.class.Name
	}
	if (len(l.classes) == 0 || slices.Contains(l.classes, class)) && in(l.destinations, e.number) {
		return "calls to " + e.number + " are blocked"
	}
	return ""
}

func in(patterns []*Pattern, number string) bool {
	return slices.ContainsFunc(patterns, func(p *Pattern) bool { return p.Matches(number) })
}

func (l *blockList) describe() string {
	var callers, destinations []string
	for _, p := range l.callers {
		callers = append(callers, p.text)
	}
	for _, p := range l.destinations {
		destinations = append(destinations, p.text)
	}
	return fmt.Sprintf("callers %s anonymous %v destinations %s classes %s status %d",
		strings.Join(callers, " "), l.anonymous, strings.Join(destinations, " "), strings.Join(l.classes, " "), l.status)
}

// reasonOf is the phrase of a refusal (RFC 3261 §21).
func reasonOf(status int) string {
	switch status {
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 480:
		return "Temporarily Unavailable"
	case 486:
		return "Busy Here"
	case 603:
		return "Decline"
	case 604:
		return "Does Not Exist Anywhere"
	case 607:
		return "Unwanted"
	}
	return "Refused"
}
