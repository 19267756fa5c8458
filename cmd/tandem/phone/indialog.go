package phone

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// A Message is a MESSAGE that came in (RFC 3428).
type Message struct {
	From string `json:"from"`
	Text string `json:"text"`
}

// keptMessages bounds what Messages returns; older ones are dropped.
const keptMessages = 100

// Messages are those received so far.
func (p *Phone) Messages() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Message(nil), p.messages...)
}

// handle gets every request, each in a goroutine of sipgo's.
func (p *Phone) handle(req *sip.Request, tx *sip.ServerTx) {
	defer p.recover("request")
	defer tx.TerminateGracefully()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.running.Add(1)
	p.mu.Unlock()
	defer p.running.Done()
	if req.From() == nil || req.To() == nil || req.CallID() == nil || req.CSeq() == nil || fromTag(req) == "" && req.Method == sip.INVITE {
		p.reply(req, tx, 400)
		return
	}
	if req.Method == sip.ACK {
		p.handleACK(req)
		return
	}
	if required := headerValues(req, "Require", ""); len(required) > 0 && req.Method != sip.CANCEL {
		p.reply(req, tx, 420, Header{"Unsupported", strings.Join(required, ", ")})
		return
	}
	if toTag(req) == "" {
		p.handleOutside(req, tx)
		return
	}
	c := p.call(dialogKey{callID(req), toTag(req)})
	if c == nil || c.identity().remoteTag != fromTag(req) {
		p.reply(req, tx, 481)
		return
	}
	c.handleInside(req, tx)
}

func (p *Phone) handleOutside(req *sip.Request, tx *sip.ServerTx) {
	switch req.Method {
	case sip.INVITE:
		if len(req.Body()) > 0 && !hasSDP(req) {
			p.reply(req, tx, 415, Header{"Accept", mediaType})
			return
		}
		p.incomingCall(req, tx)
	case sip.OPTIONS:
		p.reply(req, tx, 200, Header{"Allow", allowed}, Header{"Accept", mediaType}, Header{"Contact", p.contactHeader()})
	case sip.MESSAGE:
		p.mu.Lock()
		p.messages = append(p.messages, Message{From: req.From().Address.String(), Text: string(req.Body())})
		if len(p.messages) > keptMessages {
			p.messages = p.messages[1:]
		}
		p.mu.Unlock()
		p.reply(req, tx, 200)
	case sip.NOTIFY, sip.CANCEL, sip.BYE, sip.INFO, sip.UPDATE:
		p.reply(req, tx, 481)
	default:
		p.reply(req, tx, 405, Header{"Allow", allowed})
	}
}

// handleInside keeps the order of CSeq (RFC 3261 §12.2.2): what is older than the last is refused with 500.
func (c *Call) handleInside(req *sip.Request, tx *sip.ServerTx) {
	seq := req.CSeq().SeqNo
	c.mu.Lock()
	old := c.dialog.remoteSeq != 0 && seq <= c.dialog.remoteSeq
	if !old {
		c.dialog.remoteSeq = seq
	}
	key := c.dialog.key()
	c.mu.Unlock()
	p := c.phone
	if old && req.Method != sip.CANCEL {
		p.reply(req, tx, 500)
		return
	}
	switch req.Method {
	case sip.INVITE:
		c.handleReinvite(req, tx)
	case sip.UPDATE:
		c.handleUpdate(req, tx)
	case sip.BYE:
		p.dropCall(key) // another BYE, however soon, meets no call
		p.reply(req, tx, 200)
		_, cause, text := reasonHeader(req)
		if text == "" {
			text = "hung up"
		}
		c.end(Ended{By: ByRemote, Reason: text, Cause: cause})
	case sip.INFO:
		c.handleInfo(req, tx)
	case sip.OPTIONS:
		p.reply(req, tx, 200, Header{"Allow", allowed}, Header{"Accept", mediaType})
	case sip.NOTIFY:
		p.reply(req, tx, 200)
		c.notified(req)
	case sip.MESSAGE:
		p.reply(req, tx, 200)
	case sip.CANCEL:
		p.reply(req, tx, 481)
	default:
		p.reply(req, tx, 405, Header{"Allow", allowed})
	}
}

func (c *Call) handleInfo(req *sip.Request, tx *sip.ServerTx) {
	kind := headerValue(req, "Content-Type", "c")
	key, ok := infoDigit(kind, req.Body())
	switch {
	case ok:
		c.stream.heardDigit(key)
	case len(req.Body()) > 0:
		c.phone.reply(req, tx, 415, Header{"Accept", infoRelay + ", " + infoPlain})
		return
	}
	c.phone.reply(req, tx, 200)
}

// retryAfter is the random wait of RFC 3261 §14.2 for an INVITE that came before the last one was answered.
func retryAfter() Header { return Header{"Retry-After", fmt.Sprint(rand.IntN(11))} }

// startAnswering refuses an offer that meets one of ours (491) or one still being answered (500).
func (c *Call) startAnswering() (refusal int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.offering:
		return 491
	case c.reanswering:
		return 500
	}
	c.reanswering = true
	return 0
}

func (c *Call) stopAnswering() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reanswering = false
}

func (c *Call) refuseOffer(req *sip.Request, tx *sip.ServerTx, code int) {
	if code == 500 {
		c.phone.reply(req, tx, code, retryAfter())
		return
	}
	c.phone.reply(req, tx, code)
}

// handleReinvite answers an offer in the dialog, or makes one when there is none, and waits for the ACK.
func (c *Call) handleReinvite(req *sip.Request, tx *sip.ServerTx) {
	if code := c.startAnswering(); code != 0 {
		c.refuseOffer(req, tx, code)
		return
	}
	late := !hasSDP(req)
	body, err := c.reanswer(req, late)
	if err != nil {
		c.stopAnswering()
		c.log.Info("re-INVITE refused", "error", err)
		c.phone.reply(req, tx, 488)
		return
	}
	seq := req.CSeq().SeqNo
	c.expectACK(seq)
	res := c.response(req, 200, phrase(200), body)
	// The next request may come as soon as the 200 is out.
	c.mu.Lock()
	c.reanswering, c.offering = false, late
	c.mu.Unlock()
	c.phone.respond(tx, res)
	c.holdFor2xx(tx, seq, res, make(chan struct{}))
}

func (c *Call) reanswer(req *sip.Request, late bool) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if target := contactURI(req); target != "" {
		c.dialog.target = target
	}
	if late {
		return c.sdp.offer()
	}
	body, err := c.sdp.answer(req.Body())
	if err == nil {
		err = c.applySDP()
	}
	return body, err
}

// handleUpdate is a re-INVITE without the ACK (RFC 3311); without SDP it only refreshes.
func (c *Call) handleUpdate(req *sip.Request, tx *sip.ServerTx) {
	if !hasSDP(req) {
		c.phone.respond(tx, c.response(req, 200, phrase(200), nil))
		return
	}
	if code := c.startAnswering(); code != 0 {
		c.refuseOffer(req, tx, code)
		return
	}
	body, err := c.reanswer(req, false)
	c.stopAnswering() // the next request may come as soon as the answer is out
	if err != nil {
		c.log.Info("UPDATE refused", "error", err)
		c.phone.reply(req, tx, 488)
		return
	}
	c.phone.respond(tx, c.response(req, 200, phrase(200), body))
}

func (p *Phone) handleACK(req *sip.Request) {
	c := p.call(dialogKey{callID(req), toTag(req)})
	if c == nil {
		return // of a refusal, on a stream, where sipgo has forgotten the INVITE by now
	}
	c.mu.Lock()
	arrived := c.awaiting[req.CSeq().SeqNo]
	c.mu.Unlock()
	select {
	case arrived <- req:
	default: // a repeated one
	}
}

// reply answers outside of a call's own responses.
func (p *Phone) reply(req *sip.Request, tx *sip.ServerTx, code int, headers ...Header) {
	res := sip.NewResponseFromRequest(req, code, phrase(code), nil)
	for _, h := range headers {
		res.AppendHeader(sip.NewHeader(h.Name, h.Value))
	}
	res.AppendHeader(sip.NewHeader("User-Agent", p.set.agentName))
	p.respond(tx, res)
}

func (p *Phone) respond(tx *sip.ServerTx, res *sip.Response) {
	if err := tx.Respond(res); err != nil {
		p.log.Info("response not sent", "status", res.StatusCode, "error", err)
	}
}
