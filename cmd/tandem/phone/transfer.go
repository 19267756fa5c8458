package phone

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// A referral is a REFER of ours that the other side works on (RFC 3515). It belongs to its Call's lock; done is closed with the
// last NOTIFY, or the end of the call.
type referral struct {
	progress []int
	done     chan struct{}
	ended    bool
}

var errTransferring = errors.New("another transfer is under way")

// Transfer asks the other side to call somebody else in place of this phone, and returns when that one has answered. The call
// is over then, or about to be. A failure is a *StatusError: of the REFER, or what the target said. The call goes on then.
func (c *Call) Transfer(ctx context.Context, target string) error {
	uri, err := c.phone.targetURI(target)
	if err != nil {
		return err
	}
	return c.refer(ctx, "<"+uri+">")
}

// TransferTo joins the other sides of two calls of this phone (RFC 5589 §7): that of c is asked to take this phone's place in
// the other call.
func (c *Call) TransferTo(ctx context.Context, other *Call) error {
	d := other.identity()
	return c.refer(ctx, "<"+d.target+"?Replaces="+url.QueryEscape(other.Replaces())+">")
}

// Replaces is the value of a Replaces header (RFC 3891) for this call, as another phone of the same extension may send it to
// take the call over.
func (c *Call) Replaces() string {
	d := c.identity()
	return d.callID + ";to-tag=" + d.remoteTag + ";from-tag=" + d.localTag
}

// TransferProgress lists the statuses that the other side has told of the last transfer.
func (c *Call) TransferProgress() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.referral == nil {
		return nil
	}
	return append([]int(nil), c.referral.progress...)
}

func (c *Call) refer(ctx context.Context, to string) error {
	if err := c.WaitAnswered(ctx); err != nil {
		return err
	}
	r := &referral{done: make(chan struct{})}
	c.mu.Lock()
	if c.referral != nil && !c.referral.ended {
		c.mu.Unlock()
		return errTransferring
	}
	c.referral = r
	c.mu.Unlock()
	d := c.identity()
	request := d.draft("REFER")
	request.contact = c.phone.contactHeader()
	request.extra = []Header{{"Refer-To", to}, {"Referred-By", "<" + c.phone.aor() + ">"}}
	res, err := c.phone.exchange(ctx, request, c.nextSeq)
	if err == nil && !res.IsSuccess() {
		err = statusError("REFER", res)
	}
	if err != nil {
		c.endReferral(r)
		return err
	}
	select {
	case <-r.done:
	case <-c.over:
	case <-ctx.Done():
		return fmt.Errorf("transfer not known to be done: %w", ctx.Err())
	}
	progress := c.TransferProgress()
	if n := len(progress); n > 0 && progress[n-1]/100 == 2 {
		return nil
	} else if n > 0 && progress[n-1] >= 300 {
		return &StatusError{Method: "transfer", Code: progress[n-1], Reason: phrase(progress[n-1])}
	}
	return errors.New("the call ended before the transfer was known to be done")
}

func (c *Call) endReferral(r *referral) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !r.ended {
		r.ended = true
		close(r.done)
	}
}

// notified takes a NOTIFY of how a transfer of ours goes: the status line of its message/sipfrag body counts.
func (c *Call) notified(req *sip.Request) bool {
	event := headerValue(req, "Event", "o")
	name, _, _ := strings.Cut(event, ";")
	fields := strings.Fields(string(req.Body()))
	if !strings.EqualFold(strings.TrimSpace(name), "refer") || len(fields) < 2 || fields[0] != "SIP/2.0" {
		return false
	}
	status, err := strconv.Atoi(fields[1])
	c.mu.Lock()
	r := c.referral
	if r == nil || r.ended || err != nil {
		c.mu.Unlock()
		return false
	}
	r.progress = append(r.progress, status)
	c.mu.Unlock()
	if state := headerValue(req, "Subscription-State", ""); status >= 200 || strings.HasPrefix(strings.ToLower(state), "terminated") {
		c.endReferral(r)
	}
	return true
}
