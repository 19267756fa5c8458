package sdp

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
)

// A Direction is from the view of whoever wrote the description (RFC 8866 §6.7). The zero value is SendRecv, as in SDP.
type Direction uint8

// The four directions.
const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

// String is the attribute's name.
func (d Direction) String() string {
	return [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}[d&3]
}

// Sends tells whether the writer may send.
func (d Direction) Sends() bool { return d == SendRecv || d == SendOnly }

// Receives tells whether the writer may receive.
func (d Direction) Receives() bool { return d == SendRecv || d == RecvOnly }

func directionOf(sends, receives bool) Direction {
	switch {
	case sends && receives:
		return SendRecv
	case sends:
		return SendOnly
	case receives:
		return RecvOnly
	}
	return Inactive
}

// A Description is a whole session description, as much of it as matters to us.
type Description struct {
	Origin     Origin
	Addr       netip.Addr // session-level c=; zero if there is none or a host name
	Host       string     // session-level c= when it is a host name
	Media      []Media    // in order; refused ones (port 0) too
	Attributes []Attribute
}

// An Origin is the o= line (RFC 8866 §5.2).
type Origin struct {
	User             string
	Session, Version uint64
	Host             string // an address or a name; identifies, is never sent to
}

// A Media is one m= section.
type Media struct {
	Kind    string // audio, video, image, ...
	Port    uint16 // 0: refused or disabled
	Proto   string // RTP/AVP, RTP/SAVP, udptl, ...
	Formats []string

	Addr       netip.Addr     // media-level c=, else the session's; zero for a host name
	Host       string         // the same when it is a host name
	RTCP       netip.AddrPort // a=rtcp (RFC 3605); an invalid Addr means the section's own, port 0 that there was no such line
	Mux        bool           // a=rtcp-mux (RFC 5761)
	Codecs     []Codec        // of RTP sections: one for each format, in order
	Direction  Direction
	PTime      int // ms; 0: not said
	MaxPTime   int // ms; 0: not said
	Crypto     []Crypto
	Attributes []Attribute // all those without a field here
}

// An Attribute is an a= line without a field of its own.
type Attribute struct {
	Name, Value string
	Flag        bool // without a colon
}

// A Crypto is an a=crypto line (RFC 4568). Params holds the keys, and is shown by no formatting.
type Crypto struct {
	Tag    int
	Suite  string
	Params string // "inline:..." with the session parameters
}

// Value is the line's value, keys and all: for the SDP and for the package that makes keys of it.
func (c Crypto) Value() string { return strconv.Itoa(c.Tag) + " " + c.Suite + " " + c.Params }

// String withholds the keys.
func (c Crypto) String() string { return fmt.Sprintf("crypto %d %s [key withheld]", c.Tag, c.Suite) }

// Format is String for every verb.
func (c Crypto) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue is String, for slog.
func (c Crypto) LogValue() slog.Value { return slog.StringValue(c.String()) }

// rtpProtos are the profiles whose formats are payload numbers.
var rtpProtos = map[string]bool{
	"RTP/AVP": true, "RTP/SAVP": true, "RTP/AVPF": true, "RTP/SAVPF": true,
	"UDP/TLS/RTP/SAVP": true, "UDP/TLS/RTP/SAVPF": true,
}

// IsRTP tells whether the section speaks RTP.
func (m *Media) IsRTP() bool { return rtpProtos[m.Proto] }

// secured tells whether the section's profile demands SRTP by SDES.
func (m *Media) secured() bool { return m.Proto == "RTP/SAVP" || m.Proto == "RTP/SAVPF" }

// held tells that the writer wants nothing sent to it: c=0.0.0.0 as RFC 2543 held calls (RFC 3264 §8.4), or the discard port that some
// browsers' stacks write in its place.
// To a browser's section neither means anything: its addresses are its candidates.
func (m *Media) held() bool { return (m.Addr.IsUnspecified() || m.Port == 9) && !m.dtls() }

// Listens tells whether the writer wants to be sent anything: by its direction, and by the old way of holding.
func (m *Media) Listens() bool {
	return m.Direction.Receives() && (!m.Addr.IsUnspecified() || m.dtls())
}

// rtp is where the writer receives RTP; invalid if it is a host name or nothing that can be sent to.
func (m *Media) rtp() netip.AddrPort {
	if !m.Addr.IsValid() || m.held() || m.dtls() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(m.Addr.Unmap(), m.Port)
}

// rtcp is where the writer receives RTCP when it is not muxed: a=rtcp, else the port above.
func (m *Media) rtcp() netip.AddrPort {
	rtp := m.rtp()
	switch {
	case !rtp.IsValid():
		return rtp
	case m.RTCP.Port() != 0 && m.RTCP.Addr().IsValid():
		return netip.AddrPortFrom(m.RTCP.Addr().Unmap(), m.RTCP.Port())
	case m.RTCP.Port() != 0:
		return netip.AddrPortFrom(rtp.Addr(), m.RTCP.Port())
	case m.Port == 65535:
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(rtp.Addr(), m.Port+1)
}
