package phone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A State is how far a call has come.
type State string

const (
	Calling  State = "calling"
	Ringing  State = "ringing"
	Answered State = "answered"
	Over     State = "over"
)

// Who ended a call.
const (
	ByLocal  = "local"
	ByRemote = "remote"
	ByNobody = "nobody" // a timeout or a lost connection
)

// Ended tells how a call came to its end.
type Ended struct {
	By     string `json:"by"`
	Status int    `json:"status,omitempty"` // of the refusal, 0 after a BYE
	Reason string `json:"reason"`           // phrase of the refusal, text of the Reason header, or what happened
	// Cause is the Q.850 cause of a Reason header (RFC 3326), 0 without one.
	Cause int   `json:"cause,omitempty"`
	Err   error `json:"-"` // why an outgoing call failed
}

// A Call is one dialog with its media, or the attempt at one. Its methods may be used by several goroutines.
type Call struct {
	ID       string // Call-ID
	Outgoing bool
	Peer     string // the URI called, or that of the caller's From

	phone  *Phone
	log    *slog.Logger
	stream *stream
	// cancelled is closed when this phone's own CANCEL is wanted, or when the caller's came in.
	cancelled chan struct{}
	cancel    func() // closes it, once

	ringing, answered, over chan struct{}

	mu       sync.Mutex
	state    State
	status   int // last provisional or final status of an outgoing INVITE
	dialog   dialog
	sdp      *negotiator
	ended    Ended
	began    time.Time
	started  time.Time // answered
	finished time.Time
	early    Early
	invite   *incomingInvite              // of an incoming call
	acks     map[uint32]*sip.Request      // sent, by CSeq number, to be repeated
	awaiting map[uint32]chan *sip.Request // ACKs this side waits for, by CSeq number
	// offering: an offer of ours is open. reanswering: a re-INVITE of the other side is being answered.
	offering    bool
	reanswering bool
	referral    *referral  // the last REFER of ours
	renewing    sync.Mutex // one Hold, Resume or Update of ours at a time
}

// Early is what was heard before the answer.
type Early struct {
	Packets int   `json:"packets"`
	Sound   Sound `json:"sound"`
}

func (p *Phone) newCall(outgoing bool, id string) (*Call, error) {
	c := &Call{ID: id, Outgoing: outgoing, phone: p, state: Calling, began: time.Now(),
		log:       p.log.With("call", id),
		cancelled: make(chan struct{}), ringing: make(chan struct{}), answered: make(chan struct{}), over: make(chan struct{}),
		acks: map[uint32]*sip.Request{}, awaiting: map[uint32]chan *sip.Request{}}
	c.cancel = sync.OnceFunc(func() { close(c.cancelled) })
	if p.set.WebRTC {
		peer, err := newPeer(p.set.codecs, p.set.local.Addr(), p.set.ICETCP, c.log)
		if err != nil {
			return nil, err
		}
		c.stream = newPeerStream(peer, c.log)
		c.sdp = &negotiator{codecs: p.set.codecs, want: SendRecv, peer: peer}
		return c, nil
	}
	stream, err := newStream(p.set.local.Addr(), c.log)
	if err != nil {
		return nil, err
	}
	c.stream = stream
	c.sdp, err = newNegotiator(p.set.SRTP, p.set.codecs, p.set.local.Addr(), stream.port())
	if err != nil {
		stream.close()
		return nil, err
	}
	return c, nil
}

// State returns how far the call has come.
func (c *Call) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *Call) identity() dialog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dialog
}

func (c *Call) nextSeq() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialog.seq++
	return c.dialog.seq
}

// rings moves a call on to Ringing.
func (c *Call) rings() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == Calling {
		c.state = Ringing
		close(c.ringing)
	}
}

// answers moves a call on to Answered and notes what had been heard until then.
func (c *Call) answers() {
	early := c.stream.early()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == Over || c.state == Answered {
		return
	}
	if c.state == Calling {
		close(c.ringing)
	}
	c.early = early
	c.state, c.started = Answered, time.Now()
	close(c.answered)
}

// end finishes the call once; only the first Ended counts.
func (c *Call) end(e Ended) {
	early := c.stream.early()
	c.mu.Lock()
	if c.state == Over {
		c.mu.Unlock()
		return
	}
	if c.state != Answered {
		c.early = early
	}
	c.state, c.ended, c.finished = Over, e, time.Now()
	key := c.dialog.key()
	c.mu.Unlock()
	c.phone.dropCall(key)
	c.stream.close()
	close(c.over)
	c.log.Info("call over", "by", e.By, "status", e.Status, "reason", e.Reason)
}

func (c *Call) isOver() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

// wait returns when the channel closes, or why it will not.
func (c *Call) wait(ctx context.Context, ch <-chan struct{}, what string) error {
	select {
	case <-ch:
		return nil
	default:
	}
	select {
	case <-ch:
		return nil
	case <-c.over:
		select {
		case <-ch: // both at once
			return nil
		default:
		}
		return fmt.Errorf("not %s: %w", what, c.failure())
	case <-ctx.Done():
		return fmt.Errorf("not %s: %w", what, ctx.Err())
	}
}

func (c *Call) failure() error {
	e := c.Ended()
	if e.Err != nil {
		return e.Err
	}
	return fmt.Errorf("%w by %s: %s", errEnded, e.By, e.Reason)
}

// WaitRinging returns when the other side rings or answers.
func (c *Call) WaitRinging(ctx context.Context) error { return c.wait(ctx, c.ringing, "ringing") }

// WaitAnswered returns when the call is answered, or the reason why it is not; a *StatusError inside it when it was
// refused.
func (c *Call) WaitAnswered(ctx context.Context) error { return c.wait(ctx, c.answered, "answered") }

// Wait returns when the call is over.
func (c *Call) Wait(ctx context.Context) (Ended, error) {
	select {
	case <-c.over:
		return c.Ended(), nil
	case <-ctx.Done():
		return Ended{}, fmt.Errorf("call not over: %w", ctx.Err())
	}
}

// Done is closed when the call is over.
func (c *Call) Done() <-chan struct{} { return c.over }

// Ended tells how the call ended; its By is empty while it has not.
func (c *Call) Ended() Ended {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Hangup ends the call the way its state asks for: CANCEL or 603 before the answer, BYE after it. It returns when the
// other side has confirmed; the call is over in any case then.
func (c *Call) Hangup(ctx context.Context) error { return c.HangupReason(ctx, "") }

// HangupReason is Hangup with a Reason header (RFC 3326), such as `Q.850;cause=16;text="Normal call clearing"`.
func (c *Call) HangupReason(ctx context.Context, reason string) error {
	c.mu.Lock()
	state := c.state
	c.mu.Unlock()
	switch {
	case state == Over:
		return nil
	case state == Answered:
		return c.bye(ctx, reason)
	case c.Outgoing:
		c.cancel()
		select {
		case <-c.over:
		case <-c.answered: // the 2xx crossed the CANCEL
			return c.bye(ctx, reason)
		case <-ctx.Done():
			return ctx.Err()
		}
		return nil
	}
	err := c.Reject(603, phrase(603))
	if errors.Is(err, errAlreadyAnswered) && !c.isOver() { // our 200 is just on its way
		return c.bye(ctx, reason)
	}
	return err
}

func (c *Call) bye(ctx context.Context, reason string) error {
	// A callee waits for the ACK before it may say BYE (RFC 3261 §15).
	c.mu.Lock()
	invite := c.invite
	c.mu.Unlock()
	if invite != nil {
		select {
		case <-invite.confirmed:
		case <-c.over:
			return nil
		case <-ctx.Done():
		}
	}
	if c.isOver() {
		return nil
	}
	d := c.identity()
	request := d.draft("BYE")
	if reason != "" {
		request.extra = append(request.extra, Header{"Reason", reason})
	}
	res, err := c.phone.exchange(ctx, request, c.nextSeq)
	c.end(Ended{By: ByLocal, Reason: "hung up"})
	switch {
	case err != nil && errors.Is(err, errClosed):
		return nil
	case err != nil:
		return err
	case !res.IsSuccess() && res.StatusCode != 481: // 481: the two BYEs crossed
		return statusError("BYE", res)
	}
	return nil
}

// sendACK acknowledges a 2xx and keeps the message for its repetitions.
func (c *Call) sendACK(d dialog, seq uint32, body []byte, credentials []Header) {
	request := d.draft("ACK")
	request.body, request.bodyType = body, mediaType
	ack, err := c.phone.request(request, seq, sip.GenerateBranchN(16), credentials)
	if err != nil {
		c.log.Warn("ACK not built", "error", err)
		return
	}
	c.mu.Lock()
	c.acks[seq] = ack.Clone()
	c.mu.Unlock()
	if err := c.phone.write(ack); err != nil {
		c.log.Warn("ACK not sent", "error", err)
	}
}

func (c *Call) resendACK(seq uint32) {
	c.mu.Lock()
	ack := c.acks[seq]
	c.mu.Unlock()
	if ack != nil {
		if err := c.phone.write(ack.Clone()); err != nil {
			c.log.Warn("ACK not sent", "error", err)
		}
	}
}

// applySDP hands what was agreed to the media. The caller holds mu.
func (c *Call) applySDP() error {
	return c.stream.apply(c.sdp.agreed, c.sdp.want != SendRecv && c.sdp.want != RecvOnly)
}
