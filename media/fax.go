package media

import (
	"fmt"

	"tandem/media/relay"
	"tandem/media/sdp"
)

// Fax tells whether the peer wants T.38 instead of speech: by its offer that is not answered yet, or else by what was agreed.
func (s *Session) Fax() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offer != nil {
		f, _ := s.offer.Fax()
		return f != nil
	}
	return s.agreed != nil && s.agreed.Fax != nil
}

// mayFax refuses T.38 where speech is or must be encrypted: UDPTL is not.
func (s *Session) mayFax() error {
	if s.web != nil || s.opts.SRTP == SRTPRequired || s.agreed != nil && s.agreed.Secured {
		return fmt.Errorf("%w: fax on an encrypted leg", ErrNotAcceptable)
	}
	return nil
}

// taken is the section of a checked description that is or will be taken.
func taken(d *sdp.Description) *sdp.Media {
	if f, _ := d.Fax(); f != nil {
		return f
	}
	return audio(d)
}

// faxSettings is agreed fax as the relay takes it. Between two pages nothing may be sent for long.
func (s *Session) faxSettings(a *sdp.Agreed) relay.Settings {
	held := s.engine.config().HeldSilence
	set := relay.Settings{UDPTL: true, MaySend: true, MayReceive: true, SilenceIn: held, SilenceOut: held, Remote: s.destination(a.RTP)}
	if s.opts.NAT {
		set.Learn = s.opts.SignallingSource.Unmap()
	}
	return set
}

// answerFax answers the peer's offer of fax, where the other leg has agreed to the same. The caller holds the lock.
func (s *Session) answerFax(agreed *sdp.Media) ([]byte, error) {
	if agreed == nil {
		return nil, fmt.Errorf("%w: nobody takes a fax", ErrNotAcceptable)
	}
	was := s.neg
	body, a, err := s.neg.Answer(s.offer, sdp.Capabilities{Fax: agreed, RTP: s.shown}, sdp.Codec{})
	if err == nil {
		err = s.apply(&a, s.offer)
	}
	if err != nil {
		s.neg = was
		return nil, fmt.Errorf("%w: %w", ErrNotAcceptable, err)
	}
	s.offer, s.answering = nil, true
	return body, nil
}

// offerFax offers the peer what the other leg's peer says of its fax machine. The caller holds the lock.
func (s *Session) offerFax(fax *sdp.Media) ([]byte, error) {
	if err := s.mayFax(); err != nil {
		return nil, err
	}
	return s.offered(sdp.Capabilities{Fax: fax, RTP: s.shown}), nil
}

// Insist makes our offers to the peer RTP/SAVP from now on: for one that has refused RTP/AVP with keys (RFC 8643) since it takes
// no RTP/AVP at all. It is false where there are no keys, where they are demanded already, or something is agreed.
func (s *Session) Insist() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.keys == nil || s.opts.SRTP != SRTPOptional || s.agreed != nil {
		return false
	}
	s.opts.SRTP = SRTPRequired
	return true
}
