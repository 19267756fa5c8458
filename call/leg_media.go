package call

import (
	"errors"
	"net/netip"

	"tandem/dialplan"
	"tandem/media"
	"tandem/sip"
)

// allocate takes a media session for the leg on the address that the peer talks to. nat: the peer may be
// behind a NAT, so media may be learnt from the address that it signals from.
func (l *Leg) allocate(nat bool) *sip.StatusError {
	c := l.in()
	peer := l.place
	if !peer.IsValid() {
		peer = l.flow.Remote().Addr().Unmap()
	}
	o := media.Options{
		Call: c.id, Leg: l.name,
		Local:            l.flow.Local().Addr().Unmap(),
		Advertise:        advertised(c.settings.PublicAddress, peer),
		SignallingSource: peer,
		NAT:              nat && !l.web,
		Web:              l.web,
		SRTP:             srtpPolicy(c.settings.Plan, l.party),
		Secure:           l.flow.Proto().Secure(),
		Events:           func(ev media.Event) { l.in().hear(l, ev) },
	}
	if l.trunk != nil {
		carrierMedia(l.trunk, &o)
	}
	s, err := c.board.media.NewSession(o)
	if err != nil {
		return mediaStatus(err)
	}
	l.media = s
	return nil
}

// hear takes an event of the media room, in one of its loops. Silence is told once and a player ends once, so neither
// may be lost; each can come again only after packets, or after another Play. A key may be lost to a full inbox.
func (c *Call) hear(l *Leg, ev media.Event) {
	switch ev.Kind {
	case media.PlayDone, media.RecordDone, media.Lost:
		c.postOnce(mediaEvent{l, ev})
	case media.Silence, media.DTMF:
		c.post(mediaEvent{l, ev})
	}
}

func srtpPolicy(plan *dialplan.Plan, extension string) media.SRTPPolicy {
	x, _ := plan.Extension(extension)
	switch x.SRTP {
	case "off":
		return media.SRTPOff
	case "required":
		return media.SRTPRequired
	}
	return media.SRTPOptional
}

// advertised is the public address for peers outside; peers on private networks and on this machine see the
// interface's own.
func advertised(public string, peer netip.Addr) string {
	if peer = peer.Unmap(); peer.IsPrivate() || peer.IsLoopback() || peer.IsLinkLocalUnicast() {
		return ""
	}
	return public
}

// mediaStatus turns an error of the media room into what the peer is told.
func mediaStatus(err error) *sip.StatusError {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, media.ErrNoPorts):
		return &sip.StatusError{Code: 503, Header: sip.RetryAfter(5), Cause: sip.CauseNoCircuit, Err: err}
	case errors.Is(err, media.ErrBadSDP):
		return &sip.StatusError{Code: 400, Reason: "Malformed session description", Err: err}
	case errors.Is(err, media.ErrNotAcceptable), errors.Is(err, media.ErrNoWeb):
		return &sip.StatusError{Code: 488, Err: err}
	}
	return &sip.StatusError{Code: 500, Err: err}
}

// wantSDP refuses bodies that are not a plain session description (RFC 3261 §8.2.3, §21.4.13).
func wantSDP(m *sip.Message) *sip.StatusError {
	if m.Body() == "" {
		return nil
	}
	if e := m.Header(sip.HeaderContentEncoding); e != "" && !sip.EqualFold(e, "identity") {
		return &sip.StatusError{Code: 415, Header: "Accept-Encoding: identity"}
	}
	if !isType(m, "application/sdp") {
		return &sip.StatusError{Code: 415, Header: "Accept: application/sdp"}
	}
	return nil
}

// sessionOf is a leg's session for the media room; nil without one.
func sessionOf(l *Leg) Session {
	if l == nil || l.media == nil {
		return nil
	}
	return l.media
}
