package media

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"tandem/media/relay"
	"tandem/media/sdp"
	"tandem/media/secure"
)

var (
	// ErrBadSDP says that a body is no session description (SIP: 400).
	ErrBadSDP = errors.New("media: malformed session description")
	// ErrNotAcceptable says that a description is well formed and cannot be agreed to (SIP: 488).
	ErrNotAcceptable = errors.New("media: session description not acceptable")
	// ErrNoOffer says that there is no offer to answer.
	ErrNoOffer = errors.New("media: no offer to answer")
)

// SetOffer takes the peer's offer. It changes nothing that was agreed until CreateAnswer. ErrBadSDP and ErrNotAcceptable leave all as it was.
func (s *Session) SetOffer(body []byte) error {
	d, err := sdp.Parse(body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadSDP, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	trial := s.neg // a value: what it says here is never sent
	if f, _ := d.Fax(); f != nil {
		if err := s.mayFax(); err != nil {
			return err
		}
		_, agreed, err := trial.Answer(d, sdp.Capabilities{Fax: f, RTP: s.shown}, sdp.Codec{})
		if err == nil {
			err = s.reachable(&agreed)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotAcceptable, err)
		}
		s.offer = d
		return nil
	}
	_, agreed, err := trial.Answer(d, s.capabilities(s.answerable(), SendRecv), sdp.Codec{})
	if err == nil {
		err = s.reachable(&agreed)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotAcceptable, err)
	}
	s.offer = d
	return nil
}

// CreateAnswer answers the peer's offer: with the codec that like, the leg that it will be joined to, has agreed on, or one that we can turn
// into it, and with like's direction. nil: G.711 first, so that we can play to it, then our own order. Without a new offer it gives the same
// bytes again.
func (s *Session) CreateAnswer(like *Session) ([]byte, error) {
	other := like.view()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, ErrClosed
	case s.offer == nil && s.answering:
		return s.neg.Said(), s.port.Learn()
	case s.offer == nil:
		return nil, ErrNoOffer
	}
	if f, _ := s.offer.Fax(); f != nil {
		return s.answerFax(other.agreedFax)
	}
	section := audio(s.offer)
	own := s.answerable()
	preferred, ok := choose(section.Codecs, own, other.agreedCodecs)
	if !ok {
		return nil, fmt.Errorf("%w: no codec that the other leg can hear", ErrNotAcceptable)
	}
	caps := s.capabilities(own, other.agreedDirection)
	caps.PTime = other.agreedPTime
	caps.One = true
	was, wasWeb := s.neg, s.web
	if s.web != nil {
		peer, err := webOf(s.offer)
		if err != nil {
			return nil, err
		}
		s.web = s.web.offered(peer)
		caps.Web = s.web.describe()
		caps.Video = s.passable(other.agreedVideo)
	}
	body, agreed, err := s.neg.Answer(s.offer, caps, preferred)
	if err == nil {
		err = s.apply(&agreed, s.offer)
	}
	if err != nil {
		s.neg, s.web = was, wasWeb
		return nil, fmt.Errorf("%w: %w", ErrNotAcceptable, err)
	}
	s.offer, s.answering = nil, true
	return body, nil
}

// CreateOffer makes our offer to the peer, after what like offers (or has agreed): its codecs as far as this leg may have them, both G.711 laws
// if it has one, telephone-event, and its direction, so that a hold passes through. nil: all that this leg may have. Offered anew,
// address, port and keys stay.
func (s *Session) CreateOffer(like *Session) ([]byte, error) {
	other := like.view()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.opts.SRTP == SRTPRequired && s.keys == nil && s.web == nil {
		return nil, fmt.Errorf("%w: SRTP is required and the signalling is not encrypted", ErrNotAcceptable)
	}
	if other.fax != nil {
		return s.offerFax(other.fax)
	}
	codecs := s.codecs
	if like != nil {
		if codecs = offerable(s.codecs, other.codecs); codecs == nil {
			return nil, fmt.Errorf("%w: none of the other leg's codecs is allowed here", ErrNotAcceptable)
		}
		if s.opts.Codecs != nil { // this leg has an order of its own
			codecs = ordered(codecs, s.codecs)
		}
	}
	caps := s.capabilities(codecs, other.direction)
	caps.PTime = other.ptime
	caps.Video = s.passable(other.video)
	caps.Mux = s.agreed != nil && s.agreed.Mux // phones and carriers that do not know it are many: only to go on with
	return s.offered(caps), nil
}

// offered writes an offer, and notes what stood before it.
func (s *Session) offered(caps sdp.Capabilities) []byte {
	if !s.neg.Pending() {
		s.answeredBefore = s.answering
	}
	s.answering = false
	return s.neg.Offer(caps)
}

// SetAnswer takes the peer's answer to our offer: that of a provisional response, and again that of the final one.
func (s *Session) SetAnswer(body []byte) error {
	d, err := sdp.Parse(body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadSDP, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	agreed, err := s.neg.Accept(d)
	if err == nil {
		err = s.apply(&agreed, d)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotAcceptable, err)
	}
	return nil
}

// Rollback drops an offer that was not answered, the peer's and ours. What was agreed before stays.
func (s *Session) Rollback() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offer = nil
	if s.neg.Pending() {
		s.neg.Withdraw()
		s.answering = s.answeredBefore
	}
}

// A view is what one leg may know of another for a description of its own.
type view struct {
	codecs          []sdp.Codec // what the peer there offers, or has agreed to
	direction       Direction   // what we should offer here
	agreedCodecs    []sdp.Codec // what can be heard there; nil: not agreed
	agreedDirection Direction   // what we should answer here
	ptime           int         // ms that the peer there likes to receive, and so we here; 0: it has not said
	agreedPTime     int         // the same, of what was agreed
	fax             *sdp.Media  // T.38 that the peer there offers, or has agreed to; nil: speech
	agreedFax       *sdp.Media  // that it has agreed to

	video       *sdp.Video // of a browser there that offers it, or has agreed to it; nil: none
	agreedVideo *sdp.Video // that it has agreed to
}

// view gives what a leg that will be joined to s must know of it. Of nobody it is empty.
func (s *Session) view() (v view) {
	if s == nil {
		return v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.agreed; a != nil {
		v.codecs, v.agreedCodecs, v.fax, v.agreedFax = a.Send, a.Send, a.Fax, a.Fax
		v.ptime, v.agreedPTime = passableTime(a.PTime), passableTime(a.PTime)
		// What the peer there may say to us we may say here, and the other way round.
		v.agreedDirection = direction(a.Receives, a.Sends)
		v.direction = v.agreedDirection
		v.video, v.agreedVideo = a.Video, a.Video
	}
	if s.offer != nil {
		v.codecs, v.direction = audio(s.offer).Codecs, s.wanted()
		v.fax, _ = s.offer.Fax()
		v.video = s.offersVideo()
		v.ptime = passableTime(audio(s.offer).PTime)
	}
	return v
}

// passableTime is a packet time as it passes from one leg to the other, for packets pass as they are; 0: ours.
func passableTime(ms int) int {
	if ms < 10 || ms > 120 {
		return 0
	}
	return ms
}

// audio is the section of a checked description that is or will be taken: the first audio that is not refused.
func audio(d *sdp.Description) *sdp.Media {
	for i := range d.Media {
		if m := &d.Media[i]; m.Kind == "audio" && m.Port != 0 && m.IsRTP() {
			return m
		}
	}
	return &sdp.Media{}
}

func (s *Session) capabilities(codecs []sdp.Codec, d Direction) sdp.Capabilities {
	c := sdp.Capabilities{Codecs: codecs, RTP: s.shown, Mux: true, Direction: d, Usable: usable}
	switch {
	case s.web != nil:
		c.Web = s.web.describe()
	case s.opts.SRTP == SRTPRequired:
		c.Security = sdp.Required // without keys every offer is refused, as it must be
	case s.keys != nil:
		c.Security = sdp.Optional
	}
	if s.keys != nil {
		c.Crypto = s.keys.lines
	}
	return c
}

// reachable says whether media can ever flow to where the peer wants it. A leg behind NAT may write what it likes, for it is learned
// where it is; and a private address from elsewhere is so common a mistake that the call goes on one-way.
func (s *Session) reachable(a *sdp.Agreed) error {
	if !a.RTP.IsValid() || s.opts.NAT {
		return nil
	}
	if a.RTP.Addr().Unmap().Is4() != s.shown.Addr().Is4() {
		return fmt.Errorf("%w: %s is not of the family that we speak here", errDestination, a.RTP.Addr())
	}
	if private(a.RTP.Addr()) && !a.RTP.Addr().Unmap().IsLoopback() && !s.engine.own.has(a.RTP.Addr()) {
		return nil
	}
	return s.engine.permit(a.RTP, s.opts.SignallingSource)
}

// apply puts what was agreed into force.
func (s *Session) apply(a *sdp.Agreed, d *sdp.Description) error {
	if err := s.reachable(a); err != nil {
		return err
	}
	if s.web != nil {
		a.Detach()
	}
	set, err := s.settings(a)
	if err != nil {
		return err
	}
	web := s.web
	if web != nil {
		if web, set.Web, err = web.agreed(a); err != nil {
			return err
		}
		set.Web.Video = videoSettings(a.Video)
	}
	if err := s.port.Configure(set); err != nil {
		return err
	}
	s.agreed, s.web, a.Web = a, web, nil // web has all of it
	if a.Section < len(d.Media) {
		m := &d.Media[a.Section] // no more of it: the rest of a browser's description is long
		s.theirs = &sdp.Media{Direction: m.Direction, Addr: m.Addr, Proto: a.Proto}
	}
	return nil
}

// settings is what was agreed as the relay takes it.
func (s *Session) settings(a *sdp.Agreed) (relay.Settings, error) {
	if a.Fax != nil {
		return s.faxSettings(a), nil
	}
	c := s.engine.config()
	set := relay.Settings{
		Mux:        a.Mux,
		Receive:    formats(tolerant(a)),
		Send:       formats(inFront(a.Codec, a.Send)),
		MaySend:    a.Sends,
		MayReceive: a.Receives,
		SilenceIn:  silence(c, a.Receives),
		SilenceOut: silence(c, a.Sends),
		Remote:     s.destination(a.RTP),
		RemoteRTCP: s.destination(a.RTCP),
	}
	if s.opts.NAT {
		set.Learn = s.opts.SignallingSource.Unmap()
	}
	if a.Secured {
		var err error
		if s.keys == nil {
			return set, secure.ErrSuite
		}
		if set.Protect, set.Unprotect, err = s.keys.contexts(a.Local, a.Remote); err != nil {
			return set, err
		}
	}
	return set, nil
}

// destination is addr if media may go there; else nothing, and the peer must be learned.
func (s *Session) destination(addr netip.AddrPort) netip.AddrPort {
	if !addr.IsValid() {
		return netip.AddrPort{}
	}
	if err := s.engine.permit(addr, s.opts.SignallingSource); err != nil {
		s.engine.log.Debug("media destination refused", "call", s.opts.Call, "leg", s.opts.Leg, "err", err)
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

func silence(c *settings, speaks bool) time.Duration {
	if speaks {
		return c.Silence
	}
	return c.HeldSilence
}

func formats(codecs []sdp.Codec) []relay.Format {
	out := make([]relay.Format, 0, len(codecs))
	for _, c := range codecs {
		out = append(out, relay.Format{PayloadType: c.PT, Name: c.Name, Rate: uint32(c.Rate), Channels: c.Channels})
	}
	return out
}

// tolerant is what the peer may send, and under its own numbers too where they mean nothing else: phones mix the two up.
func tolerant(a *sdp.Agreed) []sdp.Codec {
	out := slices.Clone(a.Receive)
	for _, c := range a.Send {
		if _, taken := a.Receiving(c.PT); !taken {
			out = append(out, c)
		}
	}
	return out
}

// inFront moves first to the front of list.
func inFront(first sdp.Codec, list []sdp.Codec) []sdp.Codec {
	out := []sdp.Codec{first}
	for _, c := range list {
		if c.PT != first.PT {
			out = append(out, c)
		}
	}
	return out
}
