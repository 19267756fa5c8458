package trunk

import (
	"crypto/subtle"
	"net/netip"
	"slices"
	"strings"

	"tandem/sip"
	"tandem/sip/transport"
)

// Match finds the trunk that a request outside dialogs comes over; nil: it is a stranger's. What a request says of itself
// (Via, From) counts for nothing: the contact that we registered, the address of the flow, and the name that its peer has
// proven over TLS do. Among several the registered line wins, then the narrowest address, then the order of names.
func (s *Set) Match(f transport.Flow, m *sip.Message) *Trunk {
	line := ""
	if u, err := sip.ParseURI(m.RequestURI()); err == nil {
		line, _ = u.Params.Get("line")
	}
	var best *Trunk
	narrow := -1
	for _, t := range s.table.Load().list {
		if t.isLine(line) {
			return t
		}
		if bits := t.takes(f); bits > narrow {
			best, narrow = t, bits
		}
	}
	return best
}

// isLine tells whether a request is for the contact that this trunk registered.
func (t *Trunk) isLine(line string) bool {
	return len(t.cfg.Load().Registers) > 0 && len(line) == len(t.line) && subtle.ConstantTimeCompare([]byte(line), []byte(t.line)) == 1
}

// takes tells how narrowly the trunk's Accept names the peer of a flow, in bits; -1: it does not.
func (t *Trunk) takes(f transport.Flow) int {
	cfg := t.cfg.Load()
	if !cfg.Accept.On {
		return t.registeredAt(f)
	}
	bits := 0
	if len(cfg.Accept.Names) > 0 {
		if !f.Proto().Secure() || !slices.ContainsFunc(f.Names(), func(n string) bool {
			return slices.Contains(cfg.Accept.Names, strings.ToLower(n))
		}) {
			return -1
		}
		if len(cfg.Accept.Addresses)+len(cfg.Accept.Hosts) == 0 {
			return 256 // a proven name says more than any address
		}
		bits = 256
	}
	addr := f.Remote().Addr().Unmap()
	t.mu.Lock()
	defer t.mu.Unlock()
	narrow := -1
	for _, p := range t.accepted {
		if p.Contains(addr) {
			narrow = max(narrow, p.Bits())
		}
	}
	if narrow < 0 {
		return -1
	}
	return bits + narrow
}

// registeredAt is takes for a trunk that says nothing of who may call: calls come from where it is registered. Some
// carriers lose the parameters of the contact, and the line with them. Over TLS the connection must be that of the
// registration, whose other end has proven its name.
func (t *Trunk) registeredAt(f transport.Flow) int {
	addr := f.Remote().Addr().Unmap()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.homes {
		if h.Addr.Addr().Unmap() == addr && (h.Proto != transport.TLS || f.Proto() == transport.TLS && f.Remote() == h.Addr) {
			return addr.BitLen()
		}
	}
	return -1
}

// Associates tells whether the carrier has said of a registration of ours that a number, E.164, belongs to it (P-Associated-URI,
// RFC 7315 §4.1): then it may be shown there.
func (t *Trunk) Associates(number string, home Home) bool {
	if number == "" {
		return false
	}
	cfg := t.cfg.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.regs {
		for _, uri := range r.Associated {
			if cfg.Inward(userOf(uri), home) == number {
				return true
			}
		}
	}
	return false
}

// accept puts the addresses in force from which calls are the carrier's: those of the configuration, and those that
// names have now. Names that have no answer keep what they had.
func (t *Trunk) accept(cfg *Config, found []netip.Addr) {
	all := slices.Clone(cfg.Accept.Addresses)
	for _, a := range found {
		all = append(all, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
	}
	t.mu.Lock()
	same := t.cfg.Load() != cfg || slices.Equal(t.accepted, all)
	if !same {
		t.accepted = all
	}
	t.mu.Unlock()
	if !same {
		t.moved()
	}
}
