package media

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tandem/media/sdp"
)

// known are the codecs that need no more than their name in a configuration, with the payload numbers that we offer them under.
var known = []sdp.Codec{
	{PT: 8, Name: "PCMA", Rate: 8000},
	{PT: 0, Name: "PCMU", Rate: 8000},
	{PT: 9, Name: "G722", Rate: 8000},
	{PT: 111, Name: "opus", Rate: 48000, Channels: 2, Fmtp: "useinbandfec=1"},
	{PT: 18, Name: "G729", Rate: 8000, Fmtp: "annexb=no"},
	{PT: 3, Name: "GSM", Rate: 8000},
	{PT: 4, Name: "G723", Rate: 8000},
	{PT: 97, Name: "iLBC", Rate: 8000, Fmtp: "mode=20"},
	{PT: 98, Name: "AMR", Rate: 8000},
	{PT: 99, Name: "AMR-WB", Rate: 16000},
	{PT: 100, Name: "speex", Rate: 8000},
	{PT: 13, Name: sdp.ComfortNoise, Rate: 8000},
	{PT: 101, Name: sdp.TelephoneEvent, Rate: 8000, Fmtp: "0-16"},
}

// eventRates are the clocks that telephone-event is taken with: those of the audio beside it.
var eventRates = []int{8000, 48000, 16000}

// parseCodecs reads a list of codec names: "PCMA", or with clock and channels what the table does not know, "L16/16000".
func parseCodecs(names []string) ([]sdp.Codec, error) {
	var out []sdp.Codec
	for _, name := range names {
		c, err := parseCodec(name)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func parseCodec(text string) (sdp.Codec, error) {
	name, rest, given := strings.Cut(text, "/")
	for _, c := range known {
		if strings.EqualFold(c.Name, name) && (!given || strings.HasPrefix(rest, strconv.Itoa(c.Rate))) {
			return c, nil
		}
	}
	rate, channels, stereo := strings.Cut(rest, "/")
	c := sdp.Codec{PT: 102, Name: name, Channels: 1}
	var err error
	if c.Rate, err = strconv.Atoi(rate); err != nil || name == "" || c.Rate < 1000 || c.Rate > 192000 {
		return c, fmt.Errorf("media: codec %q is not known: write name/rate", text)
	}
	if stereo {
		if c.Channels, err = strconv.Atoi(channels); err != nil || c.Channels < 1 || c.Channels > 8 {
			return c, fmt.Errorf("media: codec %q: bad number of channels", text)
		}
	}
	return c, nil
}

// allows says whether a codec of a peer is on our list. telephone-event is allowed by name, with any clock.
func allows(list []sdp.Codec, c sdp.Codec) bool {
	for _, own := range list {
		if own.Same(c) || own.IsEvent() && c.IsEvent() {
			return true
		}
	}
	return false
}

// isLaw says whether c is one of the two G.711 laws, which we turn into each other.
func isLaw(c sdp.Codec) bool { return c.Same(known[0]) || c.Same(known[1]) }

// answerable is the leg's list with telephone-event in every clock. It is shared where the leg may have all that the engine has.
func (s *Session) answerable() []sdp.Codec {
	if c := s.engine.config(); len(c.codecs) > 0 && len(s.codecs) == len(c.codecs) && &s.codecs[0] == &c.codecs[0] {
		return c.answerable
	}
	return answerable(s.codecs)
}

// answerable is our list with telephone-event in every clock: what an answer may pick from.
func answerable(list []sdp.Codec) []sdp.Codec {
	var out []sdp.Codec
	for _, c := range list {
		if !c.IsEvent() {
			out = append(out, c)
			continue
		}
		for _, rate := range eventRates {
			c.Rate = rate
			out = append(out, c)
		}
	}
	return out
}

// choose picks from an offer the codec that spares most work: what the other leg has, else a law if the other leg has one, else,
// without another leg, a law for our own players. It is zero where our own order shall decide. false means that the two legs
// could not hear each other.
func choose(offered, own, other []sdp.Codec) (sdp.Codec, bool) {
	var law sdp.Codec
	for _, c := range own {
		if isLaw(c) && has(offered, c) {
			law = c
			break
		}
	}
	if len(other) == 0 {
		return law, true
	}
	laws := false
	for _, c := range other {
		if c.IsAudio() && has(offered, c) && has(own, c) {
			return c, true
		}
		laws = laws || isLaw(c)
	}
	return law, laws && law.Name != ""
}

// ordered is a list in the order of own, what is not speech behind it as it stands.
func ordered(list, own []sdp.Codec) []sdp.Codec {
	place := func(c sdp.Codec) int {
		if !c.IsAudio() {
			return len(own)
		}
		return slices.IndexFunc(own, c.Same)
	}
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b sdp.Codec) int { return place(a) - place(b) })
	return out
}

// offerable is what a leg is offered after what another leg offered or agreed: the same codecs in the same order under the same
// numbers as far as allowed, then both laws if it has one, then telephone-event.
func offerable(own, other []sdp.Codec) []sdp.Codec {
	var out []sdp.Codec
	laws, audio := false, false
	for _, c := range other {
		if c.IsAudio() && allows(own, c) {
			out, audio = append(out, c), true
		}
		laws = laws || isLaw(c)
	}
	for _, c := range own {
		if laws && isLaw(c) && !has(out, c) {
			out, audio = append(out, c), true
		}
	}
	if !audio {
		return nil
	}
	for _, c := range other {
		if !c.IsAudio() && allows(own, c) {
			out = append(out, c)
		}
	}
	for _, c := range own {
		if c.IsEvent() && !has(out, c) && hasRate(out, c.Rate) {
			out = append(out, c)
		}
	}
	return out
}

func has(list []sdp.Codec, c sdp.Codec) bool {
	for _, o := range list {
		if o.Same(c) {
			return true
		}
	}
	return false
}

func hasRate(list []sdp.Codec, rate int) bool {
	for _, c := range list {
		if c.IsAudio() && c.Rate == rate {
			return true
		}
	}
	return false
}
