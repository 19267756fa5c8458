package node

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/call"
	"tandem/cluster"
	"tandem/record"
	"tandem/registrar"
)

// standby is a node that follows the active one: its bindings are those of the active node, and the ports of every call are open here,
// with keys and counters, while its gates are shut.
type standby struct {
	n         *Node
	calls     *call.Standby
	followers [][]*cluster.Follower // those of a row come one after the other
	settings  atomic.Bool           // the store has some: the file of an earlier version is not needed
	claimed   claimed               // of the follower, and of takeOver when that has ended
	settled   []string              // claims of this node that nothing is left of
	later     claimed               // claims of this node that its disk does not take yet
	owed      []string              // their calls
}

// follow begins to stand by. It returns when all that the active node has kept so far is applied.
func (n *Node) follow(ctx context.Context) (*standby, error) {
	own, settled, err := n.ownClaims(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", bucketRecords, err)
	}
	s := &standby{n: n, calls: n.board.Standby(), claimed: claimed{}}
	if err := s.hold(ctx); err != nil {
		s.close()
		return nil, err
	}
	n.replica.Settle()
	s.settled = n.settleClaims(own, n.ledger.Settle)
	if err := n.ledger.Remember(); err != nil {
		n.log.Warn("call records cannot be read yet: who takes over tries again", "err", err)
	}
	if len(own) > 0 {
		for key, value := range own {
			s.owed = append(s.owed, call.Claimed(linesOf(key, value))...)
		}
		n.log.Error("records of calls that this node had claimed cannot be written yet: it tries again until they are", "calls", len(s.owed))
		s.later = own
	}
	n.backAgain(settled)
	return s, nil
}

// held is one bucket that is followed, and how many of its records are applied at a time while it is read.
type held struct {
	bucket string
	wide   int
	apply  func(cluster.Record)
}

// portsAtOnce is how many calls are made ready at a time: each waits for the loop that its ports belong to.
const portsAtOnce = 64

// hold follows every bucket, and returns when all have been read. They are read at the same time, but for the notes, which come after the
// calls that they are of.
func (s *standby) hold(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows := [][]held{
		{{bucketState, 1, s.setting}},
		{{bucketRegistrations, runtime.GOMAXPROCS(0), s.binding}},
		{{bucketCalls, portsAtOnce, s.call}, {bucketMedia, portsAtOnce, s.note}},
		{{bucketRecords, 1, s.claim}},
	}
	s.followers = make([][]*cluster.Follower, len(rows))
	failed := make([]error, len(rows))
	var reading sync.WaitGroup
	for i, row := range rows {
		reading.Go(func() {
			if s.followers[i], failed[i] = s.holdRow(ctx, row); failed[i] != nil {
				cancel()
			}
		})
	}
	reading.Wait()
	for _, err := range failed {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return errors.Join(failed...)
}

// holdRow follows buckets one after the other.
func (s *standby) holdRow(ctx context.Context, row []held) (followers []*cluster.Follower, err error) {
	for _, h := range row {
		began := time.Now()
		f, err := s.n.state.HoldWide(ctx, h.bucket, h.wide, h.apply)
		if err != nil {
			return followers, fmt.Errorf("follow %s: %w", h.bucket, err)
		}
		s.n.log.Debug("bucket read", "room", "cluster", "bucket", h.bucket, "took", time.Since(began))
		followers = append(followers, f)
	}
	return followers, nil
}

// lastWords bounds the reading of what was kept last. It is on this machine and takes a millisecond; where a second fault has taken
// the store away, the node goes on with what it has followed.
const lastWords = time.Second

// takeOver applies what was kept last and makes the calls live. The gates may be opened when it has returned.
func (s *standby) takeOver(ctx context.Context) (call.Revived, error) {
	last, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	if err := s.catchUp(last); ctx.Err() != nil {
		return call.Revived{}, ctx.Err()
	} else if err != nil {
		s.n.log.Error("the store cannot be read while this node takes over: it goes on with what it has followed, which may lack the last moment", "err", err)
	}
	s.stop()
	if !s.settings.Load() {
		s.n.takeOldState()
	}
	written, err := s.n.ledger.Written()
	if err != nil {
		s.n.log.Error("call records cannot be read: one may be written twice", "err", err)
	}
	for _, id := range s.owed {
		written[id] = true
	}
	if elsewhere := s.claimed.calls(s.n.state.Name()); len(elsewhere) > 0 {
		s.n.log.Warn("records of calls are in another node's file, or will be when it is back; for one that never will be: tandem cluster settle NODE", "calls", len(elsewhere))
		for _, id := range elsewhere {
			written[id] = true
		}
	}
	s.n.unclaimed.set(s.claimed.waits(s.n.state.Name()))
	for _, key := range s.settled {
		s.n.state.Put(cluster.Write{Bucket: bucketRecords, Key: key, Delete: true})
	}
	r := s.calls.Promote(s.n.attach, func(id string) bool { return written[id] })
	for _, err := range r.Failed {
		s.n.log.Error("a call could not be taken over", "err", err)
	}
	return r, nil
}

// catchUp applies what the store has until now, in the order of hold.
func (s *standby) catchUp(ctx context.Context) error {
	failed := make([]error, len(s.followers))
	var reading sync.WaitGroup
	for i, row := range s.followers {
		reading.Go(func() {
			for _, f := range row {
				failed[i] = errors.Join(failed[i], f.CatchUp(ctx))
			}
		})
	}
	reading.Wait()
	return errors.Join(failed...)
}

// stop ends the following.
func (s *standby) stop() {
	for _, f := range slices.Concat(s.followers...) {
		f.Close()
	}
	s.followers = nil
}

// close ends standing by without taking over.
func (s *standby) close() {
	s.stop()
	s.calls.Close()
}

func (s *standby) claim(r cluster.Record) { s.claimed.take(r) }

func (s *standby) setting(r cluster.Record) {
	if kind, _, _ := strings.Cut(r.Key, "/"); !slices.Contains([]string{keyMessage, keyLamp, keyACME}, kind+"/") {
		s.settings.Store(true)
	}
	s.n.remember(r)
}

func (s *standby) binding(r cluster.Record) {
	bindings := registrar.Record{AOR: r.Key}
	if !r.Deleted {
		if err := record.Unmarshal(r.Value, &bindings); err != nil || r.Version > newestForm {
			s.n.unread.note(r, true)
			s.n.log.Error("a registration cannot be followed", "aor", r.Key, "form", r.Version, "err", err)
			return
		}
	}
	s.n.unread.note(r, false)
	bindings.Here(time.Now(), r.Age)
	s.n.bindings.Apply(time.Now(), bindings, s.n.attach)
}

func (s *standby) call(r cluster.Record) {
	if r.Deleted {
		s.n.unread.note(r, false)
		s.calls.Delete(r.Key)
		return
	}
	err := error(nil)
	if r.Version > newestForm {
		err = fmt.Errorf("it is of form %d", r.Version)
	} else {
		err = s.calls.Put(r.Value, r.Age)
	}
	if s.n.unread.note(r, err != nil); err != nil {
		s.n.log.Error("a call cannot be followed", "call", r.Key, "err", err)
	}
}

func (s *standby) note(r cluster.Record) {
	id, leg, ok := strings.Cut(r.Key, "/")
	if r.Deleted || !ok || r.Version > newestForm {
		return
	}
	if err := s.calls.Note(id, leg, r.Value); err != nil {
		s.n.log.Error("streams of a call cannot be followed", "call", id, "err", err)
	}
}
