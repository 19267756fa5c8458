package dialplan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Plan is a compiled dialplan. It never changes, so any number of goroutines may ask it.
type Plan struct {
	version    string
	numbering  Numbering
	zone       *time.Location
	classes    map[string]*Class
	extensions map[string]*Extension
	numbers    []string // of the extensions, sorted
	dids       map[string]*Extension
	groups     map[string]*Group
	schedules  map[string]*Schedule
	trunks     map[string]*Trunk
	routes     []*route // by file and line

	trunkGroups map[string]*TrunkGroup
	rates       *rateTable // of all decks; nil: there are none

	matcher   *matcher
	rungOf    []int32 // by pattern of the matcher
	rungs     []rung
	tests     []*Case // by file and line
	tables    []routeTable
	emergency *Emergency
	codes     *featureCodes
	shown     map[string]bool // numbers that may be shown outside, beside DIDs
	blocks    []*blockList    // by file and line
}

// rung is the routes on one pattern, in the order in which they are tried: guarded ones by line, then the others.
// Patterns that mean the same numbers share a rung.
type rung struct {
	level  int // how many patterns it lies inside of, one within the other: the deeper is the more specific
	routes []*route
}

// Extension is a phone's account as the dialplan sees it.
type Extension struct {
	Number string `json:"number"`
	Name   string `json:"name,omitempty"`
	Class  string `json:"class,omitempty"` // name; empty: no class, so only routes for everybody
	DID    string `json:"did,omitempty"`   // its number in the public network, E.164 with plus
	SRTP   string `json:"srtp"`            // "off", "optional" or "required" on its leg
	WebRTC string `json:"webrtc"`          // "auto", "always" or "never": whether its phones are browsers
	Place  Place  `json:"place"`

	Features Features `json:"features,omitzero"` // that the file sets; State may hold others
}

// describeWeb is what the version and a diff say of WebRTC, where anything is said.
func (x *Extension) describeWeb() string {
	if x.WebRTC == "" || x.WebRTC == "auto" {
		return ""
	}
	return " webrtc " + x.WebRTC
}

// Class is what a group of extensions may do.
type Class struct {
	Name      string
	MaxCalls  int      // at once, per extension; 0: no limit
	Countries []string // ISO 3166 codes that may be dialled, sorted; nil: the home country only; "*": all
	place     Place

	CallsPerMinute int      // that an extension may begin; 0: no limit
	MinutesPerDay  int      // that an extension may talk to the outside; 0: no limit
	Premium        bool     // premium services may be dialled
	NewCountry     string   // "allow", "alarm" or "refuse": the first call of an extension to a country
	MayShow        []string // further numbers that its extensions may ask to show, E.164; a trailing * stands for any digits
	CallerID       string   // shown outside for who has no number there; empty: the extension's own
}

// Trunk is a carrier as far as names go; what it is, the room of the trunks knows.
type Trunk struct {
	Name  string
	place Place
}

// Version is a short hash of all that the plan says: equal for equal plans, however the files are named, ordered or
// commented.
func (p *Plan) Version() string { return p.version }

// Extension finds an extension by its number.
func (p *Plan) Extension(number string) (Extension, bool) {
	x, ok := p.extensions[number]
	if !ok {
		return Extension{}, false
	}
	return *x, true
}

// Extensions gives all extensions, sorted by number.
func (p *Plan) Extensions() []Extension {
	all := make([]Extension, len(p.numbers))
	for i, n := range p.numbers {
		all[i] = *p.extensions[n]
	}
	return all
}

// Class finds a class by its name.
func (p *Plan) Class(name string) (Class, bool) {
	c, ok := p.classes[name]
	if !ok {
		return Class{}, false
	}
	return *c, true
}

// Schedule finds a schedule by its name.
func (p *Plan) Schedule(name string) (*Schedule, bool) {
	s, ok := p.schedules[name]
	return s, ok
}

// Groups gives the ring groups, sorted by name.
func (p *Plan) Groups() []Group {
	var all []Group
	for _, name := range keys(p.groups) {
		all = append(all, *p.groups[name])
	}
	return all
}

// Numbering is what digits mean here.
func (p *Plan) Numbering() Numbering { return p.numbering }

// Zone is the time zone of the place where the phones stand.
func (p *Plan) Zone() *time.Location { return p.zone }

// Routes is the number of routes.
func (p *Plan) Routes() int { return len(p.routes) }

// whose is the extension with a number, its own or its DID; nil: none.
func (p *Plan) whose(number string) *Extension {
	if x := p.extensions[number]; x != nil {
		return x
	}
	return p.dids[number]
}

// Part is one named thing of a plan as a text that is equal for equal things: what a reload compares.
type Part struct {
	Kind string `json:"kind"` // "extension", "class", "route", …
	Name string `json:"name"`
	Text string `json:"text"`
}

// Parts gives all parts of the plan, sorted by kind and name.
func (p *Plan) Parts() []Part { return p.parts(true) }

// parts is Parts; where all is not set it leaves out routes and rate decks.
func (p *Plan) parts(all bool) []Part {
	parts := make([]Part, 0, len(p.extensions)+64)
	add := func(kind, name, format string, args ...any) {
		parts = append(parts, Part{kind, name, fmt.Sprintf(format, args...)})
	}
	n := &p.numbering
	add("numbering", "", "%s international %q national %q zone %s", n.Country, n.International, n.National, p.zone)
	for _, c := range p.classes {
		add("class", c.Name, "max_calls %d countries %s%s", c.MaxCalls, strings.Join(c.Countries, " "), c.limits())
	}
	for _, number := range p.numbers { // in order, and put together by hand: there may be a hundred thousand
		x := p.extensions[number]
		parts = append(parts, Part{"extension", number,
			strconv.Quote(x.Name) + " class " + x.Class + " did " + x.DID + " srtp " + x.SRTP + x.describeWeb() + x.Features.describe()})
	}
	for _, g := range p.groups {
		add("ring_group", g.Name, "%s %s for %v each %v", g.Strategy, strings.Join(g.Members, " "), g.Timeout, g.Each)
	}
	for _, s := range p.schedules {
		add("schedule", s.Name, "%s open %v closed %v", s.Zone, s.open, s.closed)
	}
	if m := p.emergency; m != nil {
		add("emergency", "", "%s over %s notify %s caller_id %s", strings.Join(m.Numbers, " "), strings.Join(m.Trunks, " "), strings.Join(m.Notify, " "), m.CallerID)
	}
	if p.codes != nil {
		add("feature_codes", "", "%s", p.codes.describe())
	}
	for _, l := range p.blocks {
		add("block_list", l.name, "%s", l.describe())
	}
	for _, g := range p.trunkGroups {
		add("trunk_group", g.Name, "%s", g.describe())
	}
	if all {
		if p.rates != nil {
			for _, d := range p.rates.decks {
				add("rate_deck", d.name, "%d rows, %s", d.rows, d.text)
			}
		}
		for _, t := range p.tables {
			add("routes", t.name, "%d rows, %s", t.rows, t.text)
		}
		for _, r := range p.routes {
			if r.table != "" {
				continue
			}
			add("route", r.name, "%s", r.describe())
		}
	}
	slices.SortFunc(parts, func(a, b Part) int {
		if c := strings.Compare(a.Kind, b.Kind); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return parts
}

func (p *Plan) hash() string {
	h := sha256.New()
	for _, part := range p.Parts() {
		fmt.Fprintf(h, "%s\x00%s\x00%s\n", part.Kind, part.Name, part.Text)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
