package stir

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
)

const (
	mostKept    = 1024 // certificates, and URLs that had none: each has its own share, so that nobody's errors drive out what is good
	mostAtOnce  = 16   // fetches under way
	mostPerHost = 4    // of one host: one that drips must not hold up the others
	keptUsually = time.Hour
	keptAtLeast = time.Minute
	keptAtMost  = 24 * time.Hour
	failedFor   = 30 * time.Second
)

var errBusy = errors.New("too many certificates are being fetched")

// cache keeps certificates by their URLs. Whoever asks for one that is being fetched waits for that one fetch.
type cache struct {
	fetch fetcher
	read  func(text []byte, now time.Time) (*authority, error)

	mu      sync.Mutex // guards what follows
	good    map[string]kept
	bad     map[string]kept
	flights map[string]*flight
	hosts   map[string]int // fetches under way by host
	fetches uint64         // that were begun
}

// kept is what a fetch has brought.
type kept struct {
	authority *authority
	err       error
	until     time.Time
}

type flight struct {
	done chan struct{}
	kept kept
}

func newCache(fetch fetcher, read func([]byte, time.Time) (*authority, error)) *cache {
	return &cache{fetch: fetch, read: read, good: map[string]kept{}, bad: map[string]kept{}, flights: map[string]*flight{}, hosts: map[string]int{}}
}

// get is the authority behind a URL: of one fetch, or of the one before.
func (c *cache) get(ctx context.Context, now time.Time, u *url.URL) (*authority, error) {
	address := u.String()
	c.mu.Lock()
	if k, ok := c.good[address]; ok && now.Before(k.until) {
		c.mu.Unlock()
		return k.authority, nil
	}
	if k, ok := c.bad[address]; ok && now.Before(k.until) {
		c.mu.Unlock()
		return nil, k.err
	}
	f, flying := c.flights[address]
	if !flying {
		if len(c.flights) >= mostAtOnce || c.hosts[u.Host] >= mostPerHost {
			c.mu.Unlock()
			return nil, &unreachable{errBusy}
		}
		f = &flight{done: make(chan struct{}), kept: kept{err: &unreachable{errBusy}}}
		c.flights[address] = f
		c.hosts[u.Host]++
		c.fetches++
	}
	c.mu.Unlock()
	if flying {
		select {
		case <-f.done:
			return f.kept.authority, f.kept.err
		case <-ctx.Done():
			return nil, &unreachable{ctx.Err()}
		}
	}
	c.fly(ctx, now, u, f)
	return f.kept.authority, f.kept.err
}

// fly fetches, in the goroutine of the first who asked.
func (c *cache) fly(ctx context.Context, now time.Time, u *url.URL, f *flight) {
	address := u.String()
	defer close(f.done)
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.flights, address)
		if c.hosts[u.Host]--; c.hosts[u.Host] <= 0 {
			delete(c.hosts, u.Host)
		}
		if f.kept.authority != nil {
			delete(c.bad, address)
			keep(c.good, address, f.kept, now)
			return
		}
		delete(c.good, address)
		keep(c.bad, address, f.kept, now)
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, age, err := c.fetch(ctx, address)
	if err != nil {
		f.kept = kept{err: &unreachable{err}, until: now.Add(failedFor)}
		return
	}
	a, err := c.read(text, now)
	if err != nil {
		f.kept = kept{err: fmt.Errorf("%w: %w", errCredential, err), until: now.Add(failedFor)}
		return
	}
	if age == 0 {
		age = keptUsually
	}
	until := now.Add(min(max(age, keptAtLeast), keptAtMost))
	if a.until.Before(until) {
		until = a.until
	}
	f.kept = kept{authority: a, until: until}
}

// keep puts one more into a map of a bounded size: what is over goes first, and then whatever comes to hand.
func keep(m map[string]kept, address string, k kept, now time.Time) {
	if _, there := m[address]; !there && len(m) >= mostKept {
		for a, old := range m {
			if !now.Before(old.until) {
				delete(m, a)
			}
		}
		for a := range m {
			if len(m) < mostKept {
				break
			}
			delete(m, a)
		}
	}
	m[address] = k
}
