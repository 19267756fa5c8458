package call

import (
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"tandem/media"
	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/dialog"
	"tandem/sip/digest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"tandem/trunk"
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
	owner atomic.Pointer[Call] // the call that it belongs to; a transfer may change it (see give)
	name  string               // "a", "b1", "b2"…
	party string               // extension, or trunk.NAME
	role  role
	state legState

	// tag and callID are the identity of the dialog at our side; they never change, so readers may look.
	tag, callID string

	half     dialog.Dialog // of a leg that we called: the dialog before any answer, which each fork begins from
	dialog   dialog.Dialog
	flow     transport.Flow
	place    netip.Addr          // where the phone registered from, if what flow leads to is a proxy before it; else invalid
	nat      bool                // the phone registered from behind a NAT
	web      bool                // the peer is a browser
	guessed  bool                // that, or that it is none, is what its contact looks like: it may refuse with 488
	replaces string              // the dialog in another shard whose place our INVITE takes; empty: none
	instance string              // +sip.instance of the phone; empty: unknown
	spare    []registrar.Binding // other flows of the phone, for when this one fails
	contact  string              // our Contact header value on this leg
	media    Session
	agreed   bool // the peer has answered our offer, or we its
	timer    dialog.SessionTimer
	allows   string // the peer's Allow, for refreshes by UPDATE

	trunk   *trunk.Trunk   // the carrier at the other end; nil: a phone
	channel *trunk.Channel // that the leg takes of it
	byeSent time.Time      // our BYE waits for its answer, and the carrier counts the call until then; zero: it does not
	hop     transport.Hop  // its target, of a leg that we called
	replied bool           // the target has answered our INVITE in some way
	session digest.Session // what it has challenged us with
	proof   [2]string      // header and value of the credentials in our last INVITE, for its ACK

	invite *transaction.Server // the INVITE that made the caller's leg

	initial  *outgoing         // our INVITE that made the leg
	invited  []byte            // its text, while it rings and may be kept
	offer    []byte            // its session description
	interval time.Duration     // its session interval; 0: none
	attempt  int               // index of the branch's Attempt in the record
	reliable bool              // we have said that we acknowledge provisional responses
	rseqs    map[string]uint64 // the last RSeq by the peer's tag
	acks     map[string][]byte // our ACKs by the peer's tag: of the dialog, and of forks that were ended

	unacked  *unacked            // our 2xx that waits for its ACK
	farewell *farewell           // the BYE that waits for that ACK
	asking   *outgoing           // our re-INVITE or UPDATE that waits for an answer
	asked    *transaction.Server // the peer's re-INVITE or UPDATE that waits for the other leg's answer
	alone    bool                // and then all that it may have, whatever the other side has
	wantSync bool                // the peer must be offered what the other side has now
	retryAt  time.Time           // not before then: the last try of ours met another

	hungUp bool // the peer has sent a BYE, and its answer is under way

	silent    bool      // the watchdog reported that the peer is not heard
	heard     uint64    // packets of the peer until then
	probing   bool      // an OPTIONS asks whether the peer still lives
	adoptedAt uint64    // packets of the peer when the call was adopted
	mayBeMute bool      // it is asked although the other side is heard
	probeAt   time.Time // when it is asked again
	stats     media.Stats
}

// in is the call that the leg belongs to.
func (l *Leg) in() *Call { return l.owner.Load() }

// own makes a leg one of the call's.
func (c *Call) own(l *Leg) *Leg {
	l.owner.Store(c)
	return l
}

// nextName is that of the next leg: none before it, of a process before either, has it.
func (c *Call) nextName() string {
	n := len(c.legs)
	after := func(name string) {
		if i, err := strconv.Atoi(strings.TrimPrefix(name, "b")); err == nil {
			n = max(n, i+1)
		}
	}
	for _, l := range c.legs {
		after(l.name)
	}
	for i := range c.gone {
		after(c.gone[i].Leg)
	}
	return "b" + strconv.Itoa(n)
}

// farewell is a BYE that must wait.
type farewell struct {
	cause sip.Cause
	text  string
}

// open makes the caller's leg out of the INVITE: dialog, session timer, media and the pending offer.
func (l *Leg) open(m *sip.Message) *sip.StatusError {
	d, fail := dialog.FromInvite(m, l.tag)
	if fail != nil {
		return fail
	}
	if l.timer, fail = dialog.OfferedBy(time.Now(), m); fail != nil {
		return fail
	}
	l.dialog, l.allows = d, m.Header(sip.HeaderAllow)
	return l.openMedia(m)
}

func (l *Leg) openMedia(m *sip.Message) *sip.StatusError {
	if fail := wantSDP(m); fail != nil {
		return fail
	}
	if fail := l.recognise(m); fail != nil {
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

// move makes a flow the one that reaches the peer.
func (l *Leg) move(f transport.Flow) {
	if f != l.flow {
		l.flow = f
		l.contact = "<" + f.Contact("") + ">"
	}
}

// closeMedia frees the leg's ports and keeps its last figures.
func (l *Leg) closeMedia() {
	if s := l.media; s != nil {
		l.media = nil
		defer s.Close()
		l.stats = s.Stats()
	}
}

// release ends the leg: nothing of the peer is taken any more.
func (l *Leg) release() {
	if l.held() { // its INVITE has no final answer yet
		l.in().answerInvite(&sip.StatusError{Code: 487})
	}
	l.state = legGone
	l.unacked, l.farewell, l.invited = nil, nil, nil
	l.in().board.dropLeg(l)
	l.closeMedia()
	if l.byeSent.IsZero() {
		l.vacate(time.Now())
	}
}

// vacate gives the channel of a trunk back, once; ended is when the talk was over.
func (l *Leg) vacate(ended time.Time) {
	cause := l.in().record.Cause
	if cause == 0 {
		cause = sip.CauseNormal
	}
	l.channel.Release(ended, cause)
}

// byeAnswered is the end of our BYE, answered or not. Only now the channel is free: an INVITE that overtook the BYE on its
// way would find the carrier full.
func (l *Leg) byeAnswered() {
	if ended := l.byeSent; !ended.IsZero() {
		l.byeSent = time.Time{}
		l.vacate(ended)
	}
}

// maxHops is the Max-Forwards of what we begin (RFC 3261 §8.1.1.6).
const maxHops = 70

// request writes a request of ours inside the leg's dialog; the caller adds headers and the body.
func (l *Leg) request(w *sip.Writer, method string, seq uint32, hops int) {
	l.dialog.Write(w, method, seq, l.flow.Via(sip.NewBranch()), hops)
	l.prove(w, method)
	w.Add("User-Agent", l.in().board.cfg.Product)
}

// bye is the BYE of this leg, with the cause in a Reason header (RFC 3326).
func (l *Leg) bye(cause sip.Cause, text string) []byte {
	w := sip.NewWriter(make([]byte, 0, 512))
	l.request(w, sip.BYE, l.dialog.Next(), maxHops)
	if l.trunk != nil {
		text = "" // what happened inside is no carrier's business
	}
	if cause != 0 {
		w.Set(sip.HeaderReason, cause.ReasonHeader(text))
	}
	w.Finish("", nil)
	raw, _ := w.Bytes()
	return raw
}

// ack sends an ACK to a 2xx and returns its text, for the 2xx may come again.
func (l *Leg) ack(seq uint32) []byte {
	raw := l.ackText(seq)
	_ = l.flow.Send(raw)
	return raw
}

func (l *Leg) ackText(seq uint32) []byte {
	w := sip.NewWriter(make([]byte, 0, 512))
	l.request(w, sip.ACK, seq, maxHops)
	w.Finish("", nil)
	raw, _ := w.Bytes()
	return raw
}

// transport names what the peer speaks; empty for a contact that was never reached.
func (l *Leg) transport() string {
	if !l.flow.Valid() {
		return ""
	}
	return l.flow.Proto().String()
}

// peer is the address that the peer speaks from; empty for a contact that was never reached.
func (l *Leg) peer() string {
	if !l.flow.Valid() {
		return ""
	}
	return l.flow.Remote().String()
}

// isType tells whether the body's media type is t; parameters and case do not matter.
func isType(m *sip.Message, t string) bool {
	v, _, _ := strings.Cut(m.Header(sip.HeaderContentType), ";")
	return sip.EqualFold(sip.Trim(v), t)
}
