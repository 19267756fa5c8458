package relay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNoPorts says that no pair of ports is free in the range (SIP: 503).
var ErrNoPorts = errors.New("relay: no free media ports")

// bindTries is how many pairs are tried when other programs sit on ports of our range.
const bindTries = 64

// maxAddresses bounds the local addresses with a free list of their own: as many as a machine may reasonably listen on.
const maxAddresses = 256

// A Pool hands out pairs of ports: RTP even, RTCP the odd one above. Each local address has the whole range for itself. The choice is
// random, for sprayers live on ports that can be foretold; math/rand/v2's source is ChaCha8 seeded by the system.
type Pool struct {
	away atomic.Bool // addresses need not be of this machine yet

	first, last uint16
	quarantine  func() time.Duration
	now         func() time.Time

	mu    sync.Mutex
	addrs map[netip.Addr]*shelf
}

// A shelf is the state of one address's ports. Every even port is in exactly one of: free, resting behind woken, in use.
type shelf struct {
	first   uint16    // of the range
	free    []uint16  // even numbers
	at      []uint16  // of each pair of the range: where it is in free, counted from one; 0: it is not
	resting []resting // oldest first; at most twice the range, so it needs no bound of its own
	woken   int       // so many at its head are free again
	used    map[uint16]struct{}
}

type resting struct {
	port  uint16
	until time.Time
}

// NewPool makes the pool of the pairs that lie wholly in first..last. quarantine is asked at each release.
func NewPool(first, last uint16, quarantine func() time.Duration, now func() time.Time) (*Pool, error) {
	first += first & 1
	if first == 0 || last <= first {
		return nil, fmt.Errorf("relay: port range %d-%d holds no even port with an odd one above", first, last)
	}
	return &Pool{first: first, last: last, quarantine: quarantine, now: now, addrs: make(map[netip.Addr]*shelf)}, nil
}

// take removes a random free port of addr. It belongs to the caller until give or rest.
func (p *Pool) take(addr netip.Addr) (uint16, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.shelf(addr)
	if err != nil {
		return 0, err
	}
	s.wake(p.now())
	if len(s.free) == 0 {
		return 0, ErrNoPorts
	}
	port := s.pull(rand.IntN(len(s.free)))
	s.used[port] = struct{}{}
	return port, nil
}

// give puts ports that were never spoken on back at once.
func (p *Pool) give(addr netip.Addr, ports []uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.addrs[addr]
	for _, port := range ports {
		if _, ok := s.used[port]; ok {
			delete(s.used, port)
			s.put(port)
		}
	}
}

// rest puts a port that was in use into quarantine, so that late packets of the old call do not meet a new one.
func (p *Pool) rest(addr netip.Addr, port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.addrs[addr]
	if _, ok := s.used[port]; !ok {
		return
	}
	delete(s.used, port)
	now := p.now()
	s.resting = append(s.resting, resting{port, now.Add(p.quarantine())})
	s.wake(now)
}

// wake moves what has rested long enough back to the free list. A quarantine that was shortened by a reload acts on
// what is released from then on.
func (s *shelf) wake(now time.Time) {
	for s.woken < len(s.resting) && !now.Before(s.resting[s.woken].until) {
		s.put(s.resting[s.woken].port)
		s.woken++
	}
	// Moved up only when half of it is gone: at a thousand calls a second there are many thousands.
	if s.woken > len(s.resting)/2 {
		s.resting = append(s.resting[:0], s.resting[s.woken:]...)
		s.woken = 0
	}
}

// put makes a pair free. One that is not of the range, but came with a call of another process, is done with.
func (s *shelf) put(port uint16) {
	if i := s.pair(port); i >= 0 {
		s.free = append(s.free, port)
		s.at[i] = uint16(len(s.free))
	}
}

// pull takes one out of free by its place there.
func (s *shelf) pull(place int) uint16 {
	port, last := s.free[place], s.free[len(s.free)-1]
	s.free[place] = last
	s.at[s.pair(last)] = uint16(place + 1)
	s.at[s.pair(port)] = 0
	s.free = s.free[:len(s.free)-1]
	return port
}

// pair numbers the pairs of the range; -1: it is not of them.
func (s *shelf) pair(port uint16) int {
	i := (int(port) - int(s.first)) / 2
	if port < s.first || i >= len(s.at) || (port-s.first)&1 != 0 {
		return -1
	}
	return i
}

func (p *Pool) shelf(addr netip.Addr) (*shelf, error) {
	if s := p.addrs[addr]; s != nil {
		return s, nil
	}
	if len(p.addrs) >= maxAddresses {
		return nil, fmt.Errorf("relay: more than %d local addresses", maxAddresses)
	}
	pairs := (int(p.last) - int(p.first) + 1) / 2
	s := &shelf{first: p.first, free: make([]uint16, 0, pairs), at: make([]uint16, pairs), used: make(map[uint16]struct{})}
	for i := range pairs {
		s.put(p.first + uint16(2*i))
	}
	p.addrs[addr] = s
	return s, nil
}

// InUse says whether addr:port is one of the ports that are in use now, RTP or RTCP. An unspecified local address stands for all.
func (p *Pool) InUse(addr netip.AddrPort) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for local, s := range p.addrs {
		if local == addr.Addr() || local.IsUnspecified() {
			if _, ok := s.used[addr.Port()&^1]; ok {
				return true
			}
		}
	}
	return false
}

// Count gives the pairs in use, in quarantine and free, over all addresses that were asked for so far.
func (p *Pool) Count() (used, resting, free int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for _, s := range p.addrs {
		s.wake(now)
		used += len(s.used)
		resting += len(s.resting) - s.woken
		free += len(s.free)
	}
	return used, resting, free
}

// open binds a random pair on addr. Pairs that another program holds are passed over and go back to the free list.
func (p *Pool) open(addr netip.Addr) (port uint16, rtp, rtcp *socket, err error) {
	var taken []uint16
	defer func() {
		if len(taken) > 0 {
			p.give(addr, taken)
		}
	}()
	for range bindTries {
		port, err = p.take(addr)
		if err != nil {
			return 0, nil, nil, err
		}
		rtp, rtcp, err = bindPair(addr, port, p.away.Load())
		if err == nil {
			return port, rtp, rtcp, nil
		}
		taken = append(taken, port)
		if !inUse(err) {
			return 0, nil, nil, fmt.Errorf("relay: bind %s: %w", netip.AddrPortFrom(addr, port), err)
		}
	}
	return 0, nil, nil, ErrNoPorts
}

// bindPair binds port for RTP and the one above for RTCP.
func bindPair(addr netip.Addr, port uint16, away bool) (rtp, rtcp *socket, err error) {
	rtp, err = bind(netip.AddrPortFrom(addr, port), openRTP, away)
	if err != nil {
		return nil, nil, err
	}
	rtcp, err = bind(netip.AddrPortFrom(addr, port+1), openRTCP, away)
	if err != nil {
		rtp.close()
		return nil, nil, err
	}
	return rtp, rtcp, nil
}
