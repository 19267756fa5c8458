package trunk

import (
	"net/netip"
	"slices"

	"tandem/sip/transport"
)

// peers are the addresses of all carriers at one time: it never changes.
type peers struct {
	addrs map[netip.Addr]struct{}
	nets  []netip.Prefix // wider than one address
}

// Knows tells whether an address is some carrier's: a target, or one that its calls come from. It is asked for every
// message that comes in, so it takes no lock.
func (s *Set) Knows(a netip.Addr) bool {
	p, a := s.known.Load(), a.Unmap()
	if _, ok := p.addrs[a]; ok {
		return true
	}
	for _, n := range p.nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// learn makes the addresses known that the trunks have now.
func (s *Set) learn() {
	s.learning.Lock() // who comes last sees the latest
	defer s.learning.Unlock()
	p := &peers{addrs: map[netip.Addr]struct{}{}}
	for _, t := range s.All() {
		t.mu.Lock()
		for _, h := range t.hops {
			p.addrs[h.Addr.Addr().Unmap()] = struct{}{}
		}
		for _, n := range t.accepted {
			if n.IsSingleIP() {
				p.addrs[n.Addr()] = struct{}{}
			} else if !slices.Contains(p.nets, n) {
				p.nets = append(p.nets, n)
			}
		}
		t.mu.Unlock()
	}
	s.known.Store(p)
}

// found takes the hops that a look-up gave.
func (t *Trunk) found(cfg *Config, hops []transport.Hop) {
	t.mu.Lock()
	if t.cfg.Load() != cfg {
		t.mu.Unlock()
		return
	}
	same := slices.Equal(t.hops, hops)
	t.hops = hops
	t.targets.Learn(slices.Concat(hops, t.edges))
	t.mu.Unlock()
	if !same {
		t.moved()
	}
}
