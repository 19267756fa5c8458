package phone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"
)

// An invitation is one INVITE transaction of ours, first or again, from the first attempt to the ACK.
type invitation struct {
	p *Phone
	c *Call
	d draft
	// renews: the dialog stands, only its target may move (RFC 3261 §12.2.1.2).
	renews bool
	// seq gives each attempt its CSeq number.
	seq func() uint32
	// progress hears each provisional response above 100.
	progress func(*sip.Response)
	// acknowledge returns the body of the ACK, from the offer in the 2xx where ours had none.
	acknowledge func(*sip.Response) (body []byte, err error)

	req         *sip.Request // of the last attempt
	credentials []Header
	cancelled   chan struct{}
}

// errCancelled is returned for an INVITE that was cancelled and then refused.
var errCancelled = errors.New("cancelled")

// run returns the 2xx, already acknowledged, or an error; a *StatusError for a refusal.
func (v *invitation) run(ctx context.Context) (*sip.Response, error) {
	for answered := false; ; {
		branch := sip.GenerateBranchN(16)
		v.credentials = v.p.credentials.headers(v.d.method, v.d.target, v.d.body)
		req, err := v.p.request(v.d, v.seq(), branch, v.credentials)
		if err != nil {
			return nil, err
		}
		v.req = req
		res, err := v.attempt(ctx, req, branch)
		if err != nil {
			return nil, err
		}
		if res.IsSuccess() {
			return res, nil
		}
		select {
		case <-v.cancelled:
			return nil, statusError(v.d.method, res)
		default:
		}
		if again, err := v.p.challenged(res, &answered); err != nil {
			return nil, err
		} else if !again {
			return nil, statusError(v.d.method, res)
		}
	}
}

func (v *invitation) attempt(ctx context.Context, req *sip.Request, branch string) (*sip.Response, error) {
	tx, err := v.p.start(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("INVITE to %s: %w", req.Destination(), err)
	}
	accepted := make(chan *sip.Response, 1)
	tx.OnRetransmission(func(res *sip.Response) { v.again(res, accepted) })
	cancelled, giveUp, sent := v.cancelled, (<-chan time.Time)(nil), false
	provisional := false
	for {
		select {
		case res := <-tx.Responses():
			switch {
			case res.IsProvisional():
				provisional = true
				if res.StatusCode > 100 {
					v.progress(res)
				}
			case res.IsSuccess():
				v.accept(res, accepted) // tx lives on for 32 s to catch retransmissions, with no goroutine of ours
				return res, nil
			default:
				v.p.keepFinal(branch, req, res)
				tx.Terminate()
				return res, nil
			}
		case <-cancelled:
			// The CANCEL waits for a provisional response (RFC 3261 §9.1).
			cancelled, giveUp = nil, time.After(giveUpTime)
		case <-giveUp:
			tx.Terminate()
			return nil, errNoResponse
		case <-tx.Done():
			return nil, fmt.Errorf("INVITE to %s: %w", req.Destination(), transactionError(tx))
		case <-v.p.ctx.Done():
			return nil, errClosed
		}
		if cancelled == nil && v.cancelled != nil && provisional && !sent {
			sent = true
			v.p.spawn(func() { v.sendCancel(req) })
		}
	}
}

// accept acknowledges a first 2xx.
func (v *invitation) accept(res *sip.Response, accepted chan<- *sip.Response) {
	defer func() { accepted <- res }()
	v.c.mu.Lock()
	if v.renews {
		if target := contactURI(res); target != "" {
			v.c.dialog.target = target
		}
	} else {
		v.c.dialog.respond(res)
	}
	v.c.mu.Unlock()
	body, err := v.acknowledge(res)
	if err != nil {
		v.p.log.Warn("answer not usable", "call", v.c.ID, "error", err)
	}
	v.c.mu.Lock()
	d := v.c.dialog
	v.c.mu.Unlock()
	v.c.sendACK(d, v.req.CSeq().SeqNo, body, v.credentials)
}

// again hears every 2xx after the first: the same one, whose ACK got lost, or that of another branch of a fork, which
// is acknowledged and ended (RFC 3261 §13.2.2.4).
func (v *invitation) again(res *sip.Response, accepted chan *sip.Response) {
	v.p.spawn(func() {
		var first *sip.Response
		select {
		case first = <-accepted:
			accepted <- first
		case <-v.p.ctx.Done():
			return
		}
		if toTag(first) == toTag(res) {
			v.c.resendACK(v.req.CSeq().SeqNo)
			return
		}
		d := v.c.identity()
		d.respond(res)
		v.c.sendACK(d, v.req.CSeq().SeqNo, nil, v.credentials)
		bye := d.draft("BYE")
		seq := d.seq
		ctx, cancel := context.WithTimeout(v.p.ctx, giveUpTime)
		defer cancel()
		_, _ = v.p.exchange(ctx, bye, func() uint32 { seq++; return seq })
	})
}

func (v *invitation) sendCancel(invite *sip.Request) {
	cancel := v.p.hopByHop(sip.CANCEL, invite, invite.To().Value())
	ctx, done := context.WithTimeout(v.p.ctx, giveUpTime)
	defer done()
	if res, err := v.p.transact(ctx, cancel); err != nil {
		v.p.log.Info("CANCEL not answered", "call", v.c.ID, "error", err)
	} else if res.StatusCode != 200 {
		v.p.log.Info("CANCEL refused", "call", v.c.ID, "status", res.StatusCode)
	}
}

// hopByHop builds the CANCEL of an INVITE or the ACK of its failure: same Via, Request-URI and route
// (RFC 3261 §9.1 and §17.1.1.3).
func (p *Phone) hopByHop(method sip.RequestMethod, invite *sip.Request, to string) *sip.Request {
	req := sip.NewRequest(method, *invite.Recipient.Clone())
	req.AppendHeader(invite.Via().Clone())
	for _, route := range headerValues(invite, "Route", "") {
		req.AppendHeader(sip.NewHeader("Route", route))
	}
	maxForwards := sip.MaxForwardsHeader(70)
	req.AppendHeader(&maxForwards)
	req.AppendHeader(sip.NewHeader("From", invite.From().Value()))
	req.AppendHeader(sip.NewHeader("To", to))
	req.AppendHeader(sip.NewHeader("Call-ID", callID(invite)))
	req.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: method})
	req.SetBody(nil)
	req.SetTransport(invite.Transport())
	req.SetDestination(invite.Destination())
	req.Laddr = invite.Laddr
	return req
}

// keepFinal remembers how to acknowledge a refusal again. sipgo sends the first ACK, but before each further one it
// sleeps four seconds; so its transaction is ended, and what comes after arrives as a stray response.
func (p *Phone) keepFinal(branch string, invite *sip.Request, res *sip.Response) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for old, f := range p.finals {
		if now.After(f.until) {
			delete(p.finals, old)
		}
	}
	p.finals[branch] = final{ack: p.hopByHop(sip.ACK, invite, res.To().Value()), until: now.Add(giveUpTime)} // Timer D
}

// A final is the ACK of a refused INVITE, kept for as long as the refusal may be repeated.
type final struct {
	ack   *sip.Request
	until time.Time
}

// strayResponse gets what belongs to no transaction any more.
func (p *Phone) strayResponse(res *sip.Response) {
	defer p.recover("stray response")
	via, seq := res.Via(), res.CSeq()
	if via == nil || seq == nil || seq.MethodName != sip.INVITE || res.StatusCode < 300 {
		return
	}
	branch, _ := via.Params.Get("branch")
	p.mu.Lock()
	ack := p.finals[branch].ack
	p.mu.Unlock()
	if ack != nil {
		if err := p.write(ack.Clone()); err != nil {
			p.log.Info("ACK not sent", "error", err)
		}
	}
}
