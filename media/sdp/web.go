package sdp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ErrWeb says that a browser's section lacks what WebRTC demands: ICE credentials, a fingerprint, a usable role, rtcp-mux.
var ErrWeb = errors.New("sdp: not usable for WebRTC")

// webProto is the profile of browsers (RFC 8827 §6.5, RFC 5764 §8).
const webProto = "UDP/TLS/RTP/SAVPF"

// A Web is the browser's part of a section: ICE (RFC 8839), DTLS (RFC 8842) and what JSEP wants beside them (RFC 8829 §5.2).
type Web struct {
	Ufrag, Pwd   string
	Fingerprints []string // values of a=fingerprint, in order
	Setup        string   // actpass, active, passive or holdconn; empty: not said
	TLSID        string   // a=tls-id; empty: not said
	Lite         bool     // an ICE-lite agent; of the peer: all that it can

	// Of ours only.
	Candidates []netip.AddrPort // UDP, the best first
	TCP        []netip.AddrPort // the same for ICE-TCP, passive (RFC 6544)
	SSRC       uint32           // what we send with
	CNAME      string
}

// dtls tells whether the section's keys come from a DTLS handshake.
func (m *Media) dtls() bool { return isWeb(m.Proto) }

func isWeb(proto string) bool { return proto == webProto || proto == "UDP/TLS/RTP/SAVP" }

// attribute is the value of the first a= line of that name.
func (m *Media) attribute(name string) (string, bool) { return lookup(m.Attributes, name) }

func lookup(list []Attribute, name string) (string, bool) {
	for _, a := range list {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// IsWeb tells whether a description's first audio section that is not refused is that of a browser. It does not check the rest.
func IsWeb(body []byte) bool {
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, "m=audio "); ok {
			if f := strings.Fields(rest); len(f) > 2 && f[0] != "0" {
				return strings.HasPrefix(f[1], "UDP/TLS/")
			}
		}
	}
	return false
}

// Web reads the browser's part of a section, with what stands at the session level for all of them. ErrWeb: something is missing.
func (d *Description) Web(m *Media) (*Web, error) {
	get := func(name string) string {
		if v, ok := m.attribute(name); ok {
			return v
		}
		v, _ := lookup(d.Attributes, name)
		return v
	}
	w := &Web{Ufrag: get("ice-ufrag"), Pwd: get("ice-pwd"), Setup: get("setup"), TLSID: get("tls-id")}
	_, w.Lite = lookup(d.Attributes, "ice-lite")
	for _, list := range [][]Attribute{m.Attributes, d.Attributes} {
		for _, a := range list {
			if a.Name == "fingerprint" && len(w.Fingerprints) < 8 {
				w.Fingerprints = append(w.Fingerprints, a.Value)
			}
		}
		if len(w.Fingerprints) > 0 { // those of the section count alone (RFC 8122 §5)
			break
		}
	}
	switch {
	case w.Ufrag == "" || w.Pwd == "":
		return nil, fmt.Errorf("%w: no ICE credentials", ErrWeb)
	case len(w.Fingerprints) == 0:
		return nil, fmt.Errorf("%w: no a=fingerprint", ErrWeb)
	case !m.Mux:
		return nil, fmt.Errorf("%w: no a=rtcp-mux", ErrWeb)
	}
	return w, nil
}

// mid is the identification of a section (RFC 5888); empty: none.
func (m *Media) mid() string {
	v, _ := m.attribute("mid")
	return v
}

// bundles tells whether a description puts its sections on one transport (RFC 9143).
func (d *Description) bundles() bool {
	for _, a := range d.Attributes {
		if a.Name == "group" && strings.HasPrefix(a.Value, "BUNDLE") {
			return true
		}
	}
	return false
}

// webAttributes are the a= lines of a section of ours towards a browser.
func (w *Web) attributes(mid string) []Attribute {
	var out []Attribute
	add := func(name, value string) { out = append(out, Attribute{Name: name, Value: value}) }
	if mid != "" {
		add("mid", mid)
	}
	add("msid", "tandem audio") // with a stream: applications look for event.streams[0]
	if w.SSRC != 0 {
		add("ssrc", strconv.FormatUint(uint64(w.SSRC), 10)+" cname:"+w.CNAME)
	}
	add("ice-ufrag", w.Ufrag)
	add("ice-pwd", w.Pwd)
	for _, f := range w.Fingerprints {
		add("fingerprint", f)
	}
	add("setup", w.Setup)
	for i, c := range w.Candidates {
		add("candidate", fmt.Sprintf("%d 1 udp %d %s %d typ host", i+1, priority(126, i), c.Addr(), c.Port()))
	}
	for i, c := range w.TCP {
		add("candidate", fmt.Sprintf("%d 1 tcp %d %s %d typ host tcptype passive", len(w.Candidates)+i+1, priority(90, i), c.Addr(), c.Port()))
	}
	return append(out, Attribute{Name: "end-of-candidates", Flag: true})
}

// priority is RFC 8445 §5.1.2.1's, of component 1.
func priority(kind uint32, place int) uint32 { return kind<<24 | uint32(65535-place)<<8 | 255 }

// answerWeb takes a browser's section.
func (c *Capabilities) answerWeb(d *Description, theirs *Media, preferred Codec) (Media, Agreed, error) {
	peer, err := d.Web(theirs)
	if err != nil {
		return Media{}, Agreed{}, err
	}
	web := *c.Web
	switch peer.Setup { // the role stays as it is where the offer leaves it to us (RFC 8842 §5.3)
	case "active":
		web.Setup = "passive"
	case "passive":
		web.Setup = "active"
	case "actpass", "":
		if web.Setup == "" {
			web.Setup = "passive"
		}
	default:
		return Media{}, Agreed{}, fmt.Errorf("%w: offer with a=setup:%.20s", ErrWeb, peer.Setup)
	}
	ours := Media{
		Kind: theirs.Kind, Proto: theirs.Proto, Port: c.RTP.Port(), Addr: c.RTP.Addr(), PTime: c.ptime(), Mux: true,
		Direction: directionOf(
			c.Direction.Sends() && theirs.Direction.Receives(), c.Direction.Receives() && theirs.Direction.Sends()),
		Attributes: web.attributes(theirs.mid()),
	}
	a := agree(&ours, theirs, 0)
	a.Web, a.Setup = peer, web.Setup
	answered := c.common(theirs.Codecs, preferred)
	ours.setCodecs(answered)
	a.Receive, a.Send = answered, c.peers(answered, theirs.Codecs)
	return ours, a, a.settle()
}

// offerWeb makes an audio section that of a leg to a browser. mid is that of the section before, if there was one.
func (c *Capabilities) offerWeb(m *Media, mid string) {
	if mid == "" {
		mid = "0"
	}
	web := *c.Web
	web.Setup = "actpass" // in every offer (RFC 8842 §5.2)
	m.Proto, m.Mux, m.RTCP, m.Crypto = webProto, true, netip.AddrPort{}, nil
	m.Attributes = web.attributes(mid)
}

// acceptWeb takes a browser's answer to our offer.
func (c *Capabilities) acceptWeb(d *Description, theirs *Media, a *Agreed) error {
	peer, err := d.Web(theirs)
	if err != nil {
		return err
	}
	switch peer.Setup {
	case "active":
		a.Setup = "passive"
	case "passive":
		a.Setup = "active"
	default:
		return fmt.Errorf("%w: answer with a=setup:%.20s", ErrWeb, peer.Setup)
	}
	a.Web = peer
	return nil
}

// sessionAttributes are the a= lines above the sections: for browsers that we are a lite agent, and the sections of one transport.
func sessionAttributes(sections []Media, bundle bool) []Attribute {
	var mids []string
	web := false
	for i := range sections {
		if m := &sections[i]; m.Port != 0 && m.dtls() {
			web = true
			if mid := m.mid(); mid != "" {
				mids = append(mids, mid)
			}
		}
	}
	if !web {
		return nil
	}
	out := []Attribute{{Name: "ice-lite", Flag: true}}
	if bundle && len(mids) > 0 {
		out = slices.Insert(out, 0, Attribute{Name: "group", Value: "BUNDLE " + strings.Join(mids, " ")})
	}
	return out
}
