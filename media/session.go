package media

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem/media/relay"
	"tandem/media/sdp"
)

// Direction is from the view of whoever wrote the description (RFC 8866 §6.7).
type Direction = sdp.Direction

// The four directions.
const (
	SendRecv = sdp.SendRecv
	SendOnly = sdp.SendOnly
	RecvOnly = sdp.RecvOnly
	Inactive = sdp.Inactive
)

var (
	// ErrClosed says that the session is closed.
	ErrClosed = relay.ErrClosed
	// ErrNoCodec says that the leg has agreed on no codec that a clip can be played in.
	ErrNoCodec = relay.ErrNoCodec
	// ErrNoDTMF says that the peer takes no telephone-events; INFO may reach it.
	ErrNoDTMF = relay.ErrNoKeys
	// ErrDigit says that something is not a key of a telephone.
	ErrDigit = relay.ErrNoKey
)

// Options say what a leg is.
type Options struct {
	Call, Leg string // for logs, and Call to keep legs together

	Local            netip.Addr // what media listens on and, without Advertise, what SDP shows
	Advertise        string     // address for SDP instead; empty: Config.Advertise, and then Local
	SignallingSource netip.Addr // where the leg's SIP comes from
	NAT              bool       // media may be learned from SignallingSource

	Codecs []string // allowed, in our order of preference; nil: Config.Codecs

	NoEvents bool // no telephone-events are spoken with the peer

	Web            bool // the peer is a browser: ICE and DTLS-SRTP on the port of all browsers. SRTP, NAT are without meaning then
	SRTP           SRTPPolicy
	Secure         bool // the signalling is encrypted: SRTP keys may be in it
	AllowClearSDES bool // they may be in plain signalling too

	Events func(Event) // called in a relay loop: must not block, nor call the session; nil: nobody listens
}

// A Session is the media of one leg.
type Session struct {
	engine *Engine
	opts   Options
	port   *relay.Port
	shown  netip.AddrPort // the RTP address in our SDP
	codecs []sdp.Codec    // allowed
	keys   *keyring       // nil: no SRTP on this leg
	web    *web           // nil: no browser. Replaced as a whole, under mu

	mu             sync.Mutex // for Stats and Close from elsewhere
	neg            sdp.Negotiation
	offer          *sdp.Description // the peer's, not answered yet
	answering      bool             // our last description is an answer
	answeredBefore bool             // the same before our pending offer
	agreed         *sdp.Agreed
	theirs         *sdp.Media // the peer's section in the last offer or answer that was agreed
	closed         bool
	noVideo        bool       // the session began in another process: how far its video had come under the keys is not known here
	recording      *Recording // the last one

	renamed atomic.Pointer[legName] // nil: it is what it was opened for
}

func (e *Engine) newSession(o Options) (*Session, error) {
	s := &Session{engine: e, opts: o}
	if err := s.allow(); err != nil {
		return nil, err
	}
	local := o.Local.Unmap()
	if !local.IsValid() {
		return nil, errors.New("no local address")
	}
	if o.Web {
		if err := s.openWeb(local); err != nil {
			return nil, err
		}
		s.neg = sdp.NewNegotiation(rand.Uint64(), s.shown.Addr())
		return s, nil
	}
	show, err := e.show(o.Advertise, local)
	if err != nil {
		return nil, err
	}
	if o.SRTP != SRTPOff && (o.Secure || o.AllowClearSDES) {
		if s.keys, err = newKeyring(); err != nil {
			return nil, err
		}
	}
	if s.port, err = e.relay.Open(local, e.near(o.Call), hear(o.Events)); err != nil {
		return nil, err
	}
	s.shown = netip.AddrPortFrom(show, s.port.Local().Port())
	s.neg = sdp.NewNegotiation(rand.Uint64(), show)
	return s, nil
}

// allow finds the codecs that the options allow.
func (s *Session) allow() (err error) {
	s.codecs = s.engine.config().codecs
	if s.opts.Codecs != nil {
		if s.codecs, err = parseCodecs(s.opts.Codecs); err != nil {
			return err
		}
	}
	if s.opts.NoEvents {
		s.codecs = slices.DeleteFunc(slices.Clone(s.codecs), sdp.Codec.IsEvent)
	}
	return nil
}

// show is the address for SDP. Another family than that of the socket would lead nobody here.
func (e *Engine) show(advertise string, local netip.Addr) (netip.Addr, error) {
	given := advertise != ""
	if !given {
		advertise = e.config().Advertise
	}
	show := local.WithZone("")
	if advertise != "" {
		addr, err := parseAddr(advertise)
		if err != nil {
			return addr, fmt.Errorf("advertise: %w", err)
		}
		if addr.Is4() == local.Is4() {
			show = addr
		} else if given {
			return addr, fmt.Errorf("advertise %s from %s: not of one family", addr, local)
		}
	}
	if show.IsUnspecified() {
		return show, errors.New("wildcard address without one to advertise")
	}
	return show, nil
}

// Local is where the peer is told to send RTP.
func (s *Session) Local() netip.AddrPort { return s.shown }

// Agreed says whether offer and answer have met.
func (s *Session) Agreed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agreed != nil
}

// RemoteDirection is what the peer wants, from its view: by its offer that is not answered yet, or else by what was agreed.
func (s *Session) RemoteDirection() Direction {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted()
}

// wanted is RemoteDirection. The old way of holding, c=0.0.0.0, counts as not listening.
func (s *Session) wanted() Direction {
	m := s.theirs
	if s.offer != nil {
		m = taken(s.offer)
	}
	if m == nil {
		return SendRecv
	}
	return direction(m.Direction.Sends(), m.Listens())
}

// Direction is what was agreed, from our view; SendRecv before that.
func (s *Session) Direction() Direction {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agreed == nil {
		return SendRecv
	}
	return direction(s.agreed.Sends, s.agreed.Receives)
}

// Held says that the peer has put us on hold: it will not listen.
func (s *Session) Held() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agreed != nil && s.agreed.Held
}

// CodecName is what we send with, as SDP names it; empty before agreement.
func (s *Session) CodecName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agreed == nil {
		return ""
	}
	return s.agreed.Codec.Name
}

// TakesDTMF says whether the peer takes telephone-events.
func (s *Session) TakesDTMF() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agreed != nil && s.agreed.SendEvent.Name != ""
}

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

// Join lets two legs hear each other, agreed or not yet, and opens their learning windows once more. Whatever either was joined to before, it is
// parted from.
func Join(a, b *Session) error {
	return relay.Join(a.port, b.port)
}

// Part ends Join and Echo. Its error is ErrClosed.
func (s *Session) Part() error { return s.port.Part() }

// Echo lets the peer hear itself.
func (s *Session) Echo() error { return s.port.Echo() }

// Play lets the peer hear a clip instead of the other leg, again and again with loop. The event PlayDone comes at the end; not after StopPlay,
// nor when another Play took over.
func (s *Session) Play(c Clip, loop bool) error { return s.port.Play(c.sound, loop, nil) }

// StopPlay ends Play; the other leg is heard again.
func (s *Session) StopPlay() { _ = s.port.StopPlay() } // a closed session plays nothing

// SendDTMF sends keys (0-9 * # A-D) as telephone-events, each for duration (0: 100 ms), with pauses of 100 ms. It returns at once; the other
// leg and players are not heard during an event. ErrNoDTMF, ErrDigit.
func (s *Session) SendDTMF(digits string, duration time.Duration) error {
	return s.port.Press(digits, duration)
}

// stopRecording ends a recording without waiting for its file.
func (s *Session) stopRecording() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recording != nil {
		s.recording.Stop()
	}
}

// Close frees the ports, which then rest a while, and stops a recording. No event comes after it. Again it does nothing.
func (s *Session) Close() {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if !first {
		return
	}
	s.stopRecording()
	stats := s.port.Finish()
	s.engine.leave(s)
	if n := stats.Drops[relay.DropSource] + stats.Drops[relay.DropAuth] + stats.Drops[relay.DropReplay]; n > 0 {
		s.engine.log.Info("media refused", "call", s.opts.Call, "leg", s.opts.Leg, "source", stats.Drops[relay.DropSource],
			"auth", stats.Drops[relay.DropAuth], "replay", stats.Drops[relay.DropReplay])
	}
}
