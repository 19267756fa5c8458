package phone

import (
	"errors"
	"math/rand/v2"
	"net/netip"
)

// A negotiator holds one call's side of offer/answer (RFC 3264): what was last written, what the other side last
// said, and what both agreed on. It is a plain value under its Call's lock; it owns no socket.
type negotiator struct {
	policy  SRTP
	codecs  []uint8
	session uint64
	version uint64
	ip      netip.Addr
	port    uint16
	peer    *peer // writes the descriptions of a browser; nil for plain RTP and SDES
	restart bool  // the next offer restarts ICE

	// want is the direction the user asked for; blackhole writes a hold the old way.
	want      Direction
	blackhole bool

	keys   []cryptoLine // ours, made once a call: a re-INVITE that changed them would cut the media
	local  Direction    // as last written
	remote description
	known  bool // remote is set
	held   bool // the other side said of its own that it does not listen
	agreed agreement
}

// An agreement is what the packets need to know.
type agreement struct {
	rtp, rtcp     netip.AddrPort
	payload       uint8           // number to send audio with
	codec         map[uint8]uint8 // payload numbers that may arrive, and the law of each
	event         int             // payload number for digits, or -1
	events        []uint8         // payload numbers that digits may arrive with
	send, receive bool
	secure        bool
	localKey      cryptoLine
	remoteKey     cryptoLine
}

var (
	errNoCodec  = errors.New("no codec in common")
	errNeedSRTP = errors.New("SRTP is required but the other side has none")
	errNoSRTP   = errors.New("the other side insists on SRTP, which is off")
)

func newNegotiator(policy SRTP, codecs []uint8, ip netip.Addr, port uint16) (*negotiator, error) {
	n := &negotiator{policy: policy, codecs: codecs, session: rand.Uint64N(1 << 62), version: 1, ip: ip, port: port, want: SendRecv}
	if policy == SRTPOff {
		return n, nil
	}
	for i, suite := range srtpSuites {
		line, err := newCryptoLine(i+1, suite.name, suite.profile)
		if err != nil {
			return nil, err
		}
		n.keys = append(n.keys, line)
	}
	return n, nil
}

func (n *negotiator) proposal() proposal {
	p := proposal{session: n.session, version: n.version, ip: n.ip, port: n.port, direction: n.local, blackhole: n.blackhole}
	n.version++
	return p
}

// offer writes a new offer. Once a call is agreed it keeps the suite that both use, so the keys do not move.
func (n *negotiator) offer() ([]byte, error) {
	n.local = n.want
	if n.held && n.want == SendOnly {
		n.local = Inactive // the other side holds us as well
	}
	if n.peer != nil {
		restart := n.restart
		n.restart = false
		return n.peer.offer(n.local, restart)
	}
	p := n.proposal()
	p.savp = n.policy == SRTPRequired
	p.event, p.codec = payloadEvent, map[uint8]uint8{}
	if n.known { // what is in use keeps its number and comes first
		p.formats = append(p.formats, n.agreed.payload)
		p.codec[n.agreed.payload] = n.agreed.codec[n.agreed.payload]
		if n.agreed.event >= 0 {
			p.event = n.agreed.event
		}
	}
	for _, c := range n.codecs {
		if len(p.formats) == 0 || p.codec[p.formats[0]] != c {
			p.formats = append(p.formats, c)
			p.codec[c] = c
		}
	}
	p.crypto = n.keys
	if n.known {
		p.crypto = nil
		p.savp = p.savp || n.remote.savp && n.agreed.secure
		if n.agreed.secure {
			p.crypto = []cryptoLine{n.agreed.localKey}
		}
	}
	return p.marshal(), nil
}

var (
	errNoDTLS   = errors.New("a browser takes only UDP/TLS/RTP/SAVPF (RFC 8827)")
	errOnlyDTLS = errors.New("SDP profile UDP/TLS/RTP/SAVPF, which only a phone with WebRTC has")
)

// read parses what the other side says.
func (n *negotiator) read(body []byte) (description, error) {
	d, err := parseDescription(body)
	switch {
	case err != nil:
	case n.peer != nil && !d.dtls:
		err = errNoDTLS
	case n.peer == nil && d.dtls:
		err = errOnlyDTLS
	}
	return d, err
}

// accept takes the answer to the last offer.
func (n *negotiator) accept(body []byte) error {
	d, err := n.read(body)
	if err != nil {
		return err
	}
	formats := d.common(n.codecs)
	if len(formats) == 0 {
		return errNoCodec
	}
	if n.peer != nil {
		if err := n.peer.accept(body); err != nil {
			return err
		}
	}
	agreed := d.agreement(formats[0])
	for _, line := range d.crypto {
		for _, key := range n.keys {
			if line.tag == key.tag && line.suite == key.suite {
				agreed.secure, agreed.localKey, agreed.remoteKey = true, key, line
			}
		}
	}
	if n.peer == nil && !agreed.secure && (d.savp || n.policy == SRTPRequired) {
		return errNeedSRTP
	}
	// The numbers we offered may arrive as well as those the answer names (RFC 3264 §7).
	for _, c := range n.codecs {
		if _, taken := agreed.codec[c]; !taken {
			agreed.codec[c] = c
		}
	}
	if n.local.sends() { // else its direction only mirrors ours
		n.held = !d.direction.receives()
	}
	n.agree(d, agreed)
	return nil
}

// answer takes an offer and writes the answer to it.
func (n *negotiator) answer(body []byte) ([]byte, error) {
	d, err := n.read(body)
	if err != nil {
		return nil, err
	}
	formats := d.common(n.codecs)
	if len(formats) == 0 {
		return nil, errNoCodec
	}
	agreed := d.agreement(formats[0])
	n.local = direction(n.want.sends() && d.direction.receives(), n.want.receives() && d.direction.sends())
	if n.peer != nil {
		text, err := n.peer.answer(body, n.local)
		if err == nil {
			n.held = !d.direction.receives()
			n.agree(d, agreed)
		}
		return text, err
	}
	if err := n.chooseCrypto(d, &agreed); err != nil {
		return nil, err
	}
	p := n.proposal()
	p.savp, p.formats, p.codec, p.event = d.savp, formats, d.codec, d.event
	p.sections, p.audio = d.sections, d.audio
	if agreed.secure {
		p.crypto = []cryptoLine{agreed.localKey}
	}
	n.held = !d.direction.receives() || d.blackhole
	n.agree(d, agreed)
	return p.marshal(), nil
}

// chooseCrypto takes the offerer's first line that both know, and answers it with our key for that suite under the
// offerer's tag (RFC 4568 §5.1.2).
func (n *negotiator) chooseCrypto(d description, agreed *agreement) error {
	for _, line := range d.crypto {
		for _, key := range n.keys {
			if line.suite == key.suite {
				key.tag = line.tag
				agreed.secure, agreed.localKey, agreed.remoteKey = true, key, line
				n.keep(key)
				return nil
			}
		}
	}
	switch {
	case d.savp && n.policy == SRTPOff:
		return errNoSRTP
	case d.savp || n.policy == SRTPRequired:
		return errNeedSRTP
	}
	return nil
}

// keep remembers the tag under which a key was answered, so that our own next offer uses it.
func (n *negotiator) keep(key cryptoLine) {
	for i := range n.keys {
		if n.keys[i].suite == key.suite {
			n.keys[i] = key
		}
	}
}

func (n *negotiator) agree(d description, a agreement) {
	a.rtp, a.rtcp = d.rtp, d.rtcp
	a.send = n.local.sends() && d.direction.receives() && !d.blackhole
	a.receive = n.local.receives() && d.direction.sends()
	n.remote, n.known, n.agreed = d, true, a
}
