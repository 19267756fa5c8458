package sdp

import (
	"strconv"
	"strings"
)

// A Codec is one payload format of an RTP section.
type Codec struct {
	PT       uint8  // 0 to 127
	Name     string // as in a=rtpmap; empty for a dynamic number that nothing explains
	Rate     int    // of the RTP clock, Hz
	Channels int    // 0 and 1 are the same
	Fmtp     string // value of a=fmtp without the number
}

// TelephoneEvent is the name of RFC 4733's format, ComfortNoise that of RFC 3389's.
const (
	TelephoneEvent = "telephone-event"
	ComfortNoise   = "CN"
)

// static are the payload types of RFC 3551 table 4 that need no a=rtpmap.
var static = [35]Codec{
	0: {Name: "PCMU", Rate: 8000}, 3: {Name: "GSM", Rate: 8000}, 4: {Name: "G723", Rate: 8000},
	5: {Name: "DVI4", Rate: 8000}, 6: {Name: "DVI4", Rate: 16000}, 7: {Name: "LPC", Rate: 8000},
	8: {Name: "PCMA", Rate: 8000}, 9: {Name: "G722", Rate: 8000}, // G722's clock is half its sample rate, by an old mistake
	10: {Name: "L16", Rate: 44100, Channels: 2}, 11: {Name: "L16", Rate: 44100}, 12: {Name: "QCELP", Rate: 8000},
	13: {Name: "CN", Rate: 8000}, 14: {Name: "MPA", Rate: 90000}, 15: {Name: "G728", Rate: 8000},
	16: {Name: "DVI4", Rate: 11025}, 17: {Name: "DVI4", Rate: 22050}, 18: {Name: "G729", Rate: 8000},
	25: {Name: "CelB", Rate: 90000}, 26: {Name: "JPEG", Rate: 90000}, 28: {Name: "nv", Rate: 90000},
	31: {Name: "H261", Rate: 90000}, 32: {Name: "MPV", Rate: 90000}, 33: {Name: "MP2T", Rate: 90000}, 34: {Name: "H263", Rate: 90000},
}

// Static is the codec of a payload number that RFC 3551 assigns; false for the others.
func Static(pt uint8) (Codec, bool) {
	if int(pt) >= len(static) || static[pt].Name == "" {
		return Codec{}, false
	}
	c := static[pt]
	c.PT = pt
	return c, true
}

// Same tells whether two payload formats are one codec, whatever their numbers: name without case, clock and channels.
func (c Codec) Same(o Codec) bool {
	return c.Name != "" && strings.EqualFold(c.Name, o.Name) && c.Rate == o.Rate && max(1, c.Channels) == max(1, o.Channels)
}

// IsEvent tells whether this is telephone-event.
func (c Codec) IsEvent() bool { return strings.EqualFold(c.Name, TelephoneEvent) }

// IsNoise tells whether this is comfort noise.
func (c Codec) IsNoise() bool { return strings.EqualFold(c.Name, ComfortNoise) }

// IsAudio tells whether this carries speech.
func (c Codec) IsAudio() bool { return c.Name != "" && !c.IsEvent() && !c.IsNoise() }

// String is "PCMA/8000", with channels if there are several.
func (c Codec) String() string {
	s := c.Name + "/" + strconv.Itoa(c.Rate)
	if c.Channels > 1 {
		s += "/" + strconv.Itoa(c.Channels)
	}
	return s
}

// find gives the first of list that is the same codec as c.
func find(list []Codec, c Codec) (Codec, bool) {
	for _, o := range list {
		if c.Same(o) {
			return o, true
		}
	}
	return Codec{}, false
}

// numbered gives the one with this payload number.
func numbered(list []Codec, pt uint8) (Codec, bool) {
	for _, c := range list {
		if c.PT == pt {
			return c, true
		}
	}
	return Codec{}, false
}

// eventFor picks the telephone-event that goes with audio: that of its clock rate (RFC 4733 §2.1), else the first one. Zero if there is none.
func eventFor(list []Codec, audio Codec) Codec {
	var first Codec
	for _, c := range list {
		if !c.IsEvent() {
			continue
		}
		if c.Rate == audio.Rate {
			return c
		}
		if first.Name == "" {
			first = c
		}
	}
	return first
}
