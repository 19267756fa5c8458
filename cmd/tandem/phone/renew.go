package phone

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A Change is what a re-INVITE or UPDATE of ours asks for.
type Change struct {
	Direction Direction // sendrecv when empty
	// Blackhole writes c=0.0.0.0, as phones after RFC 2543 hold.
	Blackhole bool
	// LateOffer leaves the offer to the other side (re-INVITE only).
	LateOffer bool
	// ICERestart gathers anew and changes the ICE credentials (RFC 8839 §4.4.1.1.1); with WebRTC only.
	ICERestart bool
	Headers    []Header
}

// Hold asks the other side to listen only (sendonly); while it lasts this phone sends silence.
func (c *Call) Hold(ctx context.Context) error {
	return c.Reinvite(ctx, Change{Direction: SendOnly})
}

// RestartICE renegotiates with new candidates and credentials, as a browser does whose network changed.
func (c *Call) RestartICE(ctx context.Context) error {
	c.mu.Lock()
	peer, want := c.sdp.peer, c.sdp.want
	c.mu.Unlock()
	if peer == nil {
		return errors.New("ICE restart: the phone has no WebRTC")
	}
	return c.Reinvite(ctx, Change{Direction: want, ICERestart: true})
}

// Resume takes the call off hold.
func (c *Call) Resume(ctx context.Context) error { return c.Reinvite(ctx, Change{}) }

// Reinvite renegotiates by INVITE. Glare (491) is tried again after the waits of RFC 3261 §14.1, until ctx ends.
func (c *Call) Reinvite(ctx context.Context, change Change) error {
	return c.renegotiate(ctx, change, c.reinviteOnce)
}

// Update renegotiates by UPDATE (RFC 3311); glare is treated as in Reinvite.
func (c *Call) Update(ctx context.Context, change Change) error {
	return c.renegotiate(ctx, change, c.updateOnce)
}

func (c *Call) renegotiate(ctx context.Context, change Change, once func(context.Context, Change) error) error {
	if err := c.WaitAnswered(ctx); err != nil {
		return err
	}
	c.renewing.Lock()
	defer c.renewing.Unlock()
	if change.Direction == "" {
		change.Direction = SendRecv
	}
	for {
		err := once(ctx, change)
		var refused *StatusError
		if !errors.As(err, &refused) || refused.Code != 491 {
			return err
		}
		// The owner of the Call-ID waits 2.1 to 4 s, the other side up to 2 s.
		wait := time.Duration(rand.IntN(200)) * 10 * time.Millisecond
		if c.Outgoing {
			wait = 2100*time.Millisecond + time.Duration(rand.IntN(190))*10*time.Millisecond
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.over:
			timer.Stop()
			return c.failure()
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// propose opens an offer of ours and returns what to fall back to when it is refused.
func (c *Call) propose(change Change) (body []byte, before negotiator, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state != Answered:
		return nil, before, errEnded
	case c.offering || c.reanswering:
		return nil, before, &StatusError{Method: "offer", Code: 491, Reason: phrase(491)}
	}
	c.offering = true
	before = *c.sdp
	c.sdp.want, c.sdp.blackhole, c.sdp.restart = change.Direction, change.Blackhole, change.ICERestart
	if !change.LateOffer {
		if body, err = c.sdp.offer(); err != nil {
			c.offering, *c.sdp = false, before
		}
	}
	return body, before, err
}

// settle closes the offer. After a failure all but the version of the SDP is as before.
func (c *Call) settle(before negotiator, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offering = false
	if err == nil {
		return c.applySDP()
	}
	version := c.sdp.version
	*c.sdp = before
	c.sdp.version = version
	if c.sdp.peer != nil {
		c.sdp.peer.rollback()
	}
	return err
}

func (c *Call) reinviteOnce(ctx context.Context, change Change) error {
	body, before, err := c.propose(change)
	if err != nil {
		return err
	}
	c.mu.Lock()
	d := c.dialog.draft("INVITE")
	c.mu.Unlock()
	d.contact = c.phone.contactHeader()
	d.extra = append([]Header{{"Allow", allowed}}, change.Headers...)
	d.body, d.bodyType = body, mediaType
	cancelled := make(chan struct{})
	var useless error
	v := &invitation{p: c.phone, c: c, d: d, renews: true, seq: c.nextSeq, cancelled: cancelled,
		progress: func(*sip.Response) {}, acknowledge: func(res *sip.Response) ([]byte, error) {
			answer, err := c.agreeOn(res, change.LateOffer)
			useless = err
			return answer, err
		}}
	stop := context.AfterFunc(ctx, func() { close(cancelled) })
	defer stop()
	if _, err = v.run(c.phone.ctx); err == nil {
		err = useless
	}
	return c.settle(before, err)
}

func (c *Call) updateOnce(ctx context.Context, change Change) error {
	body, before, err := c.propose(change)
	if err != nil {
		return err
	}
	d := c.identity()
	request := d.draft("UPDATE")
	request.contact = c.phone.contactHeader()
	request.extra = append([]Header{{"Allow", allowed}}, change.Headers...)
	request.body, request.bodyType = body, mediaType
	res, err := c.phone.exchange(ctx, request, c.nextSeq)
	switch {
	case err == nil && !res.IsSuccess():
		err = statusError("UPDATE", res)
	case err == nil && body != nil:
		_, err = c.agreeOn(res, false)
	}
	return c.settle(before, err)
}
