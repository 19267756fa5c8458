package trunk

import (
	"context"
	"sync"
	"time"

	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// maxProbed bounds the targets that are asked in one round.
const maxProbed = 32

// probe asks every target whether it lives (RFC 3261 §11). Any answer but 408 and 503 is a sign of life: many carriers
// do not know OPTIONS. A challenge is answered, once: some carriers count those that are not.
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
	q := question{tag: sip.NewTag(), callID: sip.NewCallID()}
	for q.seq = 1; q.seq <= 2; q.seq++ {
		s := &probeSink{done: make(chan struct{})}
		if _, err := r.rooms.Sender.Send(f, r.options(f, &q), s); err != nil {
			r.post(probeEvent{h, false, err.Error()})
			return
		}
		select {
		case <-s.done:
			if q.seq == 1 && s.answer != nil && q.answers(r.Trunk, f, s.answer) {
				continue
			}
			r.post(probeEvent{h, s.answered, s.why})
		case <-ctx.Done():
			if r.ctx.Err() == nil {
				r.post(probeEvent{h, false, "OPTIONS was not answered in " + r.config.Probe.Timeout.Round(time.Millisecond).String()})
			}
		}
		return
	}
}

// question is one OPTIONS, and once more with credentials.
type question struct {
	tag, callID string
	seq         int
	session     digest.Session
	proof       [2]string // name and value of a header
}

// answers makes the credentials that a challenge asks for; false: none is asked for, or none is due.
func (q *question) answers(t *Trunk, f transport.Flow, m *sip.Message) bool {
	if m.Status() != 401 && m.Status() != 407 {
		return false
	}
	var err error
	q.proof[0], q.proof[1], err = t.Answer(&q.session, f, m, sip.OPTIONS, "sip:"+t.Config().Domain, nil)
	return err == nil
}

// options is the OPTIONS to a target.
func (r *runner) options(f transport.Flow, q *question) []byte {
	us := "<sip:" + contactHost(f) + ">"
	w := sip.NewWriter(make([]byte, 0, 512))
	w.Request(sip.OPTIONS, "sip:"+r.config.Domain)
	w.Set(sip.HeaderVia, f.Via(sip.NewBranch()))
	w.SetInt(sip.HeaderMaxForwards, 70)
	w.Set(sip.HeaderFrom, us+";tag="+q.tag)
	w.Set(sip.HeaderTo, "<sip:"+r.config.Domain+">")
	w.Set(sip.HeaderCallID, q.callID)
	w.Set(sip.HeaderCSeq, itoa(q.seq)+" OPTIONS")
	if q.proof[0] != "" {
		w.Add(q.proof[0], q.proof[1])
	}
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
	answer   *sip.Message // the final one; nil: none came
}

func (s *probeSink) Response(_ *transaction.Client, m *sip.Message) {
	if m.Status() < 200 {
		return
	}
	kept := *m
	s.end(m.Status() != 408 && m.Status() != 503, "OPTIONS: "+itoa(m.Status())+" "+m.Reason(), &kept)
}

func (s *probeSink) Failed(_ *transaction.Client, why transaction.Failure) {
	s.end(false, "OPTIONS: "+why.String(), nil)
}

func (s *probeSink) end(answered bool, why string, m *sip.Message) {
	s.once.Do(func() {
		s.answered, s.why, s.answer = answered, why, m
		close(s.done)
	})
}
