package phone

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Timers of RFC 3261 appendix A that this phone runs itself: the rest are sipgo's.
const (
	timerT1    = 500 * time.Millisecond
	timerT2    = 4 * time.Second
	giveUpTime = 64 * timerT1
)

// exchange sends a request other than INVITE, answers one challenge (and one more when the nonce went stale), and
// returns the final response. next gives the CSeq number of each attempt.
func (p *Phone) exchange(ctx context.Context, d draft, next func() uint32) (*sip.Response, error) {
	for answered := false; ; {
		branch := sip.GenerateBranchN(16)
		req, err := p.request(d, next(), branch, p.credentials.headers(d.method, d.target, d.body))
		if err != nil {
			return nil, err
		}
		res, err := p.transact(ctx, req)
		if err != nil {
			return nil, fmt.Errorf("%s to %s: %w", d.method, req.Destination(), err)
		}
		if again, err := p.challenged(res, &answered); err != nil {
			return nil, err
		} else if !again {
			return res, nil
		}
	}
}

// challenged says whether to try again with credentials.
func (p *Phone) challenged(res *sip.Response, answered *bool) (bool, error) {
	if res.StatusCode != 401 && res.StatusCode != 407 {
		return false, nil
	}
	stale, err := p.credentials.learn(res)
	if errors.Is(err, errNoPassword) || *answered && !stale {
		return false, nil // the refusal itself is the answer
	}
	*answered = true
	return err == nil, err
}

// transact runs one non-INVITE transaction. It is ended at once after the final response: sipgo would keep it for
// Timer D instead of K, and a retransmitted response harms nobody.
func (p *Phone) transact(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	tx, err := p.start(ctx, req)
	if err != nil {
		return nil, err
	}
	defer tx.Terminate()
	if req.Method == sip.REGISTER {
		p.setFlow(tx.Connection())
	}
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
		case <-tx.Done():
			return nil, transactionError(tx)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.ctx.Done():
			return nil, errClosed
		}
	}
}

// open keeps Close waiting while a request goes out, and ends that request's dialling when Close comes.
func (p *Phone) open(ctx context.Context) (context.Context, func(), error) {
	p.sending.RLock()
	if p.ctx.Err() != nil {
		p.sending.RUnlock()
		return nil, nil, errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(p.ctx, cancel)
	return ctx, func() { stop(); cancel(); p.sending.RUnlock() }, nil
}

// start opens a client transaction.
func (p *Phone) start(ctx context.Context, req *sip.Request) (*sip.ClientTx, error) {
	ctx, done, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return p.agent.TransactionLayer().Request(ctx, req)
}

// write sends an ACK, which has no transaction.
func (p *Phone) write(req *sip.Request) error {
	ctx, done, err := p.open(p.ctx)
	if err != nil {
		return err
	}
	defer done()
	conn, err := p.agent.TransportLayer().ClientRequestConnection(ctx, req)
	if err != nil {
		return err
	}
	defer conn.TryClose()
	return conn.WriteMsg(req)
}

var (
	errNoResponse = errors.New("no response")
	errTransport  = errors.New("connection failed")
)

func transactionError(tx *sip.ClientTx) error {
	switch err := tx.Err(); {
	case errors.Is(err, sip.ErrTransactionTimeout):
		return errNoResponse
	case errors.Is(err, sip.ErrTransactionTransport):
		return fmt.Errorf("%w: %w", errTransport, err)
	default:
		return errNoResponse
	}
}

// counter returns a CSeq source that goes on from *seq.
func counter(seq *atomic.Uint32) func() uint32 { return func() uint32 { return seq.Add(1) } }
