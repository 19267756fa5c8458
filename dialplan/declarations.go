package dialplan

import (
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

var (
	classSchema     = block.Schema("max_calls countries calls_per_minute minutes_per_day premium new_country caller_id may_show")
	numberingSchema = block.Schema("country international national timezone")
	scheduleSchema  = block.Schema("timezone open closed")
	groupSchema     = block.Schema("strategy members timeout each")
)

// maxRing bounds every ringing: longer than any person waits, and below what proxies on the way allow (RFC 3261
// timer C is three minutes at least, and provisional responses renew it).
const maxRing = 10 * time.Minute

// defaultRing is how long a dial rings that does not say.
const defaultRing = time.Minute

func (c *compiler) class(b *hcl.Block) {
	class := c.plan.classes[b.Labels[0]]
	r := c.open(b.Body, classSchema)
	class.MaxCalls = r.Int("max_calls", 0, 1, 100000)
	for _, w := range r.Words("countries") {
		if w.Text != "*" && world.code[w.Text] == "" {
			c.fail(w.At, "unknown country", "%q is no ISO 3166 country code in capitals.%s", w.Text, countryMeant(w.Text))
			continue
		}
		class.Countries = append(class.Countries, w.Text)
	}
	sort.Strings(class.Countries)
	if class.Countries == nil && r.Has("countries") {
		class.Countries = []string{}
	}
	c.readLimits(class, r)
}

// countryMeant suggests a code: of two letters nearly all are near each other, so only for the usual slips.
func countryMeant(text string) string {
	text = strings.ToUpper(text)
	if text == "UK" {
		text = "GB"
	}
	if world.code[text] == "" {
		return ""
	}
	return " Did you mean \"" + text + "\"?"
}

func (c *compiler) numbering() {
	var first *hcl.Block
	for _, b := range c.Blocks {
		if b.Type != "numbering" {
			continue
		}
		if first != nil {
			c.fail(b.DefRange, "declared twice", "The numbering is there already, at %s.", placeOf(first.DefRange))
			return
		}
		first = b
		c.readNumbering(b)
	}
}

func (c *compiler) readNumbering(b *hcl.Block) {
	r := c.open(b.Body, numberingSchema)
	r.Require("country")
	c.plan.zone = c.timezone(r)
	iso := r.Text("country", "")
	if iso == "" {
		return
	}
	n, complete, ok := newNumbering(iso)
	if !ok {
		c.fail(r.Range("country"), "unknown country", "%q is no ISO 3166 country code in capitals.%s", iso, countryMeant(iso))
		return
	}
	if !complete && (!r.Has("international") || !r.Has("national")) {
		c.fail(r.Range("country"), "how people dial is not known", "For %s write both prefixes, as in international = \"00\" and national = \"0\" (\"\" where there is none).", iso)
		return
	}
	n.International = c.prefix(r, "international", n.International)
	n.National = c.prefix(r, "national", n.National)
	if r.Has("national") && n.National == "" {
		n.Whole = true
	}
	c.plan.numbering = n
}

func (c *compiler) prefix(r *block.Reader, name, absent string) string {
	p := r.Text(name, absent)
	if !allDigits(p) || len(p) > 6 {
		c.fail(r.Range(name), "not a prefix", "A dialling prefix is a few digits.")
		return absent
	}
	return p
}

func (c *compiler) timezone(r *block.Reader) *time.Location {
	name := r.Text("timezone", "UTC")
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" || name == "" {
		c.fail(r.Range("timezone"), "unknown time zone", "%q is no time zone: write one such as \"Europe/London\".%s", name, block.DidYouMean(name, someZones))
		return time.UTC
	}
	return zone
}

// someZones are those that are suggested for a misspelt one.
var someZones = strings.Fields(`UTC Europe/London Europe/Paris Europe/Berlin Europe/Madrid Europe/Rome Europe/Amsterdam Europe/Brussels
	Europe/Vienna Europe/Zurich Europe/Prague Europe/Warsaw Europe/Stockholm Europe/Oslo Europe/Copenhagen Europe/Helsinki
	Europe/Athens Europe/Lisbon Europe/Dublin Europe/Istanbul America/New_York America/Chicago America/Denver
	America/Los_Angeles America/Toronto America/Sao_Paulo America/Mexico_City Asia/Tokyo Asia/Shanghai Asia/Kolkata
	Asia/Singapore Asia/Dubai Australia/Sydney Pacific/Auckland Africa/Johannesburg`)

func (c *compiler) schedule(b *hcl.Block) {
	s := c.plan.schedules[b.Labels[0]]
	r := c.open(b.Body, scheduleSchema)
	r.Require("timezone", "open")
	s.Zone = c.timezone(r)
	for _, w := range r.Words("open") {
		p, err := parsePeriod(w.Text)
		if err != nil {
			c.fail(w.At, "not opening hours", "%s.", capital(err.Error()))
			continue
		}
		s.open = append(s.open, p)
	}
	for _, w := range r.Words("closed") {
		d, err := parseDates(w.Text)
		if err != nil {
			c.fail(w.At, "not a date", "%s.", capital(err.Error()))
			continue
		}
		s.closed = append(s.closed, d)
	}
}

func (c *compiler) group(b *hcl.Block) {
	g := c.plan.groups[b.Labels[0]]
	r := c.open(b.Body, groupSchema)
	r.Require("members")
	g.Strategy = Strategy(r.OneOf("strategy", string(RingAll), string(RingAll), string(InOrder), string(RoundRobin), string(LongestIdle)))
	g.Timeout = r.Duration("timeout", time.Minute, time.Second, maxRing)
	if g.Strategy != RingAll {
		g.Each = r.Duration("each", 15*time.Second, time.Second, maxRing)
	} else if r.Has("each") {
		c.fail(r.Range("each"), "all ring together", "\"each\" is for strategies that ring one after the other.")
	}
	for _, ref := range r.Refs("members", "extension") {
		if x := lookup(c, ref, c.plan.extensions); x == nil {
			continue
		}
		if slices.Contains(g.Members, ref.Name) {
			c.fail(ref.At, "named twice", "Extension %s is already a member.", ref.Name)
			continue
		}
		g.Members = append(g.Members, ref.Name)
	}
	if r.Empty("members") {
		c.fail(r.Range("members"), "nobody to ring", "A ring group needs members.")
	}
}

// extensions enters the extensions, checked against each other and against the classes.
func (c *compiler) extensions() {
	for i := range c.Extensions {
		d := &c.Extensions[i]
		if !validNumber(d.Number) {
			c.fail(d.At, "not a number", "An extension is up to 32 digits, * and #, not %q.", d.Number)
			continue
		}
		if before := c.plan.extensions[d.Number]; before != nil {
			c.fail(d.At, "declared twice", "The extension %q is there already, at %s.", d.Number, before.Place)
			continue
		}
		d.Place = placeOf(d.At)
		if d.Class != "" && c.plan.classes[d.Class] == nil {
			c.fail(d.ClassAt, "unknown class", "There is no class %q.%s", d.Class, meant(block.Ref{Kind: "class", Name: d.Class}, keys(c.plan.classes)))
		}
		c.did(d)
		c.plan.extensions[d.Number] = &d.Extension
	}
	c.plan.numbers = keys(c.plan.extensions)
}

func (c *compiler) did(d *Declared) {
	if d.DID == "" {
		return
	}
	if !isE164(d.DID) {
		hint := ""
		if n := c.plan.numbering.E164(withoutSeparators(d.DID)); isE164(n) {
			hint = " Did you mean \"" + n + "\"?"
		}
		c.fail(d.DIDAt, "not E.164", "A number of the public network is written with plus and country code.%s", hint)
		return
	}
	if other := c.plan.dids[d.DID]; other != nil {
		c.fail(d.DIDAt, "declared twice", "Extension %s has this number already, at %s. For several phones write a ring_group.", other.Number, other.Place)
		return
	}
	c.plan.dids[d.DID] = &d.Extension
}

func validNumber(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		if sym := symbolOf[s[i]]; sym == noSymbol || sym == plus {
			return false
		}
	}
	return true
}

func isE164(s string) bool {
	return len(s) >= 8 && len(s) <= 16 && s[0] == '+' && s[1] != '0' && allDigits(s[1:])
}
