package phone

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// CallOptions are the details of one outgoing call. The zero value is an ordinary call.
type CallOptions struct {
	// LateOffer sends the INVITE without SDP; the answer goes in the ACK (RFC 3264 §5).
	LateOffer bool
	// CancelAfter cancels when there is no answer after this time.
	CancelAfter time.Duration
	// Headers are added to the INVITE.
	Headers []Header
	// From replaces the URI of the From header, to test what the switch makes of it.
	From string
	// Play is what to send from the start: a sound as Call.Play takes it. Empty is silence.
	Play string
	// Record names a WAV file for what is heard, early media included.
	Record string
	// OnProgress hears each provisional response above 100.
	OnProgress func(status int, reason string)
}

// Call dials and returns when the call is answered. On a refusal the error holds a *StatusError, and the Call is
// returned too, for its Report. When ctx ends first the call is cancelled.
func (p *Phone) Call(ctx context.Context, target string, o CallOptions) (*Call, error) {
	c, err := p.Dial(ctx, target, o)
	if err != nil {
		return nil, err
	}
	if err := c.WaitAnswered(ctx); err != nil {
		c.cancel()
		return c, err
	}
	return c, nil
}

// Dial sends the INVITE and returns at once; WaitRinging, WaitAnswered and Wait tell what becomes of it. ctx bounds
// only the sending.
func (p *Phone) Dial(ctx context.Context, target string, o CallOptions) (*Call, error) {
	peer, err := p.targetURI(target)
	if err != nil {
		return nil, err
	}
	audio, err := parseSound(o.Play)
	if err != nil {
		return nil, err
	}
	c, err := p.newCall(true, newUUID())
	if err != nil {
		return nil, err
	}
	c.Peer = peer
	from := p.aor()
	if o.From != "" {
		from = o.From
	}
	tag := sip.GenerateTagN(12)
	c.dialog = dialog{callID: c.ID, localTag: tag, local: quoteDisplay(p.set.Display) + "<" + from + ">;tag=" + tag,
		remote: "<" + peer + ">", target: peer}
	if o.Record != "" {
		err = c.stream.tape(o.Record)
	}
	if err == nil {
		err = p.addCall(c)
	}
	if err != nil {
		c.end(Ended{By: ByLocal, Reason: err.Error(), Err: err})
		return nil, err
	}
	c.stream.play(audio)
	v, err := c.invitation(o)
	if err != nil {
		c.end(Ended{By: ByLocal, Reason: err.Error(), Err: err})
		return nil, err
	}
	if !p.spawn(func() { c.invited(v, o) }) {
		c.end(Ended{By: ByLocal, Reason: errClosed.Error(), Err: errClosed})
		return nil, errClosed
	}
	return c, nil
}

// targetURI makes a Request-URI of an extension, a user@host or a URI.
func (p *Phone) targetURI(target string) (string, error) {
	if strings.ContainsAny(target, "\r\n\x00 <>\"") || target == "" {
		return "", fmt.Errorf("cannot call %q: want an extension, user@host or a SIP URI", target)
	}
	lower := strings.ToLower(target)
	for _, scheme := range []string{"sip:", "sips:", "tel:"} {
		if strings.HasPrefix(lower, scheme) {
			return target, nil
		}
	}
	if strings.Contains(target, "@") {
		return "sip:" + target, nil
	}
	if p.set.host == "" {
		return "", fmt.Errorf("cannot call %q without a server: want user@host", target)
	}
	return "sip:" + target + "@" + p.set.Domain, nil
}

func (c *Call) invitation(o CallOptions) (*invitation, error) {
	d := c.dialog.draft("INVITE")
	d.contact = c.phone.contactHeader()
	d.extra = append([]Header{{"Allow", allowed}, {"Accept", mediaType}}, o.Headers...)
	if c.phone.set.Outbound {
		d.extra = append(d.extra, Header{"Supported", "outbound"})
	}
	if !o.LateOffer {
		body, err := c.sdp.offer()
		if err != nil {
			return nil, err
		}
		d.body, d.bodyType = body, mediaType
	}
	v := &invitation{p: c.phone, c: c, d: d, seq: c.nextSeq, cancelled: c.cancelled}
	v.progress = func(res *sip.Response) { c.progress(res, o) }
	v.acknowledge = func(res *sip.Response) ([]byte, error) { return c.agreeOn(res, o.LateOffer) }
	return v, nil
}

// invited runs the INVITE to its end and turns its outcome into the call's.
func (c *Call) invited(v *invitation, o CallOptions) {
	if o.CancelAfter > 0 {
		timer := time.AfterFunc(o.CancelAfter, c.cancel)
		defer timer.Stop()
	}
	_, err := v.run(c.phone.ctx)
	var refused *StatusError
	switch {
	case err == nil:
		c.answers()
		select {
		case <-c.cancelled: // the answer crossed our CANCEL
			ctx, done := context.WithTimeout(c.phone.ctx, giveUpTime)
			defer done()
			_ = c.bye(ctx, "")
		default:
			c.checkMedia()
		}
	case errors.As(err, &refused):
		c.mu.Lock()
		c.status = refused.Code
		c.mu.Unlock()
		e := Ended{By: ByRemote, Status: refused.Code, Reason: refused.Reason, Cause: refused.Cause, Err: err}
		select {
		case <-c.cancelled:
			if refused.Code == 487 {
				e.By = ByLocal
			}
		default:
		}
		c.end(e)
	default:
		c.end(Ended{By: ByNobody, Reason: err.Error(), Err: err})
	}
}

// checkMedia ends a call whose answer could not be used: RFC 3261 §13.2.2.4 leaves nothing but ACK and BYE.
func (c *Call) checkMedia() {
	c.mu.Lock()
	usable := c.sdp.known
	c.mu.Unlock()
	if usable {
		return
	}
	ctx, done := context.WithTimeout(c.phone.ctx, giveUpTime)
	defer done()
	_ = c.bye(ctx, `SIP;cause=488;text="answer not usable"`)
}

func (c *Call) progress(res *sip.Response, o CallOptions) {
	c.mu.Lock()
	c.status = res.StatusCode
	c.dialog.respond(res)
	if hasSDP(res) && !o.LateOffer {
		// Each branch of a fork may bring an answer of its own; the latest is heard.
		err := c.sdp.accept(res.Body())
		if err == nil {
			err = c.applySDP()
		}
		if err != nil {
			c.log.Info("early answer not usable", "error", err)
		}
	}
	c.mu.Unlock()
	if res.StatusCode == 180 || res.StatusCode == 183 {
		c.rings()
	}
	if o.OnProgress != nil {
		o.OnProgress(res.StatusCode, res.Reason)
	}
}

// agreeOn takes the SDP of the 2xx: the answer, or with a late offer the offer, of which the answer is returned for
// the ACK. A 2xx without SDP confirms what a 183 said.
func (c *Call) agreeOn(res *sip.Response, late bool) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = res.StatusCode
	if !hasSDP(res) {
		if c.sdp.known && !late {
			return nil, nil
		}
		return nil, errNoAudio
	}
	var answer []byte
	var err error
	if late {
		answer, err = c.sdp.answer(res.Body())
	} else {
		err = c.sdp.accept(res.Body())
	}
	if err == nil {
		err = c.applySDP()
	} else {
		c.sdp.known = false
	}
	return answer, err
}
