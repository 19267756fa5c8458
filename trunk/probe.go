package trunk

import (
	"context"
	"sync"
	"time"

	"tandem/sip"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// maxProbed bounds the targets that are asked in one round.
const maxProbed = 32

// probe asks every target whether it lives (RFC 3261 §11). Any answer but 408 and 503 is a sign of life: many carriers
// do not know OPTIONS, or ask for credentials, which a question of this kind is not worth.
func (r *runner) probe() {
	r.mu.Lock()
	hops := append([]transport.Hop(nil), r.hops[:min(len(r.hops), maxProbed)]...)
	r.mu.Unlock()
	if len(hops) == 0 { // the first look-up is under way
		r.spawn(func(ctx context.Context) {
			if hops, err := r.lookUp(ctx); err == nil {
				for _, h := range hops[:min(len(hops), maxProbed)] {
					r.probeHop(ctx, h)
				}
			}
		})
		return
	}
	for _, h := range hops {
		r.spawn(func(ctx context.Context) { r.probeHop(ctx, h) })
	}
}

// probeHop asks one target and waits for its answer, in a goroutine of its own.
func (r *runner) probeHop(ctx context.Context, h transport.Hop) {
	ctx, cancel := context.WithTimeout(ctx, r.config.Probe.Timeout)
	defer cancel()
	f, err := r.rooms.Network.Connect(ctx, h, 0)
	if err != nil {
		if r.ctx.Err() == nil && !isNoRoute(err) {
			r.post(probeEvent{h, false, "no connection"})
		}
		return
	}
	s := &probeSink{done: make(chan struct{})}
	if _, err := r.rooms.Sender.Send(f, r.options(f, h), s); err != nil {
		r.post(probeEvent{h, false, err.Error()})
		return
	}
	select {
	case <-s.done:
		r.post(probeEvent{h, s.answered, s.why})
	case <-ctx.Done():
		if r.ctx.Err() == nil {
			r.post(probeEvent{h, false, "OPTIONS was not answered in " + r.config.Probe.Timeout.Round(time.Millisecond).String()})
		}
	}
}

// options is the OPTIONS to a target.
func (r *runner) options(f transport.Flow, h transport.Hop) []byte {
	us := "<sip:" + contactHost(f) + ">"
	w := sip.NewWriter(make([]byte, 0, 512))
	w.Request(sip.OPTIONS, "sip:"+r.config.Domain)
	w.Set(sip.HeaderVia, f.Via(sip.NewBranch()))
	w.SetInt(sip.HeaderMaxForwards, 70)
	w.Set(sip.HeaderFrom, us+";tag="+sip.NewTag())
	w.Set(sip.HeaderTo, "<sip:"+r.config.Domain+">")
	w.Set(sip.HeaderCallID, sip.NewCallID())
	w.Set(sip.HeaderCSeq, "1 OPTIONS")
	w.Set(sip.HeaderContact, us)
	w.Set(sip.HeaderAccept, "application/sdp")
	w.Set(sip.HeaderUserAgent, r.rooms.Product)
	w.Finish("", nil)
	raw, _ := w.Bytes()
	return raw
}

// probeSink waits for the final answer to an OPTIONS.
type probeSink struct {
	once     sync.Once
	done     chan struct{}
	answered bool
	why      string
}

func (s *probeSink) Response(_ *transaction.Client, m *sip.Message) {
	if m.Status() < 200 {
		return
	}
	s.end(m.Status() != 408 && m.Status() != 503, "OPTIONS: "+itoa(m.Status())+" "+m.Reason())
}

func (s *probeSink) Failed(_ *transaction.Client, why transaction.Failure) {
	s.end(false, "OPTIONS: "+why.String())
}

func (s *probeSink) end(answered bool, why string) {
	s.once.Do(func() {
		s.answered, s.why = answered, why
		close(s.done)
	})
}
