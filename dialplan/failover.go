package dialplan

import (
	"strings"
	"time"
)

// Failover says when the next trunk of a Dial is tried.
type Failover struct {
	On         []string      // failures as in Handler; nil: 408, 480, 5xx and what never got a reply
	FirstReply time.Duration // how long a trunk may be silent before it counts as dead; 0: as long as its transaction
}

// firstReply is the time that a carrier has to say anything at all: four INVITEs over UDP (RFC 3261 §17.1.1.2).
const firstReply = 4 * time.Second

// MovesOn tells whether the next trunk is tried after a failure of one: silent, nobody answered; unreachable, nothing
// could be sent. Never after what speaks of the called person or number: 404, 486, 600 and 603 mean the same on every
// trunk. Whether the caller has heard early media already is the caller's of this function to know.
func (f Failover) MovesOn(status int, silent, unreachable bool) bool {
	switch status {
	case 404, 486, 600, 603:
		return false
	}
	if f.On == nil {
		return silent || unreachable || status == 408 || status == 480 || status/100 == 5
	}
	h := Handler{Classes: f.On}
	return h.Handles(status, silent) || unreachable && contains(f.On, string(Unreachable))
}

// describe is the failover as text; empty for the default.
func (f Failover) describe(b *strings.Builder) {
	if f.On != nil {
		b.WriteString(", next trunk on " + strings.Join(f.On, " "))
	}
	if f.FirstReply != 0 && f.FirstReply != firstReply {
		b.WriteString(", first reply in " + f.FirstReply.String())
	}
}

// Owns tells whether a number is one of this switch: an extension's DID, or a caller ID that a route or class names.
func (p *Plan) Owns(number string) bool { return p.dids[number] != nil || p.shown[number] }

// MayShow tells whether an extension may ask that a number be shown for it: its own, or one that its class allows.
func (p *Plan) MayShow(extension, number string) bool {
	x := p.extensions[extension]
	if x == nil || number == "" {
		return false
	}
	if x.DID == number {
		return true
	}
	class := p.classes[x.Class]
	if class == nil {
		return false
	}
	for _, allowed := range class.MayShow {
		block, wild := strings.CutSuffix(allowed, "*")
		if allowed == number || wild && strings.HasPrefix(number, block) {
			return true
		}
	}
	return false
}

// own notes the caller IDs that the configuration names.
func (p *Plan) own() {
	p.shown = map[string]bool{}
	for _, r := range p.routes {
		if r.callerID != nil && r.callerID.constant != nil {
			p.shown[*r.callerID.constant] = true
		}
	}
	for _, c := range p.classes {
		p.shown[c.CallerID] = true
	}
	delete(p.shown, "")
}

// Trunks gives the names of the trunks, sorted.
func (p *Plan) Trunks() []string { return keys(p.trunks) }
