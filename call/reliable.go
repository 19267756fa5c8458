package call

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"tandem/sip"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"tandem/trunk"
)

// mostReliable bounds the provisional responses that wait for the PRACK of the one before; what comes beyond is left out, for
// it would tell a caller who acknowledges nothing what it has heard already.
const mostReliable = 8

// reliable is the state of provisional responses that the caller acknowledges (RFC 3262 §3). They go out one after the other.
type reliable struct {
	seq     uint32 // RSeq of the last one
	current *provision
	queue   []provision
	last    int    // status of the last one
	late    bool   // the PRACK of the last one may come after the final answer (RFC 3262 §3), and is taken
	then    func() // sends the 2xx that waits for the PRACK of a session description
}

// provision is one of them.
type provision struct {
	status int
	body   []byte
	raw    []byte
	next   time.Time
	every  time.Duration
	giveUp time.Time
}

// demands tells whether a message lists 100rel in a header.
func demands(m *sip.Message, id sip.HeaderID) bool { return m.Lists(id, rel100) }

const rel100 = "100rel"

// mayRely is what an INVITE is answered whose wish for reliable provisional responses does not fit (RFC 3262 §3).
func mayRely(m *sip.Message, t *trunk.Trunk) *sip.StatusError {
	if t == nil || m.ToTag() != "" {
		return nil
	}
	switch t.Config().PRACK {
	case trunk.ReliableOff:
		if demands(m, sip.HeaderRequire) {
			return &sip.StatusError{Code: 420, Header: "Unsupported: " + rel100}
		}
	case trunk.ReliableRequired:
		if !demands(m, sip.HeaderRequire) && !demands(m, sip.HeaderSupported) {
			return &sip.StatusError{Code: 421, Header: "Require: " + rel100}
		}
	}
	return nil
}

// relies tells whether the caller's provisional responses are to be reliable.
func (c *Call) relies() bool {
	m := c.a.invite.Request()
	return demands(m, sip.HeaderRequire) ||
		c.a.trunk != nil && c.a.trunk.Config().PRACK == trunk.ReliableRequired && demands(m, sip.HeaderSupported)
}

// provideReliably sends a 18x that the caller acknowledges, when those before it are. A caller who made no offer is told
// nothing before the answer: the first that it hears reliably would have to be our offer.
func (c *Call) provideReliably(status int, body []byte) {
	r := &c.reliable
	waiting := len(r.queue) > 0 || r.current != nil
	if c.a.invite.Request().Body() == "" || len(r.queue) >= mostReliable || waiting && r.last == status && body == nil {
		return
	}
	r.last = status
	r.queue = append(r.queue, provision{status: status, body: body})
	c.nextReliable()
}

// nextReliable sends the next one that waits.
func (c *Call) nextReliable() {
	r := &c.reliable
	if r.current != nil || len(r.queue) == 0 {
		return
	}
	p := r.queue[0]
	r.queue = r.queue[1:]
	if r.seq == 0 {
		r.seq = rand.Uint32N(1 << 31) // RFC 3262 §3: 1 to 2^31 - 1
	}
	r.seq++
	now, t1 := time.Now(), c.board.cfg.T1
	p.raw = c.respondCaller(p.status, p.body, "Require: "+rel100, fmt.Sprintf("RSeq: %d", r.seq))
	p.next, p.every, p.giveUp = now.Add(t1), t1, now.Add(64*t1)
	r.current = &p
}

// repeatReliable sends it again, or gives the caller up who acknowledges nothing (RFC 3262 §3).
func (c *Call) repeatReliable(now time.Time) {
	p := c.reliable.current
	if !now.Before(p.giveUp) {
		c.endReliable()
		c.giveCallerUp(&sip.StatusError{Code: 504, Reason: "No PRACK", Cause: sip.CauseTimerExpired})
		return
	}
	_ = transport.Reply(c.a.invite.Flow(), c.a.invite.Request()).Send(p.raw)
	p.every *= 2
	p.next = now.Add(p.every)
	if p.next.After(p.giveUp) {
		p.next = p.giveUp
	}
}

// reliableAt is when it is due again; zero: nothing waits.
func (c *Call) reliableAt() time.Time {
	if c.reliable.current == nil {
		return time.Time{}
	}
	return c.reliable.current.next
}

// prack takes the caller's acknowledgement, and answers an offer in it.
func (c *Call) prack(l *Leg, tx *transaction.Server, m *sip.Message) {
	r := &c.reliable
	if l != c.a || r.current == nil && !r.late || !c.acknowledges(m) {
		c.board.refuse(tx, m, &sip.StatusError{Code: 481})
		return
	}
	r.current, r.late = nil, false
	c.answerPrack(l, tx, m)
	if then := r.then; then != nil {
		c.endReliable()
		then()
		return
	}
	c.nextReliable()
}

// acknowledges tells whether a PRACK is for the response that waits (RFC 3262 §3, §7.2).
func (c *Call) acknowledges(m *sip.Message) bool {
	f := strings.Fields(m.Header(sip.HeaderRAck))
	if len(f) != 3 || f[2] != sip.INVITE {
		return false
	}
	rseq, ok1 := sip.Digits(f[0])
	cseq, ok2 := sip.Digits(f[1])
	seq, _, err := c.a.invite.Request().CSeq()
	return ok1 && ok2 && err == nil && rseq == uint64(c.reliable.seq) && cseq == uint64(seq)
}

func (c *Call) answerPrack(l *Leg, tx *transaction.Server, m *sip.Message) {
	if m.Body() == "" || l.media == nil {
		c.ok(l, tx, m, nil)
		return
	}
	if fail := wantSDP(m); fail != nil {
		c.board.refuse(tx, m, fail)
		return
	}
	if err := l.media.SetOffer([]byte(m.Body())); err != nil {
		c.board.refuse(tx, m, mediaStatus(err))
		return
	}
	answer, err := l.media.CreateAnswer(sessionOf(c.early))
	if err != nil {
		l.media.Rollback()
		c.board.refuse(tx, m, mediaStatus(err))
		return
	}
	c.ok(l, tx, m, answer)
}

// holdAnswer keeps a 2xx back while a session description of ours is not acknowledged (RFC 3262 §3). It is false where the
// 2xx may go.
func (c *Call) holdAnswer(send func()) bool {
	r := &c.reliable
	if r.current == nil || r.current.body == nil {
		return false
	}
	r.queue, r.then = nil, send
	return true
}

// held tells whether the caller's 2xx waits for a PRACK: for the caller the call is not answered yet.
func (l *Leg) held() bool { return l == l.in().a && l.in().reliable.then != nil }

// endReliable forgets what waits.
func (c *Call) endReliable() {
	c.reliable.late = c.reliable.late || c.reliable.current != nil
	c.reliable.current, c.reliable.queue, c.reliable.then = nil, nil, nil
}

// giveCallerUp ends a call whose caller has no final answer, a held one included.
func (c *Call) giveCallerUp(fail *sip.StatusError) {
	if c.a.state < legUp {
		c.refuseCaller("switch", fail)
		return
	}
	if c.finish("switch", 0, fail.Cause, "") {
		c.answerInvite(fail)
		c.a.release()
		if c.b != nil {
			c.endLeg(c.b, fail.Cause, "")
		}
	}
}

// acknowledge sends the PRACK to a reliable provisional response (RFC 3262 §4). It is false where the response is one that we
// have had, or comes too early: that one will come again.
func (c *Call) acknowledge(o *outgoing, m *sip.Message) (news bool) {
	l := o.leg
	if !l.reliable || !demands(m, sip.HeaderRequire) || m.ToTag() == "" {
		return true
	}
	rseq, ok := sip.Digits(m.Header(sip.HeaderRSeq))
	seq, _, err := m.CSeq()
	if !ok || err != nil || rseq == 0 || rseq >= 1<<32-1 {
		return true
	}
	last, known := l.rseqs[m.ToTag()]
	if known && rseq != last+1 || !known && len(l.rseqs) >= maxForks {
		return false
	}
	d, err := l.dialog.Accept(m)
	if err != nil {
		return true
	}
	if l.rseqs == nil {
		l.rseqs = map[string]uint64{}
	}
	l.rseqs[m.ToTag()] = rseq
	l.dialog = d
	w := sip.NewWriter(make([]byte, 0, 512))
	next := c.beginRequest(l, w, sip.PRACK, maxHops)
	w.Add("RAck", fmt.Sprintf("%d %d %s", rseq, seq, sip.INVITE))
	w.Finish("", nil)
	raw, err := w.Bytes()
	if err != nil {
		return true
	}
	c.send(&outgoing{leg: l, purpose: forPrack, method: sip.PRACK, seq: next}, raw)
	return true
}
