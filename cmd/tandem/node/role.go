package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tandem/cluster"
)

// ErrDeposed is what Run returns when this node has served and another one does now. The rooms hold calls that are not theirs
// any more, so the node is built anew, and stands by.
var ErrDeposed = errors.New("another node of the cluster serves now")

// followEvery is how often a node that cannot follow yet tries again.
const followEvery = 50 * time.Millisecond

// stateAlarm is how long a node that shall serve waits for the state before it says so. It goes on waiting: who serves without
// the registrations and calls loses them.
const stateAlarm = 10 * time.Second

// member is the part of a node that belongs to a pair: it follows while it stands by, and goes on with everything when it is
// promoted. The engine calls the methods of cluster.Switch, one after the other.
type member struct {
	n       *Node
	begin   func() []*running // rooms that only the serving node has
	hot     chan *standby     // holds the following once it has read everything
	deposed chan struct{}     // closed by Demote
	rooms   []*running        // that begin has started; of the role's goroutine, and of Run when that has ended
}

func newMember(n *Node, begin func() []*running) *member {
	return &member{n: n, begin: begin, hot: make(chan *standby, 1), deposed: make(chan struct{})}
}

// run plays the role until ctx ends.
func (m *member) run(ctx context.Context) error {
	follow, stop := context.WithCancel(ctx)
	doubts := m.n.background("doubts", m.n.tellDoubts)
	debts := m.n.background("debts", m.n.payDebts)
	following := m.n.background("standby", func(context.Context) error { return m.follow(follow) })
	err := m.n.state.Play(ctx, m)
	stop()
	err = errors.Join(err, following.end(), doubts.end(), debts.end())
	select {
	case s := <-m.hot:
		s.close()
	default:
	}
	return err
}

// follow begins to follow as soon as the store can be read, and goes on with what this node has left undone.
func (m *member) follow(ctx context.Context) error {
	began := time.Now()
	retry := time.NewTicker(followEvery)
	defer retry.Stop()
	for {
		s, err := m.n.follow(ctx)
		if err == nil {
			m.n.standing.Store(s.calls)
			m.n.hot.Store(true)
			calls, ready := s.calls.Count()
			m.n.log.Info("synced", "room", "cluster", "registrations", m.n.registrations(), "calls", calls, "ready", ready, "took", time.Since(began))
			later := s.later
			m.hot <- s
			m.n.settleLater(ctx, later)
			return nil
		}
		m.n.log.Debug("node cannot follow yet", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-retry.C:
		}
	}
}

// Promote implements cluster.Switch.
func (m *member) Promote(ctx context.Context, epoch uint64) error {
	s, err := m.followed(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	m.n.serves.Store(&began)
	r, err := s.takeOver(ctx)
	if err != nil {
		m.hot <- s
		return fmt.Errorf("take over: %w", err)
	}
	m.n.log.Info("state taken over", "epoch", epoch, "registrations", m.n.registrations(), "calls", r.Calls, "ended", r.Ended, "took", time.Since(began))
	return nil
}

// followed waits until this node has read what the store has.
func (m *member) followed(ctx context.Context) (*standby, error) {
	alarm := time.NewTimer(stateAlarm)
	defer alarm.Stop()
	for {
		select {
		case s := <-m.hot:
			return s, nil
		case <-alarm.C:
			m.n.log.Error("this node shall serve and cannot read the state yet: it waits", "room", "cluster")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Serve implements cluster.Switch.
func (m *member) Serve(uint64) { m.rooms = m.begin() }

const (
	// endWithin bounds the wait for calls that are being set up, which a phone does as a rule in some milliseconds: meanwhile nobody else's is.
	endWithin = time.Second
	// finishWithin bounds the wait for requests that were taken: half a call that nobody knows of is worse than a planned change that is
	// late, and a call that waits for somebody else's word is let go of.
	finishWithin = 500 * time.Millisecond
	// yieldWithin bounds the wait for what is on its way to the store.
	yieldWithin = 200 * time.Millisecond
)

// Finish implements cluster.Switch.
func (m *member) Finish() {
	untilSettled(endWithin, m.n.layer.Settled, func() bool { return m.n.board.Settled() && !m.n.board.SettingUp() })
}

// Yield implements cluster.Switch. Nothing new is taken any more: what was taken reaches its call, which keeps what it must and answers.
func (m *member) Yield() {
	untilSettled(finishWithin, m.n.layer.Settled, m.n.board.Settled)
	m.n.state.Flush(yieldWithin)
}

// untilSettled waits until each of them is so, one after the other, at most for limit.
func untilSettled(limit time.Duration, each ...func() bool) {
	end := time.NewTimer(limit)
	defer end.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for _, settled := range each {
		for !settled() {
			select {
			case <-look.C:
			case <-end.C:
				return
			}
		}
	}
}

// Demote implements cluster.Switch.
func (m *member) Demote() {
	select {
	case <-m.deposed:
	default:
		close(m.deposed)
	}
}

// report is what the other members are told of this node; nothing before it is built.
func (n *Node) report() any {
	if !n.built.Load() {
		return nil
	}
	says := map[string]any{
		"version": n.opts.Version, "hot": n.hot.Load() && n.unread.count() == 0, "registrations": n.registrations(), "calls": n.board.Live(),
	}
	if s := n.standing.Load(); s != nil {
		_, says["standing"] = s.Count()
	}
	if d := n.opts.Directory; d != nil {
		says["directory"] = d.count()
	}
	return says
}

var _ cluster.Switch = (*member)(nil)
