package phone

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

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
		body, err = c.sdp.offer()
		c.offering = true
		c.invite.answer = body
		c.mu.Unlock()
		if err != nil {
			return errors.Join(err, c.Reject(500, phrase(500)))
		}
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
