package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Decides says who decides which node serves.
type Decides uint8

const (
	// ByVote is the majority of two switches and a witness.
	ByVote Decides = iota
	// ByHand is a person, where two machines have no witness; or the machine itself once Fence says that the other is off.
	ByHand
	// ByKeepalived is what keepalived, which moves the address, tells by `tandem cluster notify`.
	ByKeepalived
)

var errNotPlaying = errors.New("this node is not ready to take over yet")

// twin is what two machines without a witness have: a store each that is whole by itself, and a link between them.
//
// Three replicas with two machines would be a store that stands still when either dies, and forcing it to form anew takes its
// election time of 4 to 9 s. Two single stores that are written both need no election: see BenchmarkMirror.
type twin struct {
	e      *Engine
	turns  *turns
	link   *link
	mirror *mirror
	hand   atomic.Pointer[hand]
	began  time.Time
}

// startTwin starts what two machines without a witness have.
func (e *Engine) startTwin(ctx, run context.Context) (err error) {
	e.self = *e.member(e.cfg.Node)
	for _, b := range e.buckets {
		if err := e.makeStream(ctx, b); err != nil {
			return fmt.Errorf("bucket %s: %w", b.Name, err)
		}
	}
	single, err := lastEpoch(e.cfg.Dir)
	if err != nil {
		return err
	}
	t := &twin{e: e, began: time.Now()}
	e.twin = t
	if t.turns, err = openTurns(e.cfg.Dir, e.cfg.Node, single); err != nil {
		return err
	}
	if e.door, err = openDoor(e.cfg.Identity, e.names(), e.self.role(), e.mayJoin, e.cfg.Timers, e.log); err != nil {
		return err
	}
	if err := e.peers.listen(e); err != nil {
		return err
	}
	if t.link, err = e.openLink(); err != nil {
		return err
	}
	if t.mirror, err = newMirror(e, t.link); err != nil {
		return err
	}
	if err := e.Answer(renewTopic, e.renewFor); err != nil {
		return err
	}
	if err := e.keepAgreement(run); err != nil {
		return err
	}
	if err := e.startClocks(run); err != nil {
		return err
	}
	e.keepHealth(run)
	e.keeping.Go(func() { e.keepCertificate(run) })
	e.keeping.Go(e.door.turnAway)
	e.keeping.Go(func() { t.mirror.send(run) })
	e.keeping.Go(func() { t.mirror.settle(run) })
	e.keeping.Go(func() { t.link.talk(run, e.cfg.Timers/3) })
	e.keeping.Go(func() { e.peers.report(run, e) })
	e.keeping.Go(func() { t.keep(run) })
	return nil
}

// turnAway closes connections of a member that believes in a vote: its configuration is another one than ours.
func (d *door) turnAway() {
	for {
		c, err := d.Accept()
		if err != nil {
			return
		}
		d.log.Warn("the other node asks for a vote, and here nobody votes: the cluster blocks of the two differ", "peer", c.RemoteAddr())
		_ = c.Close()
	}
}

// publish gives a record to the store, or to both.
func (e *Engine) publish(m *nats.Msg) error {
	if e.twin != nil {
		return e.twin.mirror.publish(m)
	}
	return e.conn.PublishMsg(m)
}

// keep makes the other node whole as soon as it is there, while this one serves.
func (t *twin) keep(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			t.mirror.sweep(now)
			t.look(ctx)
		}
	}
}

func (t *twin) look(ctx context.Context) {
	epoch := t.e.lease.Epoch()
	w, ago, _, heard := t.link.last()
	switch {
	case epoch == 0:
		t.mirror.down("this node does not serve")
		return
	case !t.e.lease.Held():
		return // it asks whether it may go on
	case !heard || ago > t.silentAfter() || !t.link.conn.IsConnected():
		t.mirror.down("it is not heard")
		return
	case w.Serves || w.Turn.after(t.turns.get()):
		return // the role is being settled
	}
	t.mirror.mu.Lock()
	up := t.mirror.up
	t.mirror.mu.Unlock()
	if up != 0 {
		return
	}
	// The turn must say that we are not alone before the first write is answered that the other holds.
	if err := t.mirror.copyAll(ctx, epoch); err != nil {
		t.e.log.Warn("the other node could not be made whole: it is tried again", "err", err)
		return
	}
	t.alone(false, "")
}

// silentAfter is how long the other may be silent before it counts as gone.
func (t *twin) silentAfter() time.Duration { return max(4*t.e.cfg.Timers, 600*time.Millisecond) }

// alone notes that the other node does not hold every record, or that it does again.
func (t *twin) alone(alone bool, why string) {
	epoch := t.e.lease.Epoch()
	if epoch == 0 {
		return
	}
	if err := t.turns.alone(epoch, alone); err != nil {
		t.e.tell(Event{Name: "turn not written", Alarm: true, Detail: err.Error()})
	}
	peer := t.link.peer.Name
	if alone {
		t.e.tell(Event{Name: "replication degraded", Alarm: true, Detail: fmt.Sprintf("node %s does not hold the records any more: %s", peer, why)})
	} else {
		t.e.tell(Event{Name: "replication restored", Detail: fmt.Sprintf("node %s holds every record", peer)})
	}
}

// word is what the other node is told.
func (t *twin) word() word {
	w := word{Node: t.e.cfg.Node, Turn: t.turns.get()}
	w.Serves = t.e.lease.Epoch() != 0
	if t.mirror != nil {
		w.Holds, _, _ = t.mirror.state()
	}
	w.Ready = t.hand.Load() != nil
	return w
}

// heard takes the other's word: a turn that comes after ours ends it.
func (t *twin) heard(w word) {
	changed, err := t.turns.learn(w.Turn)
	if err != nil {
		t.e.tell(Event{Name: "turn not written", Alarm: true, Detail: err.Error()})
	}
	if !changed || w.Turn.Node == t.e.cfg.Node {
		return
	}
	if h := t.hand.Load(); h != nil {
		h.overtaken(w.Turn)
	}
}

// peerStatus is what is wrong between the two, for people.
func (t *twin) peerStatus(s *Status) {
	peer := t.link.peer.Name
	w, ago, at, heard := t.link.last()
	holds, since, copying := t.mirror.state()
	switch {
	case s.Epoch != 0 && copying:
		s.Copy = "copying"
		s.Problems = append(s.Problems, fmt.Sprintf("node %s is being given what it lacks", peer))
	case s.Epoch != 0 && holds:
		s.Copy = "whole"
	case s.Epoch != 0:
		s.Degraded, s.Copy = true, "none"
		s.Problems = append(s.Problems, fmt.Sprintf("this node has served alone since %s: node %s holds nothing newer", since.Format(time.RFC3339), peer))
	case heard && w.Serves && w.Holds:
		s.Copy = "whole"
	case heard && w.Holds:
		s.Copy = "whole until " + at.Format(time.RFC3339)
	default:
		s.Copy = "none"
	}
	if s.Epoch == 0 && (!heard || ago > t.silentAfter()) && t.e.cfg.Decides == ByHand {
		s.Problems = append(s.Problems, t.whySilent(at, heard))
	}
}

// whySilent is what a person must know before this node is promoted.
func (t *twin) whySilent(at time.Time, heard bool) string {
	peer, since := t.link.peer.Name, "since this node started"
	if heard {
		since = "since " + at.Format(time.RFC3339)
	}
	return fmt.Sprintf("node %s is not heard %s, and without a witness this node cannot tell a dead machine from a cut cable, so it does not promote itself: "+
		"make sure that %s is off, and run `tandem failover --force` here", peer, since, peer)
}

func (t *twin) close() {
	if t == nil {
		return
	}
	if t.link != nil {
		t.link.close()
	}
}
