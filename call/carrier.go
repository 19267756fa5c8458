package call

import (
	"context"
	"strconv"
	"time"

	"tandem/dialplan"
	"tandem/media"
	"tandem/sip"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"tandem/trunk"
)

// carrierOf is the trunk that an INVITE outside a dialog comes over; nil: it is a phone's, or a stranger's. Who brings
// credentials of ours is a phone, wherever it stands.
func (s *Switchboard) carrierOf(f transport.Flow, m *sip.Message) *trunk.Trunk {
	if m.Method() != sip.INVITE || s.authority.Addressed(m) {
		return nil
	}
	return s.trunks.Match(f, m)
}

// fromCarrier begins a call that comes over a trunk.
func (s *Switchboard) fromCarrier(tx *transaction.Server, m *sip.Message, t *trunk.Trunk) {
	if n, ok := m.MaxForwards(); ok && n == 0 {
		s.refuse(tx, m, &sip.StatusError{Code: 483})
		return
	}
	now := time.Now()
	channel, refusal := t.Admit(now, trunk.In, false)
	if channel == nil {
		s.stats.Refused.Add(1)
		s.log.Info("call of a carrier refused", "trunk", t.Name(), "why", refusal)
		s.refuse(tx, m, &sip.StatusError{Code: 503, Header: sip.RetryAfter(5), Cause: sip.CauseNoCircuit})
		return
	}
	if fail := s.startCall(tx, m, caller{trunk: t, channel: channel}); fail != nil {
		channel.Release(now, sip.CauseTemporary)
		s.refuse(tx, m, fail)
	}
}

// caller is who begins a call: an extension, or a trunk.
type caller struct {
	extension string
	trunk     *trunk.Trunk
	channel   *trunk.Channel
	neighbour bool // another shard, in the extension's name
}

func (w caller) party() string {
	if w.trunk != nil {
		return trunkParty(w.trunk)
	}
	return w.extension
}

// carrierFacts is what the plan is asked with for a call over a trunk, and the caller's name.
func carrierFacts(plan *dialplan.Plan, m *sip.Message, t *trunk.Trunk, now time.Time) (f dialplan.Facts, name string) {
	cfg, home := t.Config(), plan.Numbering()
	f = dialplan.Facts{Trunk: t.Name(), To: cfg.CalledNumber(m, &home), Now: now}
	if u, err := sip.ParseURI(m.RequestURI()); err == nil {
		f.Domain = u.Host
	}
	f.Caller, name = cfg.CallingParty(m, &home)
	name, _ = passable(name)
	return f, name
}

// carrierPassNames are those of passNames that may leave towards a carrier: nothing of the inside.
var carrierPassNames = []string{"Priority", "User-to-User"}

// mayMoveCarrier tells whether a flow that was not a carrier leg's so far is its carrier's.
func (c *Call) mayMoveCarrier(l *Leg, f transport.Flow, m *sip.Message) *sip.StatusError {
	if c.board.trunks.Match(f, m) == l.trunk || l.trunk.Leads(f) {
		return nil
	}
	return sip.Errorf(403, "Not your call")
}

// maxAnswers bounds the challenges that one request of ours answers: a peer may call every nonce stale.
const maxAnswers = 2

// challenged answers the 401 or 407 of a carrier, with the request once more. It is false where no answer is due: the
// leg is a phone's, the challenge is not its carrier's own or for another realm, or it was answered before.
func (c *Call) challenged(o *outgoing, m *sip.Message) bool {
	l := o.leg
	if status := m.Status(); status != 401 && status != 407 || l.trunk == nil || o.client == nil || o.answers >= maxAnswers {
		return false
	}
	if o.purpose == forInvite && (l.state == legGone || o != l.initial) {
		return false
	}
	req := o.client.Request()
	name, value, err := l.trunk.Answer(&l.session, o.client.Flow(), m, o.method, req.RequestURI(), []byte(req.Body()))
	if err != nil {
		c.log.Info("challenge not answered", "trunk", l.trunk.Name(), "method", o.method, "err", err)
		return false
	}
	again := &outgoing{
		leg: l, purpose: o.purpose, method: o.method, offer: o.offer, relay: o.relay, answers: o.answers + 1, giveUp: o.giveUp,
	}
	if o.purpose == forInvite {
		c.trunkReplied(l, m)
		c.awaitReply()
		again.seq = l.half.Next()
		l.dialog.LocalSeq = l.half.LocalSeq
		l.initial = again
	} else {
		again.seq = l.dialog.Next()
	}
	if l.asking == o {
		l.asking = again
	}
	if o.method == sip.INVITE {
		l.proof = [2]string{name, value}
	}
	raw, err := repeat(req, l.flow.Via(sip.NewBranch()), again.seq, name, value)
	if err != nil {
		return false
	}
	c.send(again, raw)
	return true
}

// repeat is a request once more, with another Via and CSeq, and with credentials (RFC 3261 §22.2).
func repeat(m *sip.Message, via string, seq uint32, name, value string) ([]byte, error) {
	w := sip.NewWriter(make([]byte, 0, len(m.Raw())+512))
	w.Request(m.Method(), m.RequestURI())
	for i := range m.Len() {
		switch id := m.ID(i); {
		case id == sip.HeaderVia:
			w.Set(id, via)
		case id == sip.HeaderCSeq:
			w.Set(id, strconv.FormatUint(uint64(seq), 10)+" "+m.Method())
		case id == sip.HeaderContentLength, id == sip.HeaderContentType, sip.EqualFold(m.Name(i), name):
		default:
			w.CopyLine(m, i)
		}
	}
	w.Add(name, value)
	w.Finish(m.Header(sip.HeaderContentType), []byte(m.Body()))
	return w.Bytes()
}

// prove adds credentials to a request of ours inside a carrier's dialog, where it has challenged us before: it need not
// ask each time.
func (l *Leg) prove(w *sip.Writer, method string) {
	if l.trunk == nil || l.session.QOP == "auth-int" {
		return
	}
	if method == sip.ACK { // the INVITE's own (RFC 3261 §13.2.2.4)
		if l.proof[0] != "" {
			w.Add(l.proof[0], l.proof[1])
		}
		return
	}
	name, value, ok := l.trunk.Authorize(&l.session, l.flow, method, l.dialog.RequestURI(), nil)
	if !ok {
		return
	}
	w.Add(name, value)
	if method == sip.INVITE {
		l.proof = [2]string{name, value}
	}
}

// refindCarrier gives a carrier's leg whose connection is gone a new one to the same target. It blocks this one call for
// a moment: nothing else of it can go on without.
func (c *Call) refindCarrier(l *Leg) {
	ctx, cancel := context.WithTimeout(c.board.ctx, 3*time.Second)
	defer cancel()
	var f transport.Flow
	var err error
	if l.hop.Addr.IsValid() {
		f, err = l.trunk.Connect(ctx, l.hop, 0)
	} else if uri, parse := sip.ParseURI(l.dialog.NextHop()); parse == nil {
		f, err = c.board.router.Reach(ctx, uri, 0)
	}
	if err == nil && f.Valid() {
		l.move(f)
	}
}

// carrierMedia is what a trunk says of the media on its legs.
func carrierMedia(t *trunk.Trunk, o *media.Options) {
	cfg := t.Config()
	switch cfg.SRTP {
	case "required":
		o.SRTP = media.SRTPRequired
	case "optional":
		o.SRTP = media.SRTPOptional
	default:
		o.SRTP = media.SRTPOff
	}
	o.NoEvents = cfg.DTMF == trunk.DTMFInfo || cfg.DTMF == trunk.DTMFInband
	if cfg.Codecs == nil {
		return
	}
	o.Codecs = cfg.Codecs
	for _, name := range cfg.Codecs {
		if sip.EqualFold(name, "telephone-event") {
			return
		}
	}
	o.Codecs = append(o.Codecs[:len(o.Codecs):len(o.Codecs)], "telephone-event")
}
