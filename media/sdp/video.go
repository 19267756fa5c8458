package sdp

import (
	"slices"
	"strconv"
	"strings"
)

const (
	// mostVideoCodecs bounds the payload formats of video that pass: Chromium has some twenty of H.264 and VP8 with those for repair.
	mostVideoCodecs = 32
	// mostFeedback bounds the a=rtcp-fb lines: five for each of them.
	mostFeedback = 5 * mostVideoCodecs
	// extensionMID is the extension that carries a section's a=mid in each packet (RFC 9143 §15).
	extensionMID = "urn:ietf:params:rtp-hdrext:sdes:mid"
)

// passedExtensions are the header extensions that mean the same at both ends of a call when packets pass as they are.
var passedExtensions = []string{
	"http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
	extensionMID,
	"http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
	"urn:3gpp:video-orientation",
	"urn:ietf:params:rtp-hdrext:toffset",
}

// passedFeedback are the kinds of feedback that are relayed (RFC 4585, RFC 5104; the last two are Chromium's).
var passedFeedback = []string{"nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"}

// A Video is the video section of a browser's description, as much of it as passes to another browser: VP8 and H.264 with their repair streams.
// Payload numbers and extension ids are the same on both legs, for packets pass as they are. Its strings are of its own.
type Video struct {
	MID        string
	Codecs     []Codec
	Feedback   []string  // values of a=rtcp-fb
	Extensions []string  // values of a=extmap
	SSRC       [2]uint32 // what the browser sends with, and its repair stream (RFC 4588); 0: not said
	Direction  Direction // as the browser wrote it

	Sends    bool // agreed: we may send
	Receives bool // agreed: the browser may
	Section  int  // its index
}

// Video reads the first live video section that shares its transport with the audio section; nil: there is none that we could pass on.
func (d *Description) Video(audio *Media) *Video {
	for i := range d.Media {
		m := &d.Media[i]
		_, only := m.attribute("bundle-only") // of an offer: port 0 until it is known that the sections go together (RFC 9143 §6)
		if m.Kind != "video" || m.Port == 0 && !only || !m.dtls() || !m.Mux {
			continue
		}
		if !d.together(audio.mid(), m.mid()) {
			return nil
		}
		v := &Video{MID: strings.Clone(m.mid()), Direction: m.Direction, Section: i, SSRC: m.sources()}
		v.Codecs = passedVideo(m.Codecs)
		if !slices.ContainsFunc(v.Codecs, func(c Codec) bool { return !c.isRepair() }) {
			return nil
		}
		v.takeAttributes(m.Attributes)
		return v
	}
	return nil
}

// together tells whether two sections are in one BUNDLE group.
func (d *Description) together(a, b string) bool {
	for _, x := range d.Attributes {
		if list := strings.Fields(x.Value); x.Name == "group" && a != "" && b != "" && a != b && len(list) > 2 && list[0] == "BUNDLE" {
			return slices.Contains(list[1:], a) && slices.Contains(list[1:], b)
		}
	}
	return false
}

// isRepair tells whether this is RFC 4588's retransmission of another format.
func (c Codec) isRepair() bool { return strings.EqualFold(c.Name, "rtx") }

// repairs is the payload number that a retransmission format belongs to.
func (c Codec) repairs() (uint8, bool) {
	for p := range strings.SplitSeq(c.Fmtp, ";") {
		if n, ok := strings.CutPrefix(strings.TrimSpace(p), "apt="); ok {
			pt, err := payloadType(n)
			return pt, err == nil
		}
	}
	return 0, false
}

// passedVideo keeps VP8, H.264 and what repairs them.
func passedVideo(offered []Codec) []Codec {
	var out []Codec
	for _, c := range offered {
		known := strings.EqualFold(c.Name, "VP8") || strings.EqualFold(c.Name, "H264")
		if known && c.Rate == 90000 && len(out) < mostVideoCodecs {
			out = append(out, Codec{PT: c.PT, Name: shared(c.Name), Rate: c.Rate, Fmtp: strings.Clone(c.Fmtp)})
		}
	}
	for _, c := range offered {
		if apt, ok := c.repairs(); ok && c.isRepair() && len(out) < mostVideoCodecs {
			if of, ok := numbered(out, apt); ok && !of.isRepair() {
				out = append(out, Codec{PT: c.PT, Name: shared(c.Name), Rate: c.Rate, Fmtp: strings.Clone(c.Fmtp)})
			}
		}
	}
	return out
}

// sources are the media and repair stream of a section: the first a=ssrc-group:FID (RFC 5576), else the first a=ssrc.
func (m *Media) sources() (out [2]uint32) {
	number := func(s string) uint32 { n, _ := strconv.ParseUint(s, 10, 32); return uint32(n) }
	for _, a := range m.Attributes {
		f := strings.Fields(a.Value)
		switch {
		case a.Name == "ssrc-group" && len(f) == 3 && f[0] == "FID":
			return [2]uint32{number(f[1]), number(f[2])}
		case a.Name == "ssrc" && len(f) > 0 && out[0] == 0:
			out[0] = number(f[0])
		}
	}
	return out
}

func (v *Video) takeAttributes(list []Attribute) {
	for _, a := range list {
		switch a.Name {
		case "rtcp-fb":
			of, kind, _ := strings.Cut(a.Value, " ")
			pt, err := payloadType(of)
			_, known := numbered(v.Codecs, pt)
			if (of == "*" || err == nil && known) && slices.Contains(passedFeedback, kind) && len(v.Feedback) < mostFeedback {
				v.Feedback = append(v.Feedback, strings.Clone(a.Value))
			}
		case "extmap":
			id, uri, _ := strings.Cut(a.Value, " ")
			n, err := strconv.ParseUint(id, 10, 8) // one that has a direction is not passed
			if err == nil && n > 0 && n < 15 && slices.Contains(passedExtensions, uri) && len(v.Extensions) < len(passedExtensions) {
				v.Extensions = append(v.Extensions, strings.Clone(a.Value))
			}
		}
	}
}

// Common keeps of v what o, of the other leg, has too: the same formats under the same numbers.
func (v *Video) Common(o *Video) *Video {
	out := *v
	out.Codecs = nil
	for _, c := range v.Codecs {
		if same, ok := numbered(o.Codecs, c.PT); ok && same.Same(c) {
			out.Codecs = append(out.Codecs, c)
		}
	}
	if out.Codecs = passedVideo(out.Codecs); !slices.ContainsFunc(out.Codecs, func(c Codec) bool { return !c.isRepair() }) {
		return nil
	}
	missing := func(in []string) func(string) bool { return func(s string) bool { return !slices.Contains(in, s) } }
	out.Feedback = slices.DeleteFunc(slices.Clone(v.Feedback), missing(o.Feedback))
	out.Extensions = slices.DeleteFunc(slices.Clone(v.Extensions), missing(o.Extensions))
	return &out
}

// videoSection is our video section towards a browser, which carries what v, of the browser at the other end, says.
func (c *Capabilities) videoSection(v *Video, mid, setup string) Media {
	m := Media{Kind: "video", Proto: webProto, Port: c.RTP.Port(), Addr: c.RTP.Addr(), Mux: true, Direction: v.Direction}
	m.setCodecs(v.Codecs)
	web := *c.Web
	web.Setup, web.SSRC, web.Candidates, web.TCP = setup, 0, nil, nil // the candidates are those of the audio section
	m.Attributes = slices.DeleteFunc(web.attributes(mid), func(a Attribute) bool { return a.Name == "msid" || a.Name == "end-of-candidates" })
	add := func(name, value string) { m.Attributes = append(m.Attributes, Attribute{Name: name, Value: value}) }
	for _, f := range v.Feedback {
		add("rtcp-fb", f)
	}
	for _, e := range v.Extensions {
		if v.MID == mid || !strings.HasSuffix(e, extensionMID) { // what stands in the packets is the other leg's
			add("extmap", e)
		}
	}
	if !v.Direction.Sends() {
		return m
	}
	add("msid", "tandem video")
	if v.SSRC[1] != 0 {
		add("ssrc-group", "FID "+strconv.FormatUint(uint64(v.SSRC[0]), 10)+" "+strconv.FormatUint(uint64(v.SSRC[1]), 10))
	}
	for _, ssrc := range v.SSRC {
		if ssrc != 0 {
			add("ssrc", strconv.FormatUint(uint64(ssrc), 10)+" cname:"+c.Web.CNAME)
		}
	}
	return m
}

// offerVideo puts the video of c into an offer's sections: where it was, else as a new one at the end. Formats whose
// numbers mean something else on this transport, where audio has them, are left out.
func (n *Negotiation) offerVideo(sections []Media, c *Capabilities) []Media {
	if c.Video == nil || c.Web == nil || !n.bundle {
		return sections
	}
	v := *c.Video
	v.Codecs = passedVideo(slices.DeleteFunc(slices.Clone(v.Codecs), func(x Codec) bool { _, taken := numbered(n.numbers, x.PT); return taken }))
	if len(v.Codecs) == 0 {
		return sections
	}
	v.Direction = directionOf(v.Direction.Sends() && c.Direction.Sends(), v.Direction.Receives() && c.Direction.Receives())
	for i := range n.media {
		if old := &n.media[i]; old.Kind == "video" && old.Port != 0 && old.mid() != "" {
			sections[i] = c.videoSection(&v, old.mid(), "actpass")
			return sections
		}
	}
	if len(sections) == MaxMedia {
		return sections
	}
	mid := v.MID
	for i := 1; slices.ContainsFunc(sections, func(m Media) bool { return m.mid() == mid }); i++ {
		mid = strconv.Itoa(i)
	}
	return append(sections, c.videoSection(&v, mid, "actpass"))
}

// answerVideo takes the video of an offer if the other leg has agreed to it, into the sections of the answer.
func (c *Capabilities) answerVideo(offer *Description, sections []Media, a *Agreed) {
	if c.Video == nil || c.Web == nil {
		return
	}
	theirs := offer.Video(&offer.Media[a.Section])
	if theirs == nil {
		return
	}
	agreed, told := theirs.Common(c.Video), c.Video.Common(theirs)
	if agreed == nil || told == nil {
		return
	}
	told.Direction = directionOf(
		told.Direction.Sends() && c.Direction.Sends() && theirs.Direction.Receives(),
		told.Direction.Receives() && c.Direction.Receives() && theirs.Direction.Sends())
	agreed.Sends, agreed.Receives = told.Direction.Sends(), told.Direction.Receives()
	sections[theirs.Section] = c.videoSection(told, theirs.MID, a.Setup)
	a.Video = agreed
}

// acceptVideo takes what a browser's answer says of the video that we have offered.
func (n *Negotiation) acceptVideo(answer *Description, a *Agreed) {
	theirs := answer.Video(&answer.Media[a.Section])
	if theirs == nil || n.media[theirs.Section].Port == 0 {
		return
	}
	ours := &n.media[theirs.Section]
	if theirs = theirs.Common(&Video{Codecs: ours.Codecs, Feedback: theirs.Feedback, Extensions: theirs.Extensions}); theirs == nil {
		return
	}
	theirs.Sends = ours.Direction.Sends() && theirs.Direction.Receives()
	theirs.Receives = ours.Direction.Receives() && theirs.Direction.Sends()
	a.Video = theirs
}
