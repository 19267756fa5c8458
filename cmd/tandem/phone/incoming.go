package phone

import (
	"errors"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// An Answer is what a phone does with an incoming call. The first of Func, Status and Auto that is set counts; without
// any the call rings until somebody uses the Call that WaitIncoming gave.
type Answer struct {
	// Func handles the call in its own goroutine: it may use Ring, Progress, Accept, Reject and all else.
	Func func(*Call)
	// Status refuses: 486 busy, 603 decline, or any code from 300.
	Status int
	Reason string   // phrase for Status; the usual one when empty
	Header []Header // added to the refusal, such as Contact for a 302
	// Auto answers after After, ringing meanwhile.
	Auto  bool
	After time.Duration
	// Early sends early media (183 with SDP) instead of only ringing.
	Early bool
	// Silent sends no 180.
	Silent bool
	// Play and Record are as in CallOptions.
	Play   string
	Record string
}

// AutoAnswer answers at once and plays the sound given.
func AutoAnswer(play string) Answer { return Answer{Auto: true, Play: play} }

// Busy refuses every call with 486.
func Busy() Answer { return Answer{Status: 486} }

// Decline refuses every call with 603.
func Decline() Answer { return Answer{Status: 603} }

var phrases = map[int]string{200: "OK", 180: "Ringing", 183: "Session Progress", 302: "Moved Temporarily", 400: "Bad Request",
	403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 415: "Unsupported Media Type",
	420: "Bad Extension", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 486: "Busy Here",
	488: "Not Acceptable Here", 491: "Request Pending", 500: "Server Internal Error", 503: "Service Unavailable",
	600: "Busy Everywhere", 603: "Decline"}

func phrase(code int) string {
	if p := phrases[code]; p != "" {
		return p
	}
	return "Refused"
}

// An incomingInvite is the INVITE that a call came with. req's To carries our tag from the start, so that every
// response, those that sipgo makes included, has the same one.
type incomingInvite struct {
	req *sip.Request
	tx  *sip.ServerTx

	mu        sync.Mutex // orders our responses
	final     int        // status sent, 0 before
	answer    []byte     // SDP already given in a 183
	done      chan struct{}
	confirmed chan struct{} // the ACK of our 2xx came, or will never come
}

var errAlreadyAnswered = errors.New("the call was already answered or refused")

// incomingCall handles an INVITE outside a dialog. It returns when the INVITE is done with: sipgo ends the transaction
// of a stream as soon as its handler returns.
func (p *Phone) incomingCall(req *sip.Request, tx *sip.ServerTx) {
	tag := sip.GenerateTagN(12)
	req.To().Params.Add("tag", tag)
	invite := &incomingInvite{req: req, tx: tx, done: make(chan struct{}), confirmed: make(chan struct{})}
	// The 100 goes out before anything else, which also keeps sipgo's own from being built beside our changes to req.
	p.respond(tx, sip.NewResponseFromRequest(req, 100, "Trying", nil))
	c, err := p.newCall(false, callID(req))
	if err != nil {
		p.log.Error("incoming call refused", "error", err)
		p.respond(tx, sip.NewResponseFromRequest(req, 500, phrase(500), nil))
		return
	}
	c.invite, c.dialog = invite, dialogOf(req, tag)
	c.Peer = req.From().Address.String()
	if err := p.addCall(c); err != nil {
		c.end(Ended{By: ByLocal, Reason: err.Error(), Err: err})
		return
	}
	// sipgo answers the CANCEL and sends the 487 itself; its callback runs under its own lock and must not take ours.
	if !tx.OnCancel(func(*sip.Request) { c.cancel() }) {
		c.cancel()
	}
	p.mu.Lock()
	policy := p.answer
	p.mu.Unlock()
	select {
	case p.incoming <- c:
	default:
	}
	p.spawn(func() { c.follow(policy) })
	select {
	case <-c.cancelled:
		c.end(Ended{By: ByRemote, Status: 487, Reason: "cancelled"})
		return
	case <-tx.Done():
		c.end(Ended{By: ByNobody, Reason: "INVITE transaction ended without an answer"})
		return
	case <-p.ctx.Done():
		return
	case <-invite.done:
	}
	if invite.final < 300 {
		c.holdFor2xx(tx, req.CSeq().SeqNo, invite.res2xx(c), invite.confirmed)
	}
}

// follow does what the policy says.
func (c *Call) follow(a Answer) {
	defer c.phone.recover("incoming call")
	if err := c.followed(a); err != nil && !c.isOver() {
		c.log.Warn("incoming call", "error", err)
		_ = c.Reject(488, phrase(488))
	}
}

func (c *Call) followed(a Answer) error {
	if a.Record != "" {
		if err := c.Record(a.Record); err != nil {
			return err
		}
	}
	if a.Play != "" {
		if _, err := c.Play(a.Play); err != nil {
			return err
		}
	}
	switch {
	case a.Func != nil:
		a.Func(c)
		return nil
	case a.Status != 0:
		reason := a.Reason
		if reason == "" {
			reason = phrase(a.Status)
		}
		return c.Reject(a.Status, reason, a.Header...)
	}
	var err error
	switch {
	case a.Early:
		err = c.Progress()
	case !a.Silent && (!a.Auto || a.After > 0):
		err = c.Ring()
	}
	if err != nil || !a.Auto {
		return err
	}
	timer := time.NewTimer(a.After)
	defer timer.Stop()
	select {
	case <-timer.C:
		return c.Accept()
	case <-c.over:
	case <-c.phone.ctx.Done():
	}
	return nil
}
