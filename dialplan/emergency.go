package dialplan

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

var emergencySchema = block.Schema("numbers trunks notify secret caller_id")

// emergencyRing is how long a carrier may take to put an emergency call through before the next one is tried.
const emergencyRing = 2 * maxRing

// everyFailure is all that a trunk may fail with. Between trunks of a route some failures end the call, such as 404; a
// carrier that does not know 112 is a reason to ask the next.
var everyFailure = []string{string(Timeout), string(Unreachable), "4xx", "5xx", "6xx"}

// Emergency is the numbers that nothing stands in the way of: they are looked for before limits, block lists, classes
// and routes, and as they were dialled, before numbering can change them.
type Emergency struct {
	Numbers  []string `json:"numbers"`
	Trunks   []string `json:"trunks"`
	Notify   []string `json:"notify,omitempty"` // URLs that are told
	CallerID string   `json:"caller_id,omitempty"`

	key   string // of the signature of what is told; empty: it is not signed
	place Place
}

// SignNotice is the header Tandem-Signature of what is told of an emergency call at an instant, as Hook.Request describes
// it; empty: the configuration names no secret.
func (p *Plan) SignNotice(at time.Time, body []byte) string {
	if p.emergency == nil || p.emergency.key == "" {
		return ""
	}
	return signature(p.emergency.key, at, body)
}

func (c *compiler) emergency(b *hcl.Block) {
	if c.plan.emergency != nil {
		c.fail(b.DefRange, "declared twice", "The block emergency is there already, at %s.", c.plan.emergency.place)
		return
	}
	r := c.open(b.Body, emergencySchema)
	r.Require("numbers", "trunks")
	m := &Emergency{place: placeOf(b.DefRange)}
	c.plan.emergency = m
	for _, w := range r.Words("numbers") {
		switch {
		case !validNumber(w.Text):
			c.fail(w.At, "not a number", "An emergency number is the digits that people dial, such as \"112\".")
		case slices.Contains(m.Numbers, w.Text):
			c.fail(w.At, "named twice", "%s is there already.", w.Text)
		case c.plan.extensions[w.Text] != nil:
			c.fail(w.At, "an extension's number", "Extension %s has this number, at %s, and could never be called.", w.Text, c.plan.extensions[w.Text].Place)
		default:
			m.Numbers = append(m.Numbers, w.Text)
		}
	}
	if r.Empty("numbers") {
		c.fail(r.Range("numbers"), "no number", "Say which numbers are those of emergency services: [\"112\", \"999\"].")
	}
	for _, t := range c.outward(r, "trunks") { // of a group every member, whatever it costs and whatever the hour
		for _, name := range c.plan.members(t) {
			if !slices.Contains(m.Trunks, name) {
				m.Trunks = append(m.Trunks, name)
			}
		}
	}
	if r.Empty("trunks") {
		c.fail(r.Range("trunks"), "no way out", "Emergency calls need a trunk to a carrier, better two.")
	}
	for _, w := range r.Words("notify") {
		u, err := url.Parse(w.Text)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			c.fail(w.At, "not a URL", "Write a URL such as \"https://desk.example.com/emergency\".")
			continue
		}
		m.Notify = append(m.Notify, w.Text)
	}
	c.noticeKey(r, m)
	if m.CallerID = r.Text("caller_id", ""); m.CallerID != "" && !isE164(m.CallerID) {
		c.fail(r.Range("caller_id"), "not E.164", "The number that is shown is written with plus and country code.")
	}
}

// noticeKey reads the secret that notices are signed with.
func (c *compiler) noticeKey(r *block.Reader, m *Emergency) {
	e := r.Expr("secret")
	switch {
	case e != nil && len(m.Notify) == 0:
		c.fail(e.Range(), "nobody is told", "The secret signs what the URLs of \"notify\" are told, and there is none.")
	case e != nil && c.Secret != nil:
		key, d := c.Secret(e)
		c.diags = append(c.diags, d...)
		m.key = key
	case e == nil && len(m.Notify) > 0:
		c.diags = append(c.diags, block.Warnf(r.Range("notify"), "not signed", "Who is told cannot know that it is this switch that tells: add secret = secret(\"env:NAME\"), as hooks have it."))
	}
}

// isEmergency tells whether what was dialled is an emergency number: as it stands, or behind the plus that some phones
// put before every number.
func (p *Plan) isEmergency(dialled string) bool {
	if p.emergency == nil {
		return false
	}
	number := withoutSeparators(dialled)
	return slices.Contains(p.emergency.Numbers, number) || slices.Contains(p.emergency.Numbers, strings.TrimPrefix(number, "+"))
}

// help routes an emergency call. It asks nothing about the caller but where he is.
func (p *Plan) help(e *env, d *Decision) {
	m := p.emergency
	e.number = strings.TrimPrefix(withoutSeparators(e.facts.To), "+")
	d.Number, d.Emergency, d.Notify, d.Place, d.MaxCalls = e.number, true, m.Notify, m.place, 0
	d.CallerID = CallerID{Number: m.CallerID}
	if e.caller != nil {
		d.CallerID.Name = e.caller.Name
		if e.caller.DID != "" {
			d.CallerID.Number = e.caller.DID
		}
	}
	if d.CallerID.Number == "" {
		d.CallerID.Number = e.outsideNumber(e.from())
	}
	for _, name := range slices.Backward(m.Trunks) {
		dial := Dial{Targets: []Target{{Trunk: name, Number: e.number}}, Timeout: emergencyRing, Failover: Failover{FirstReply: firstReply}}
		if len(d.Steps) > 0 {
			dial.On = []Handler{{everyFailure, d.Steps}}
		}
		d.Steps = []Step{dial}
	}
	e.reason(Reason{"emergency", "", m.place, Won, "nothing stands in the way of " + e.number})
}

// outsideNumber is what a called side in the public network is shown for a caller without a number of its own there: the
// number of its class, or else the one that is given.
func (e *env) outsideNumber(number string) string {
	if e.class != nil && e.class.CallerID != "" && !isE164(number) {
		return e.class.CallerID
	}
	return number
}
