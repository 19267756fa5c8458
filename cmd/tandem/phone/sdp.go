package phone

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// A Direction is that of a media stream as its writer sees it (RFC 4566 §6, RFC 3264 §5.1).
type Direction string

const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

func (d Direction) sends() bool    { return d == SendRecv || d == SendOnly }
func (d Direction) receives() bool { return d == SendRecv || d == RecvOnly }

func direction(sends, receives bool) Direction {
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

// A description is what one SDP body says about its one audio stream.
type description struct {
	rtp, rtcp netip.AddrPort
	// blackhole: c=0.0.0.0, the way RFC 2543 wrote hold.
	blackhole bool
	direction Direction
	savp      bool
	dtls      bool // UDP/TLS/RTP/SAVPF
	crypto    []cryptoLine
	// formats are payload numbers in the writer's order of preference; codec tells what each carries.
	formats []uint8
	codec   map[uint8]uint8
	event   int // payload number of telephone-event/8000, or -1
	wide    int // that of telephone-event/48000, for Opus, or -1
	// audio is the index of the audio section among sections, the m-lines as they were written.
	audio    int
	sections []*sdp.MediaDescription
}

var errNoAudio = errors.New("SDP without an audio stream")

func parseDescription(body []byte) (description, error) {
	var session sdp.SessionDescription
	if err := session.UnmarshalString(string(body)); err != nil {
		return description{}, fmt.Errorf("SDP: %w", err)
	}
	d := description{audio: -1, event: -1, wide: -1, direction: SendRecv, codec: map[uint8]uint8{}, sections: session.MediaDescriptions}
	for i, m := range session.MediaDescriptions {
		if m.MediaName.Media == "audio" && m.MediaName.Port.Value != 0 {
			d.audio = i
			break
		}
	}
	if d.audio < 0 {
		return d, errNoAudio
	}
	m := session.MediaDescriptions[d.audio]
	connection := session.ConnectionInformation
	if m.ConnectionInformation != nil {
		connection = m.ConnectionInformation
	}
	if err := d.address(connection, m); err != nil {
		return d, err
	}
	switch strings.Join(m.MediaName.Protos, "/") {
	case "RTP/AVP":
	case "RTP/SAVP":
		d.savp = true
	case "UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF":
		d.dtls, d.blackhole = true, false // a browser without a default candidate writes 0.0.0.0
	default:
		return d, fmt.Errorf("SDP profile %s", strings.Join(m.MediaName.Protos, "/"))
	}
	d.attributes(session.Attributes)
	d.attributes(m.Attributes)
	d.payloads(m)
	return d, nil
}

func (d *description) address(c *sdp.ConnectionInformation, m *sdp.MediaDescription) error {
	if c == nil || c.Address == nil {
		return errors.New("SDP without a connection address")
	}
	ip, err := netip.ParseAddr(c.Address.Address)
	if err != nil {
		return fmt.Errorf("SDP connection address %q", c.Address.Address)
	}
	port := uint16(m.MediaName.Port.Value)
	d.blackhole = ip.IsUnspecified()
	d.rtp, d.rtcp = netip.AddrPortFrom(ip, port), netip.AddrPortFrom(ip, port+1)
	if value, ok := m.Attribute("rtcp"); ok {
		if n, err := strconv.ParseUint(strings.Fields(value + " ")[0], 10, 16); err == nil {
			d.rtcp = netip.AddrPortFrom(ip, uint16(n))
		}
	}
	return nil
}

func (d *description) attributes(list []sdp.Attribute) {
	for _, a := range list {
		switch a.Key {
		case "sendrecv", "sendonly", "recvonly", "inactive":
			d.direction = Direction(a.Key)
		case "crypto":
			if line, err := parseCryptoLine(a.Value); err == nil {
				d.crypto = append(d.crypto, line)
			}
		}
	}
}

func (d *description) payloads(m *sdp.MediaDescription) {
	names := map[string]string{"0": "PCMU/8000", "8": "PCMA/8000"}
	for _, a := range m.Attributes {
		if number, name, ok := strings.Cut(a.Value, " "); ok && a.Key == "rtpmap" {
			names[number] = strings.TrimSuffix(strings.TrimSpace(name), "/1")
		}
	}
	for _, text := range m.MediaName.Formats {
		number, err := strconv.ParseUint(text, 10, 7)
		if err != nil {
			continue
		}
		name, rate, _ := strings.Cut(names[text], "/")
		codec, ok := codecPayload(strings.ToUpper(name))
		switch {
		case ok && (rate == "8000" && codec != payloadOpus || rate == "48000/2" && codec == payloadOpus):
			d.formats = append(d.formats, uint8(number))
			d.codec[uint8(number)] = codec
		case !strings.EqualFold(name, "telephone-event"):
		case rate == "8000" && d.event < 0:
			d.event = int(number)
		case rate == "48000" && d.wide < 0:
			d.wide = int(number)
		}
	}
}

// agreement is what follows from sending audio with a format of d: digits have the clock of the audio (RFC 4733 §2.1).
func (d description) agreement(payload uint8) agreement {
	a := agreement{payload: payload, codec: d.codec, event: d.event}
	if d.codec[payload] == payloadOpus {
		a.event = d.wide
	}
	for _, event := range []int{d.event, d.wide} {
		if event >= 0 {
			a.events = append(a.events, uint8(event))
		}
	}
	return a
}

// A proposal is what this phone writes about its one audio stream.
type proposal struct {
	session, version uint64
	ip               netip.Addr
	port             uint16
	direction        Direction
	savp             bool
	crypto           []cryptoLine
	formats          []uint8
	codec            map[uint8]uint8
	event            int
	blackhole        bool
	// sections are the m-lines of the offer being answered, of which all but the audio one are refused.
	sections []*sdp.MediaDescription
	audio    int
}

func (p proposal) marshal() []byte {
	var b strings.Builder
	family := "IP4"
	if p.ip.Is6() {
		family = "IP6"
	}
	connection := p.ip.String()
	if p.blackhole {
		connection = "0.0.0.0"
	}
	fmt.Fprintf(&b, "v=0\r\no=- %d %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n",
		p.session, p.version, family, p.ip, family, connection)
	if len(p.sections) == 0 {
		p.audioSection(&b)
	}
	for i, m := range p.sections {
		if i == p.audio {
			p.audioSection(&b)
			continue
		}
		fmt.Fprintf(&b, "m=%s 0 %s %s\r\n", m.MediaName.Media, strings.Join(m.MediaName.Protos, "/"), strings.Join(m.MediaName.Formats, " "))
	}
	return []byte(b.String())
}

func (p proposal) audioSection(b *strings.Builder) {
	profile := "RTP/AVP"
	if p.savp {
		profile = "RTP/SAVP"
	}
	fmt.Fprintf(b, "m=audio %d %s", p.port, profile)
	for _, f := range p.formats {
		fmt.Fprintf(b, " %d", f)
	}
	if p.event >= 0 {
		fmt.Fprintf(b, " %d", p.event)
	}
	b.WriteString("\r\n")
	for _, f := range p.formats {
		fmt.Fprintf(b, "a=rtpmap:%d %s/8000\r\n", f, codecNames[p.codec[f]])
	}
	if p.event >= 0 {
		fmt.Fprintf(b, "a=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-15\r\n", p.event, p.event)
	}
	for _, line := range p.crypto {
		fmt.Fprintf(b, "a=crypto:%s\r\n", line)
	}
	fmt.Fprintf(b, "a=ptime:20\r\na=%s\r\n", p.direction)
}

// common keeps the formats of d whose codec the phone speaks, in d's order: an answer should follow the offerer's
// preference (RFC 3264 §6.1).
func (d description) common(codecs []uint8) []uint8 {
	var both []uint8
	for _, f := range d.formats {
		if slices.Contains(codecs, d.codec[f]) {
			both = append(both, f)
		}
	}
	return both
}

// routeIP is the local address from which remote is reached. Nothing is sent.
func routeIP(remote string) (netip.Addr, error) {
	conn, err := net.Dial("udp", remote)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
