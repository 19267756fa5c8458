package registrar

import (
	"context"
	"runtime/debug"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// Run lets bindings expire and pings those that need it, until ctx ends. It looks at one shard of the Store at a
// time, so that a round of all of them takes one keepalive interval and both kinds of work are spread evenly over it.
func (r *Registrar) Run(ctx context.Context) error {
	round := r.policy().Keepalive.Interval
	if round <= 0 {
		round = 25 * time.Second
	}
	step := round / storeShards
	tick := time.NewTicker(step)
	defer tick.Stop()
	p := pinger{r: r, most: max(int(int64(r.policy().Keepalive.Rate)*int64(step)/int64(time.Second)), 1)}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			p.step(time.Now())
		}
	}
}

// pinger goes round the shards.
type pinger struct {
	r    *Registrar
	next int // shard
	most int // pings of one step
	// flows of the last shard that are not pinged yet. It holds one shard's at most: while it is not empty no
	// other shard is looked at, and the round takes longer instead.
	flows []transport.Flow
	buf   []byte
}

// step looks at the next shard, or goes on with the last one.
func (p *pinger) step(now time.Time) {
	defer func() {
		if v := recover(); v != nil {
			p.r.log.Error("registrar round", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	if len(p.flows) == 0 {
		want := p.r.wantsPing
		if p.r.policy().Keepalive.Interval < 0 {
			want = nil
		}
		p.flows = p.r.store.sweep(p.next, now, p.flows[:0], want)
		p.next = (p.next + 1) % storeShards
	}
	n := min(len(p.flows), p.most)
	for _, f := range p.flows[:n] {
		// An error is the socket's and says nothing of the phone.
		if f.Send(p.ping(f)) == nil {
			p.r.count.pings.Add(1)
		}
	}
	p.flows = p.flows[n:]
}

// wantsPing picks the bindings whose NAT mapping depends on us.
func (r *Registrar) wantsPing(b *Binding) bool {
	return b.Flow.Valid() && b.Flow.Proto() == transport.UDP && len(b.Path) == 0 && (b.NAT || r.policy().Keepalive.All)
}

// ping is what is sent. The answer to an OPTIONS belongs to no transaction and is dropped.
func (p *pinger) ping(f transport.Flow) []byte {
	if !p.r.policy().Keepalive.Options {
		return append(p.buf[:0], "\r\n\r\n"...)
	}
	uri := "sip:" + f.Remote().String()
	w := sip.NewWriter(p.buf[:0])
	w.Request(sip.OPTIONS, uri)
	w.Set(sip.HeaderVia, f.Via(sip.NewBranch()))
	w.SetInt(sip.HeaderMaxForwards, 1)
	w.Set(sip.HeaderFrom, "<sip:ping@"+f.SentBy()+">;tag="+sip.NewTag())
	w.Set(sip.HeaderTo, "<"+uri+">")
	w.Set(sip.HeaderCallID, sip.NewCallID())
	w.Set(sip.HeaderCSeq, "1 OPTIONS")
	w.Finish("", nil)
	p.buf, _ = w.Bytes() // nothing in it comes from a phone
	return p.buf
}
