package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// hand decides the role of one of two nodes without a witness: it obeys a person, keepalived, or a fence that has turned the
// other machine off, and decides by itself only what the two agree about while they hear each other.
type hand struct {
	e        *Engine
	t        *twin
	sw       Switch
	began    time.Duration // BootTime
	state    atomic.Pointer[string]
	since    atomic.Int64
	granted  atomic.Int64 // BootTime of the last grant
	doubted  atomic.Int64 // BootTime since when this node may not serve until it has asked; 0: it may
	yielding atomic.Bool
	granting sync.Mutex
	failover chan failoverRequest
	orders   chan order
	deposed  chan struct{} // room for one
	told     keepalivedWord
	outdone  atomic.Bool   // see keepalivedNote
	fenced   time.Duration // BootTime of the last fence that failed
	alarmed  bool
}

// order is what somebody tells this node; answer is called once.
type order struct {
	take   turn           // the serving node hands over in this turn
	force  bool           // a person promotes this node
	notify keepalivedWord // keepalived's state
	answer func(error)
}

// waiting is the state of a node that nobody serves beside, and that must not promote itself.
const waiting = "waiting"

// What a node that was stopped for a while, or whose interface was dead, waits for before it serves again: an answer of the
// other, or so long without one.
const doubtFor = time.Second

// goOnAlone is how long a node that had served alone listens for the other before it serves alone again.
const goOnAlone = 3 * time.Second

func (e *Engine) openHand() (*hand, error) {
	h := &hand{e: e, t: e.twin, began: BootTime(), failover: make(chan failoverRequest), orders: make(chan order, 8), deposed: make(chan struct{}, 1)}
	h.state.Store(ptr("starting"))
	if e.cfg.Decides == ByKeepalived {
		n, err := readKeepalived(e.cfg.Dir)
		if err != nil {
			return nil, err
		}
		h.told = n.State
		h.outdone.Store(n.Outdone)
	}
	return h, nil
}

func (h *hand) requests() chan<- failoverRequest { return h.failover }

func (h *hand) standing() (string, time.Time, string) {
	active := ""
	w, ago, _, heard := h.t.link.last()
	switch {
	case h.e.lease.Epoch() != 0:
		active = h.e.cfg.Node
	case heard && ago < h.t.silentAfter() && w.Serves:
		active = w.Node
	}
	return *h.state.Load(), time.Unix(0, h.since.Load()), active
}

func (h *hand) become(state string) {
	if *h.state.Load() == state {
		return
	}
	h.state.Store(ptr(state))
	h.since.Store(time.Now().UnixNano())
	h.e.tell(Event{Name: "role", Detail: state})
}

// run plays the role until ctx ends.
func (h *hand) run(ctx context.Context, sw Switch) error {
	h.sw = sw
	renewing, stop := context.WithCancel(context.Background())
	var renewer sync.WaitGroup
	renewer.Go(func() { h.renew(renewing) })
	h.t.hand.Store(h)
	defer func() {
		h.t.hand.Store(nil)
		stop()
		renewer.Wait()
		h.refuseOrders()
	}()
	h.become("standby")
	tick := time.NewTicker(h.e.cfg.Timers / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.deposed: // it did not serve
		case f := <-h.failover:
			_, _, active := h.standing()
			f.answer <- fmt.Errorf("this node is not the active one (%s is): ask there", orNobody(active))
		case o := <-h.orders:
			h.obey(ctx, h.newest(o))
		case <-tick.C:
			if ctx.Err() == nil {
				h.look(ctx)
			}
		}
	}
}

func (h *hand) refuseOrders() {
	for {
		select {
		case o := <-h.orders:
			o.answer(errNotPlaying)
		default:
			return
		}
	}
}

// facts are what rule decides by.
type facts struct {
	decides Decides
	me      string
	first   bool // this node serves when neither ever has
	last    turn
	alive   bool          // the other is heard
	word    word          // its last
	silent  time.Duration // since it was heard, or since this process began
	fence   Fence
	told    keepalivedWord
	outdone bool // and the other has been told so since
}

type verdict uint8

const (
	stays verdict = iota
	serves
	fences
)

// rule is what a node that does not serve does by itself.
func rule(f facts) verdict {
	ours := f.last.Node == f.me
	switch {
	case f.decides == ByKeepalived:
		if f.told == keepalivedMaster && !(f.outdone && f.alive && f.word.Serves) {
			return serves
		}
		return stays
	case f.alive && f.word.Serves:
		return stays
	case f.alive && f.last.Node == "":
		if f.first && f.word.Ready {
			return serves
		}
		return stays
	case f.alive:
		if ours {
			return serves
		}
		return stays
	case ours && f.last.Alone && f.silent > goOnAlone:
		return serves
	case !ours && f.fence.set() && f.word.Serves && f.word.Holds && f.silent > f.fence.After:
		return fences
	}
	return stays
}

func (h *hand) facts() facts {
	f := facts{decides: h.e.cfg.Decides, me: h.e.cfg.Node, last: h.t.turns.get(), fence: h.e.cfg.Fence, told: h.told, outdone: h.outdone.Load()}
	f.first = h.e.cfg.Preferred == f.me || h.e.cfg.Preferred == "" && h.e.cfg.Members[0].Name == f.me
	w, ago, _, heard := h.t.link.last()
	f.word, f.silent = w, ago
	if !heard {
		f.silent = BootTime() - h.began
	}
	f.alive = heard && ago <= h.t.silentAfter()
	return f
}

// look does what rule says, and tells when nobody serves.
func (h *hand) look(ctx context.Context) {
	f := h.facts()
	switch rule(f) {
	case serves:
		h.serve(ctx, turn{Epoch: f.last.Epoch + 1, Node: f.me, Alone: true}, func(error) {})
	case fences:
		h.fence(ctx, f)
	default:
		h.rest(f)
	}
}

// rest says how a node stands that stays where it is.
func (h *hand) rest(f facts) {
	switch {
	case f.alive && f.word.Serves, f.decides == ByKeepalived:
		h.alarmed = false
		h.become("standby")
	case !f.alive && f.silent > max(goOnAlone, 4*h.e.cfg.Timers) && !h.alarmed:
		h.alarmed = true
		h.become(waiting)
		_, _, at, heard := h.t.link.last()
		h.e.tell(Event{Name: "nobody serves", Alarm: true, Detail: h.t.whySilent(at, heard)})
	}
}

// fence turns the other machine off, and serves if that has worked and it is still silent.
func (h *hand) fence(ctx context.Context, f facts) {
	if h.fenced != 0 && BootTime()-h.fenced < fenceAgain {
		return
	}
	peer, epoch := h.t.link.peer.Name, f.last.Epoch+1
	h.e.tell(Event{Name: "fencing", Detail: fmt.Sprintf("node %s has been silent for %v: it is turned off", peer, f.silent.Round(time.Millisecond))})
	if err := h.e.cfg.Fence.run(ctx, peer, f.me, epoch); err != nil {
		h.fenced = BootTime()
		h.e.tell(Event{Name: "fence failed", Alarm: true, Detail: fmt.Sprintf("node %s could not be turned off, so this node does not promote itself: %v", peer, err)})
		return
	}
	h.fenced = 0
	if w := h.facts(); w.alive && w.word.Serves {
		return // it is back, so it was not turned off
	}
	h.serve(ctx, turn{Epoch: epoch, Node: f.me, Alone: true}, func(error) {})
}

// obey does what somebody says while this node does not serve.
func (h *hand) obey(ctx context.Context, o order) {
	f := h.facts()
	next := turn{Epoch: f.last.Epoch + 1, Node: f.me, Alone: true}
	switch {
	case o.take.Epoch != 0:
		h.serve(ctx, o.take, o.answer)
	case o.notify != "":
		h.told = o.notify
		h.outdone.Store(false)
		if o.notify != keepalivedMaster {
			o.answer(nil)
			return
		}
		h.serve(ctx, next, o.answer)
	case f.decides == ByKeepalived:
		o.answer(errors.New("keepalived decides which node serves: raise this node's priority there, or stop keepalived on the other one"))
	case f.alive && f.word.Serves:
		o.answer(fmt.Errorf("node %s is alive and serves: run `tandem failover` there", f.word.Node))
	default:
		h.serve(ctx, next, o.answer)
	}
}

// overtaken is called when the other serves in a later turn: from now on nothing leaves.
func (h *hand) overtaken(by turn) {
	if h.e.lease.Epoch() == 0 {
		return
	}
	h.revoke(true)
	h.e.log.Warn("another node serves: this one was deposed", "node", by.Node, "epoch", by.Epoch)
	if h.e.cfg.Decides == ByKeepalived {
		h.outdone.Store(true)
		if err := noteOutdone(h.e.cfg.Dir); err != nil {
			h.e.log.Warn("that keepalived has told the other node is not written", "err", err)
		}
	}
	select {
	case h.deposed <- struct{}{}:
	default:
	}
}

// asked is the serving node's request that this one take over.
func (h *hand) asked(t turn) error {
	if t.Node != h.e.cfg.Node || h.e.lease.Epoch() != 0 {
		return errors.New("it is not this node that shall serve")
	}
	if changed, err := h.t.turns.learn(t); err != nil || !changed {
		return fmt.Errorf("the turn was not written: %w", errors.Join(err, errNotPlaying))
	}
	select {
	case h.orders <- order{take: t, answer: func(error) {}}:
		return nil
	default:
		return errNotPlaying
	}
}
