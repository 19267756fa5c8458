package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// signals are those that a switch is sent. They are heard from before it is built and while it is built anew, so that none is
// missed; those that ask for a reload wait apart, and crowd out none that asks for the end.
type signals struct{ ends, reloads chan os.Signal }

// hear begins to hear signals; stop ends it.
func hear() *signals {
	// Two ends are all there is to ask for: to drain, and to drain no longer. Of several reloads one is enough.
	s := &signals{make(chan os.Signal, 4), make(chan os.Signal, 1)}
	signal.Notify(s.ends, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(s.reloads, syscall.SIGHUP)
	return s
}

func (s *signals) stop() {
	signal.Stop(s.ends)
	signal.Stop(s.reloads)
}

// none waits, and tells whether nobody has asked for the end meanwhile.
func (s *signals) none(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ends:
	case <-ctx.Done():
	}
	return false
}

// until is a context that any signal of the end ends, for who has nothing to drain.
func (s *signals) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-s.ends:
				cancel()
			case <-s.reloads: // a witness has nothing to read anew
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(); <-done }
}
