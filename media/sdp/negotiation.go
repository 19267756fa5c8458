package sdp

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strconv"
)

// Errors of a Negotiation: a body that is well formed and still cannot be agreed to. To an offer the SIP answer is 488; an answer of ours that
// cannot be lived with ends the attempt.
var (
	ErrNoAudio  = errors.New("sdp: no audio section that we can take")
	ErrNoCodec  = errors.New("sdp: no codec in common")
	ErrAddress  = errors.New("sdp: no address that media can be sent to")
	ErrSecurity = errors.New("sdp: encryption does not fit")
	ErrSections = errors.New("sdp: answer has other sections than the offer")
	ErrProfile  = errors.New("sdp: answer changes kind or profile of a section")
	ErrNoOffer  = errors.New("sdp: answer without an offer")
)

// Security says whether a leg's media is encrypted with keys in the SDP.
type Security uint8

// The three ways. Plain is also right where the signalling is not encrypted, since the keys would travel in the open.
const (
	Plain    Security = iota // RTP/AVP without keys; offers that demand SRTP are refused
	Optional                 // RTP/AVP with keys in our offers (OSRTP, RFC 8643); what a peer offers is taken
	Required                 // RTP/SAVP in our offers; offers without keys are refused
)

// Capabilities are what our side of a leg can and wants, all that an offer or an answer is written from.
type Capabilities struct {
	Codecs    []Codec        // in order of preference, telephone-event and CN among them; PT as we number them in offers
	RTP       netip.AddrPort // where we receive, as the peer shall see it
	RTCP      uint16         // our RTCP port where it is not muxed; 0: RTP's plus one
	Mux       bool           // RTP and RTCP on one port, if the peer can too
	Direction Direction      // what we want: SendOnly or Inactive to hold
	PTime     int            // ms that we like to receive; 0: 20
	One       bool           // answer with one audio codec only, so that the peer cannot change codec in mid-call

	Fax *Media // T.38 instead of speech: what the other leg's section says; nil: speech

	Security Security
	Crypto   []Crypto          // our key of each suite, most preferred first; Tag as we number them in offers
	Usable   func(Crypto) bool // tells whether a peer's line can be worked with; nil: by its suite alone

	Web   *Web   // our part of a browser's leg, which then has no other security; nil: another leg. Setup: the role to keep, empty for passive
	Video *Video // with Web: what the browser at the other end offers, or to answer with, has agreed to; nil: no video
}

// A Negotiation is one leg's offers and answers: a plain value, owned by the leg. It keeps the o= line, the order of the sections and the payload
// numbers as RFC 3264 §8 wants them kept over the life of the call.
type Negotiation struct {
	origin  Origin
	said    []byte  // the last description of ours, whole
	rest    []byte  // the same below its o= line
	media   []Media // its sections
	numbers []Codec // payload numbers given to codecs so far on our side; they never change meaning
	caps    Capabilities
	offered bool // said is an offer
	pending bool // and has no answer yet
	bundle  bool // the browser puts its sections on one transport

	before struct { // what stood before a pending offer
		said  []byte
		media []Media
	}
}

// NewNegotiation begins for a leg whose descriptions carry the session id (a random number of at most 63 bits) and an address of ours in o=.
func NewNegotiation(session uint64, addr netip.Addr) Negotiation {
	return Negotiation{origin: Origin{User: "-", Session: session & (1<<63 - 1), Host: addr.String()}}
}

// Said is the last description of ours, for a repeated 200 or a session refresh; nil before the first.
func (n *Negotiation) Said() []byte { return n.said }

// Pending tells that an offer of ours waits for its answer.
func (n *Negotiation) Pending() bool { return n.pending }

// Offer writes an offer. Sections of earlier descriptions stay in place, the refused ones refused (RFC 3264 §8).
func (n *Negotiation) Offer(c Capabilities) []byte {
	m := Media{
		Kind: "audio", Proto: "RTP/AVP", Port: c.RTP.Port(), Addr: c.RTP.Addr(),
		Direction: c.Direction, PTime: c.ptime(), Mux: c.Mux, RTCP: c.rtcpLine(),
	}
	if c.Security != Plain {
		m.Crypto = c.Crypto
	}
	if c.Security == Required {
		m.Proto = "RTP/SAVP"
	}
	m.setCodecs(n.number(c.Codecs, c.Video))
	if c.Web != nil {
		n.bundle = n.bundle || n.said == nil
		c.offerWeb(&m, "")
	}

	if c.Fax != nil {
		m = c.faxSection("udptl")
	}
	sections := make([]Media, 0, len(n.media)+1)
	placed := false
	for _, old := range n.media {
		if !placed && old.Port != 0 && (old.Kind == "audio" || old.isFax()) { // one stream takes the other's place (RFC 3264 §8.3.3)
			if c.Fax != nil {
				sections, placed = append(sections, m), true
				continue
			}
			if c.Web != nil {
				c.offerWeb(&m, old.mid())
			}
			m.Proto = keptProfile(old.Proto, m.Proto, c.Security)
			sections, placed = append(sections, m), true
			continue
		}
		sections = append(sections, refused(old))
	}
	if !placed {
		sections = append(sections, m)
	}
	sections = n.offerVideo(sections, &c)
	c.Video = nil
	if !n.pending {
		n.before.said, n.before.media = n.said, n.media
	}
	n.caps, n.offered, n.pending = c, true, true
	return n.say(c.RTP.Addr(), sections)
}

// Withdraw forgets an offer that was not answered: a re-INVITE that failed leaves the session as it was. The version stays
// raised, as the peer has seen it.
func (n *Negotiation) Withdraw() {
	if n.pending {
		n.offered, n.pending = false, false
		n.said, n.media = n.before.said, n.before.media
		n.rest = nil // whatever comes next differs from what the peer saw last
	}
}

// say writes the description and raises the version if anything but the o= line changed (RFC 3264 §8).
func (n *Negotiation) say(addr netip.Addr, sections []Media) []byte {
	d := Description{Addr: addr, Media: sections, Attributes: sessionAttributes(sections, n.bundle)}
	var room [2048]byte // more than any description of ours; what is kept is cut to size
	rest := d.appendRest(room[:0])
	if n.said == nil || !bytes.Equal(rest, n.rest) {
		n.origin.Version++
		head := n.origin.appendLines(make([]byte, 0, 128))
		n.said = slices.Concat(head, rest)
		n.rest = n.said[len(head):]
	}
	n.media = kept(sections)
	return n.said
}

// kept is what must be known of sections of ours later on. Their strings are of their own: a section that came from a peer's offer would hold the whole
// of it, which from a browser is some kilobytes.
func kept(sections []Media) []Media {
	out := slices.Clone(sections)
	for i := range out {
		m := &out[i]
		m.Kind, m.Proto, m.Attributes = shared(m.Kind), shared(m.Proto), nil
		if mid := sections[i].mid(); mid != "" {
			m.Attributes = []Attribute{{Name: "mid", Value: shared(mid)}}
		}
		if m.Port == 0 {
			m.Formats = []string{shared(m.Formats[0])}
		}
	}
	return out
}

// number gives codecs their payload numbers: the one that the session uses already, else ours, else the next free dynamic one.
// Those of video are kept free.
func (n *Negotiation) number(codecs []Codec, video *Video) []Codec {
	out := make([]Codec, 0, len(codecs))
	for _, c := range codecs {
		if known, ok := find(n.numbers, c); ok {
			c.PT = known.PT
		} else {
			c.PT = n.free(c.PT, video)
			n.numbers = append(n.numbers[:len(n.numbers):len(n.numbers)], c)
		}
		out = append(out, c)
	}
	return out
}

// free is want, or the first dynamic number above 95 that no codec has.
func (n *Negotiation) free(want uint8, video *Video) uint8 {
	taken := func(pt uint8) bool {
		if video != nil && slices.ContainsFunc(video.Codecs, func(c Codec) bool { return c.PT == pt }) {
			return true
		}
		for _, c := range n.numbers {
			if c.PT == pt {
				return true
			}
		}
		return false
	}
	for pt := uint8(96); taken(want) && pt <= 127; pt++ {
		if !taken(pt) {
			want = pt
		}
	}
	return want
}

// bind notes the numbers of an offer that we answered: we receive with them from now on.
func (n *Negotiation) bind(codecs []Codec) {
	for _, c := range codecs {
		if _, ok := find(n.numbers, c); !ok {
			n.numbers = append(n.numbers[:len(n.numbers):len(n.numbers)], c)
		}
	}
}

// setCodecs puts the payload formats in, the numbers as m= lists them.
func (m *Media) setCodecs(codecs []Codec) {
	m.Codecs = codecs
	m.Formats = make([]string, 0, len(codecs))
	for _, c := range codecs {
		m.Formats = append(m.Formats, strconv.Itoa(int(c.PT)))
	}
}

// keptProfile stays with the profile in use, as far as it is as secure as what is wanted now: an RTP/SAVPF session is not offered RTP/AVP in its middle.
func keptProfile(old, want string, s Security) string {
	oldSecured := old == "RTP/SAVP" || old == "RTP/SAVPF"
	if isWeb(old) && isWeb(want) || oldSecured && s != Plain || old == "RTP/AVPF" && s != Required {
		return old
	}
	return want
}

// refused is the section with port 0. One format must stand there and means nothing (RFC 3264 §6).
func refused(m Media) Media {
	r := Media{Kind: m.Kind, Proto: m.Proto, Formats: m.Formats[:1]}
	if mid := m.mid(); mid != "" { // browsers know their sections by it
		r.Attributes = []Attribute{{Name: "mid", Value: mid}}
	}
	return r
}

func (c *Capabilities) ptime() int {
	if c.PTime == 0 {
		return 20
	}
	return c.PTime
}

// rtcpLine is a=rtcp, needed where RTCP is not on the next port (RFC 3605).
func (c *Capabilities) rtcpLine() netip.AddrPort {
	if c.RTCP == 0 || c.RTCP == c.RTP.Port()+1 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.Addr{}, c.RTCP)
}

// cryptoFor finds, in our order of preference, an offered line with the suite of one of ours. The answer carries our key under
// the offer's tag (RFC 4568 §5.1.2).
func (c *Capabilities) cryptoFor(offered []Crypto) (local, remote Crypto, ok bool) {
	for _, own := range c.Crypto {
		for _, line := range offered {
			if line.Suite == own.Suite && (c.Usable == nil || c.Usable(line)) {
				own.Tag = line.Tag
				return own, line, true
			}
		}
	}
	return Crypto{}, Crypto{}, false
}
