package call

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"tandem/dialplan"
	"tandem/media"
	"tandem/sip"
	"tandem/sip/dialog"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

type role uint8

const (
	roleUAS role = iota // the caller's leg
	roleUAC             // a leg that we called
)

// legState is how far a leg has come.
type legState uint8

const (
	legTrying legState = iota
	legEarly           // has rung or sent early media
	legUp              // 2xx sent or received
	legGone            // ended, cancelled or failed
)

// Leg is one side of a call: a dialog, the flow that reaches the peer, and its media.
type Leg struct {
	call  *Call
	name  string // "a", "b1", "b2"…
	party string // extension, or the number of a stranger
	role  role
	state legState

	// tag and callID are the identity of the dialog at our side; they never change, so readers may look.
	tag, callID string

	dialog  dialog.Dialog
	flow    transport.Flow
	nat     bool   // the phone registered from behind a NAT
	contact string // our Contact header value on this leg
	media   Session
	timer   dialog.SessionTimer
	allows  string // the peer's Allow, for refreshes by UPDATE

	invite  *transaction.Server // the INVITE of the peer that waits for its final answer
	initial *outgoing           // our INVITE that made the leg; set before readers can find the leg
	attempt int                 // index of the branch's Attempt in the record
	unacked *unacked            // our 2xx that waits for its ACK
	asking  *outgoing           // our re-INVITE or UPDATE that waits for an answer
	asked   *transaction.Server // the peer's re-INVITE or UPDATE that waits for the other leg's answer
	lastACK []byte              // the ACK to the last 2xx, sent again when the 2xx comes again
	silent  bool                // the watchdog reported that the peer is not heard
	heard   uint64              // packets of the peer until then
	probing bool                // an OPTIONS asks whether the peer still lives
	stats   media.Stats         // the last figures, kept when the session is closed
}

// unacked is a 2xx of ours that is sent again until the ACK comes (RFC 3261 §13.3.1.4).
type unacked struct {
	raw    []byte
	flow   transport.Flow
	seq    uint32
	next   time.Time
	every  time.Duration
	giveUp time.Time
	answer bool // the 2xx carried our offer, the ACK carries the answer
}

// open makes the caller's leg out of the INVITE: dialog, session timer, media and the pending offer.
func (l *Leg) open(m *sip.Message) *sip.StatusError {
	var fail *sip.StatusError
	if l.dialog, fail = dialog.FromInvite(m, l.tag); fail != nil {
		return fail
	}
	if l.timer, fail = dialog.OfferedBy(time.Now(), m); fail != nil {
		return fail
	}
	l.allows = m.Header(sip.HeaderAllow)
	return l.openMedia(m)
}

func (l *Leg) openMedia(m *sip.Message) *sip.StatusError {
	if fail := wantSDP(m); fail != nil {
		return fail
	}
	if err := l.allocate(true); err != nil {
		return err
	}
	if m.Body() == "" {
		return nil
	}
	return mediaStatus(l.media.SetOffer([]byte(m.Body())))
}

// allocate takes a media session for the leg on the address that the peer talks to. nat: the peer may be
// behind a NAT, so media may be learnt from the address that it signals from.
func (l *Leg) allocate(nat bool) *sip.StatusError {
	c := l.call
	s, err := c.board.media.NewSession(media.Options{
		Call: c.id, Leg: l.name,
		Local:            l.flow.Local().Addr().Unmap(),
		Advertise:        advertised(c.settings.PublicAddress, l.flow.Remote().Addr()),
		SignallingSource: l.flow.Remote().Addr().Unmap(),
		NAT:              nat,
		SRTP:             srtpPolicy(c.settings.Plan, l.party),
		Secure:           l.flow.Proto().Secure(),
		Events:           func(ev media.Event) { c.post(mediaEvent{l, ev}) },
	})
	if err != nil {
		return mediaStatus(err)
	}
	l.media = s
	return nil
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
		return &sip.StatusError{Code: 503, Header: "Retry-After: 5", Cause: sip.CauseNoCircuit, Err: err}
	case errors.Is(err, media.ErrBadSDP):
		return &sip.StatusError{Code: 400, Reason: "Malformed session description", Err: err}
	case errors.Is(err, media.ErrNotAcceptable):
		return &sip.StatusError{Code: 488, Err: err}
	}
	return &sip.StatusError{Code: 500, Err: err}
}

// wantSDP refuses bodies that are not a session description (RFC 3261 §21.4.13).
func wantSDP(m *sip.Message) *sip.StatusError {
	if m.Body() == "" || isType(m, "application/sdp") {
		return nil
	}
	return &sip.StatusError{Code: 415, Header: "Accept: application/sdp"}
}

// release closes the leg's media and keeps its last figures.
func (l *Leg) release() {
	l.state = legGone
	l.unacked = nil
	if l.media != nil {
		l.stats = l.media.Stats()
		l.media.Close()
		l.media = nil
	}
	l.call.board.dropLeg(l)
}

// request writes a request of ours inside the leg's dialog; the caller adds headers and the body.
func (l *Leg) request(w *sip.Writer, method string, seq uint32) {
	l.dialog.Write(w, method, seq, l.flow.Via(sip.NewBranch()), 70)
	w.Add("User-Agent", l.call.board.cfg.Product)
}

// bye is the BYE of this leg, with the cause in a Reason header (RFC 3326).
func (l *Leg) bye(cause sip.Cause, text string) []byte {
	w := sip.NewWriter(nil)
	l.request(w, sip.BYE, l.dialog.Next())
	if cause != 0 {
		w.Set(sip.HeaderReason, cause.ReasonHeader(text))
	}
	w.Finish("", nil)
	raw, _ := w.Bytes()
	return raw
}

// refreshAt is when we must refresh the session; zero: not now.
func (l *Leg) refreshAt() time.Time {
	if l.state != legUp || l.asking != nil || l.asked != nil {
		return time.Time{}
	}
	return l.timer.Refresh()
}

// transport names what the peer speaks; empty for a contact that was never reached.
func (l *Leg) transport() string {
	if !l.flow.Valid() {
		return ""
	}
	return l.flow.Proto().String()
}

// stillSilent tells whether nothing was heard of the peer since the watchdog's report.
func (l *Leg) stillSilent() bool {
	return l.silent && (l.media == nil || l.media.Stats().In.Packets == l.heard)
}

// isType tells whether the body's media type is t; parameters and case do not matter.
func isType(m *sip.Message, t string) bool {
	v, _, _ := strings.Cut(m.Header(sip.HeaderContentType), ";")
	return sip.EqualFold(sip.Trim(v), t)
}
