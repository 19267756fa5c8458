package phone

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// Ring sends 180.
func (c *Call) Ring() error { return c.provisional(180, nil) }

// Progress sends 183 with the SDP answer, and starts the media in both directions.
func (c *Call) Progress() error {
	body, err := c.answerInvite()
	if err != nil {
		return err
	}
	return c.provisional(183, body)
}

func (c *Call) provisional(code int, body []byte) error {
	v := c.invite
	if v == nil {
		return errors.New("an outgoing call cannot be rung")
	}
	res := c.response(v.req, code, phrase(code), body)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.final != 0 || c.isOver() {
		return errAlreadyAnswered
	}
	if err := v.tx.Respond(res); err != nil {
		return fmt.Errorf("%d not sent: %w", code, err)
	}
	c.rings()
	return nil
}

// answerInvite returns the answer to the INVITE's offer, made once; nil for an INVITE without one.
func (c *Call) answerInvite() ([]byte, error) {
	v := c.invite
	if v == nil {
		return nil, errors.New("an outgoing call cannot be accepted")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.answer != nil || !hasSDP(v.req) {
		return v.answer, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	body, err := c.sdp.answer(v.req.Body())
	if err == nil {
		err = c.applySDP()
	}
	if err == nil {
		v.answer = body
	}
	return body, err
}

// Accept answers with 200. An offer that this phone cannot meet is refused with 488, and the error says why.
func (c *Call) Accept() error {
	body, err := c.answerInvite()
	if err != nil {
		return errors.Join(err, c.Reject(488, phrase(488)))
	}
	if body == nil { // late offer
		c.mu.Lock()
		body = c.sdp.offer()
		c.offering = true
		c.invite.answer = body
		c.mu.Unlock()
	}
	if err := c.finalResponse(c.response(c.invite.req, 200, phrase(200), body)); err != nil {
		return err
	}
	c.answers()
	return nil
}

// Reject refuses the call with a code from 300 to 699.
func (c *Call) Reject(code int, reason string, headers ...Header) error {
	if c.invite == nil {
		return errors.New("an outgoing call cannot be refused")
	}
	if code < 300 || code > 699 {
		return fmt.Errorf("cannot refuse with %d: want 300 to 699", code)
	}
	res := sip.NewResponseFromRequest(c.invite.req, code, reason, nil)
	for _, h := range headers {
		res.AppendHeader(sip.NewHeader(h.Name, h.Value))
	}
	if err := c.finalResponse(res); err != nil {
		return err
	}
	c.end(Ended{By: ByLocal, Status: code, Reason: reason})
	return nil
}

// finalResponse sends the one final response. sipgo stores what it is given before its machine accepts it, so that a
// 200 that crosses a CANCEL would be sent again in place of the 487: the 487 is put back then.
func (c *Call) finalResponse(res *sip.Response) error {
	v := c.invite
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.final != 0 || c.isOver() {
		return errAlreadyAnswered
	}
	v.final = res.StatusCode
	if res.IsSuccess() {
		c.expectACK(v.req.CSeq().SeqNo)
	}
	err := v.tx.Respond(res)
	if errors.Is(err, sip.ErrTransactionCanceled) {
		_ = v.tx.Respond(sip.NewResponseFromRequest(v.req, 487, "Request Terminated", nil))
		c.cancel()
		return errCancelled
	}
	if err != nil {
		err = fmt.Errorf("%d not sent: %w", res.StatusCode, err)
		c.end(Ended{By: ByNobody, Reason: err.Error(), Err: err})
	}
	close(v.done)
	return err
}

func (v *incomingInvite) res2xx(c *Call) *sip.Response {
	return c.response(v.req, 200, phrase(200), v.answer)
}

// response builds a response to a request of this dialog, with what RFC 3261 §12.1.1 wants in those that make it.
func (c *Call) response(req *sip.Request, code int, reason string, body []byte) *sip.Response {
	res := sip.NewResponseFromRequest(req, code, reason, nil)
	res.AppendHeader(sip.NewHeader("Contact", c.phone.contactHeader()))
	res.AppendHeader(sip.NewHeader("Allow", allowed))
	res.AppendHeader(sip.NewHeader("User-Agent", c.phone.set.agentName))
	if len(body) > 0 {
		res.AppendHeader(sip.NewHeader("Content-Type", mediaType))
		res.SetBody(body)
	}
	return res
}

// expectACK opens the place where the ACK of a 2xx is put.
func (c *Call) expectACK(seq uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaiting[seq] = make(chan *sip.Request, 1)
}

// holdFor2xx repeats a 2xx until its ACK comes, on every transport (RFC 3261 §13.3.1.4), takes the answer out of the
// ACK where the 2xx held the offer, and ends the call when no ACK comes for 32 s.
func (c *Call) holdFor2xx(tx *sip.ServerTx, seq uint32, res *sip.Response, confirmed chan struct{}) {
	c.mu.Lock()
	arrived := c.awaiting[seq]
	c.mu.Unlock()
	interval, deadline := timerT1, time.NewTimer(giveUpTime)
	repeat := time.NewTimer(interval)
	defer deadline.Stop()
	defer repeat.Stop()
	for {
		select {
		case ack := <-arrived:
			c.acknowledged(ack, seq)
			close(confirmed)
			return
		case ack := <-tx.Acks(): // a peer that gave its ACK the INVITE's branch
			c.acknowledged(ack, seq)
			close(confirmed)
			return
		case <-repeat.C:
			interval = min(2*interval, timerT2)
			repeat.Reset(interval)
			if err := tx.Respond(res); err != nil {
				c.log.Info("200 not repeated", "error", err)
			}
		case <-deadline.C:
			close(confirmed)
			ctx, cancel := context.WithTimeout(c.phone.ctx, giveUpTime)
			defer cancel()
			_ = c.bye(ctx, "")
			return
		case <-c.over:
			close(confirmed)
			return
		case <-c.phone.ctx.Done():
			return
		}
	}
}

func (c *Call) acknowledged(ack *sip.Request, seq uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.awaiting, seq)
	if !c.offering || !strings.EqualFold(string(ack.Method), "ACK") {
		return
	}
	c.offering = false
	err := errNoAudio
	if hasSDP(ack) {
		if err = c.sdp.accept(ack.Body()); err == nil {
			err = c.applySDP()
		}
	}
	if err != nil {
		c.log.Warn("answer in the ACK not usable", "error", err)
	}
}
