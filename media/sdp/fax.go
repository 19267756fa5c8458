package sdp

import (
	"net/netip"
	"strings"
)

// mostFaxAttributes bounds the a=T38… lines that pass from one leg to the other: T.38 (2010) annex D has a dozen.
const mostFaxAttributes = 24

// isFax tells whether a live section is T.38 over UDPTL (ITU-T T.38 annex D).
func (m *Media) isFax() bool {
	return m.Kind == "image" && m.Port != 0 && strings.EqualFold(m.Proto, "udptl") && len(m.Formats) > 0 && strings.EqualFold(m.Formats[0], "t38")
}

// Fax finds the T.38 section of a description that speaks of fax instead of speech, and its index; nil: it does not. Where both
// are live, a fax machine may come later and speech is what matters now.
func (d *Description) Fax() (fax *Media, index int) {
	for i := range d.Media {
		m := &d.Media[i]
		switch {
		case m.Kind == "audio" && m.Port != 0 && m.IsRTP():
			return nil, 0
		case fax == nil && m.isFax():
			fax, index = m, i
		}
	}
	return fax, index
}

// faxSection is a T.38 section of ours, with what another leg's says of the fax machine behind it.
func (c *Capabilities) faxSection(proto string) Media {
	m := Media{Kind: "image", Proto: proto, Port: c.RTP.Port(), Addr: c.RTP.Addr(), Formats: []string{"t38"}}
	for _, a := range c.Fax.Attributes {
		if len(a.Name) > 3 && strings.EqualFold(a.Name[:3], "T38") && len(m.Attributes) < mostFaxAttributes {
			m.Attributes = append(m.Attributes, a)
		}
	}
	return m
}

// answerFax answers an offer of fax.
func (n *Negotiation) answerFax(offer *Description, index int, c Capabilities) ([]byte, Agreed, error) {
	theirs := &offer.Media[index]
	if err := checkAddress(theirs); err != nil {
		return nil, Agreed{}, err
	}
	sections := make([]Media, len(offer.Media))
	for i := range offer.Media {
		sections[i] = refused(offer.Media[i])
	}
	sections[index] = c.faxSection(theirs.Proto)
	n.caps, n.offered, n.pending = c, false, false
	return n.say(c.RTP.Addr(), sections), agreeFax(theirs, index), nil
}

func agreeFax(theirs *Media, index int) Agreed {
	return Agreed{
		RTP: theirs.rtp(), RTCP: netip.AddrPort{}, Sends: true, Receives: true, Codec: Codec{Name: "T38"}, Proto: theirs.Proto, Section: index, Fax: theirs,
	}
}
