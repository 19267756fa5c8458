package relay

import (
	"encoding/binary"
	"slices"
	"strings"

	"tandem/media/codec"
)

// A Format is one payload type as it was negotiated for one direction of a leg.
type Format struct {
	PayloadType uint8
	Name        string // SDP encoding name; case does not matter
	Rate        uint32 // RTP clock, Hz
	Channels    int    // 0 is taken as 1
}

// Event tells a telephone-event (RFC 4733).
func (f Format) Event() bool { return strings.EqualFold(f.Name, "telephone-event") }

// Noise tells comfort noise (RFC 3389).
func (f Format) Noise() bool { return strings.EqualFold(f.Name, "CN") }

// Audio tells a codec from its companions.
func (f Format) Audio() bool { return !f.Event() && !f.Noise() }

// Law is the law of a G.711 format.
func (f Format) Law() (codec.Law, bool) {
	if f.Rate != codec.SampleRate || f.Channels > 1 {
		return 0, false
	}
	switch {
	case strings.EqualFold(f.Name, "PCMA"):
		return codec.ALaw, true
	case strings.EqualFold(f.Name, "PCMU"):
		return codec.MuLaw, true
	}
	return 0, false
}

func (f Format) same(g Format) bool {
	return strings.EqualFold(f.Name, g.Name) && f.Rate == g.Rate && max(f.Channels, 1) == max(g.Channels, 1)
}

// A route is what happens to one payload type that a port receives.
type route struct {
	known     bool      // negotiated; anything else is dropped
	event     bool      // telephone-event: also read by us
	forward   bool      // the other port can take it, as:
	pt        uint8     //
	translate bool      // from law to the other one
	law       codec.Law //
	clock     uint32    // of an event, Hz
	to        uint32    // that of the other leg's, if its duration must be counted anew; 0: the same
}

// A routing has a route for each payload type: those that differ from none, and where they stand. It is never written once it is in use.
type routing struct {
	at   [128]uint8 // index into list
	list []route    // the first is that of everything not negotiated
}

// of is the route of a payload type.
func (t *routing) of(pt uint8) *route { return &t.list[t.at[pt&0x7f]] }

// nowhere is the routing of a port that has agreed on nothing.
var nowhere = routing{list: make([]route, 1)}

// routes maps what a port receives to what the other port's peer wants to be sent; nil if there is no other port. The same codec
// passes with its number changed, one G.711 law goes to the other where only that is left, and the rest ends here.
func routes(receive, send []Format) *routing {
	if len(receive) == 0 {
		return &nowhere
	}
	t := &routing{list: make([]route, 1, 1+min(len(receive), 127))}
	for _, f := range receive {
		if f.PayloadType > 127 || t.of(f.PayloadType).known {
			continue
		}
		r := route{known: true, event: f.Event(), clock: f.Rate}
		if g, ok := find(send, f.same); ok {
			r.forward, r.pt = true, g.PayloadType
		} else if g, ok := find(send, Format.Event); ok && r.event { // a browser's 48000 Hz, a phone's 8000
			r.forward, r.pt, r.to = true, g.PayloadType, g.Rate
		} else if law, ok := f.Law(); ok {
			if g, ok := find(send, func(g Format) bool { l, ok := g.Law(); return ok && l != law }); ok {
				r.forward, r.pt, r.translate, r.law = true, g.PayloadType, true, law
			}
		}
		t.at[f.PayloadType] = uint8(len(t.list))
		t.list = append(t.list, r)
	}
	return t
}

// routedTables is how many different tables a loop remembers: both directions of a few kinds of calls.
const routedTables = 8

// routed is a table and what it was made of.
type routed struct {
	receive, send []Format
	table         *routing
}

// routesOf is routes, with one table for all ports that it is the same for.
func (l *Loop) routesOf(receive, send []Format) *routing {
	for i := range l.routed {
		if r := &l.routed[i]; r.table != nil && slices.Equal(r.receive, receive) && slices.Equal(r.send, send) {
			return r.table
		}
	}
	r := &l.routed[l.oldest]
	l.oldest = (l.oldest + 1) % routedTables
	*r = routed{slices.Clone(receive), slices.Clone(send), routes(receive, send)}
	return r.table
}

// rescale counts the duration of a telephone-event in the other clock (RFC 4733 §2.3); the longest that can be said stands for all longer ones.
func (r *route) rescale(payload []byte) {
	if r.to == 0 || len(payload) < 4 {
		return
	}
	d := uint64(binary.BigEndian.Uint16(payload[2:])) * uint64(r.to) / uint64(max(r.clock, 1))
	binary.BigEndian.PutUint16(payload[2:], uint16(min(d, 0xffff)))
}

func find(formats []Format, fits func(Format) bool) (Format, bool) {
	for _, f := range formats {
		if fits(f) {
			return f, true
		}
	}
	return Format{}, false
}
