package cluster

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// The store's server takes nothing any more once a write to its disk has failed: it ends JetStream (handleOutOfSpace of nats-server), or keeps
// the error for good (a stream of one replica), until its process is started anew. The switch goes on without it, as while any store is away.
// When there is room again, the server alone is started anew, inside of this process.

const (
	reopenEvery = time.Second
	// roomFor is how often in a row the disk must have been well: one that is emptied is not full again a moment later.
	roomFor = 2
)

// storeFault tells that the store's server has failed to write.
type storeFault struct{ atomic.Bool }

// note looks at what the server says of itself; it says so nowhere else.
func (s *storeFault) note(text string) {
	text = strings.ToLower(text)
	if strings.Contains(text, "critical write error") || strings.Contains(text, "will be disabled") || strings.Contains(text, "no space left") {
		s.Store(true)
	}
}

// watchStore starts the store's server anew after its disk was full, until ctx ends.
func (e *Engine) watchStore(ctx context.Context) {
	tick := time.NewTicker(reopenEvery)
	defer tick.Stop()
	told, well := false, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if e.server.Load().JetStreamEnabled() && !e.fault.Load() {
			told, well = false, 0
			continue
		}
		if !told {
			told = true
			e.tell(Event{Name: "store of this node has stopped", Alarm: true, Detail: "it could not write to its disk; it is started again when there is room"})
		}
		if well++; e.disk.state() != nil {
			well = 0
		}
		if well < roomFor {
			continue
		}
		if err := e.reopenStore(); err != nil {
			e.tell(Event{Name: "store of this node does not start again", Alarm: true, Detail: err.Error()})
			well = 0
			continue
		}
		e.tell(Event{Name: "store of this node runs again"})
	}
}

// reopenStore ends the store's server and starts another one in its place. Connections of this process find it by themselves. Replicas in
// memory are gone with the old one: the node that serves writes what it holds once more.
func (e *Engine) reopenStore() error {
	old := e.server.Load()
	old.Shutdown()
	old.WaitForShutdown()
	e.fault.Store(false)
	if err := e.startServer(); err != nil {
		e.fault.Store(true)
		return err
	}
	e.writer.doubtAll()
	return nil
}

// inProcess leads to the store's server of the moment.
type inProcess struct{ e *Engine }

func (p inProcess) InProcessConn() (net.Conn, error) {
	s := p.e.server.Load()
	if !s.Running() {
		return nil, fmt.Errorf("the store is being started")
	}
	return s.InProcessConn()
}

// doubtAll has everything written once more when the store takes records again.
func (w *writer) doubtAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.epoch == 0 {
		return
	}
	for name := range w.e.buckets {
		w.dropped[name] = true
	}
	if !w.degraded {
		w.degraded, w.probing, w.retried = true, true, time.Now()
	}
}
