package relay

import "time"

// trusted is how long a loop goes by an answer of the gate. Asking costs as much as a tenth of a packet, so it is not done for each;
// but the time is read for each packet anyway, so who was stopped between two packets, for however long, asks again before the second.
const trusted = time.Millisecond

// A gate is the question whether this node serves, and the last answer.
type gate struct {
	held  func() bool // nil: it always does
	trust time.Duration
	asked time.Time
	open  bool
}

// Gate has the loops ask whether this node serves before they take a packet or send one by their clock. held must not block; an answer
// counts for a millisecond.
func (r *Relay) Gate(held func() bool) {
	r.pool.away.Store(true)
	for _, l := range r.loops {
		l.do(func() { l.gate = gate{held: held, trust: trusted} })
	}
}

// serves tells whether anything may leave at l.now. When this node ceases to serve, what has come in until then is thrown away unread:
// a process that was stopped must not send what waited meanwhile, not even when it serves again.
func (l *Loop) serves() bool {
	g := &l.gate
	if g.held == nil {
		return true
	}
	if since := l.now.Sub(g.asked); since < g.trust && since >= 0 {
		return g.open
	}
	was := g.open
	g.open, g.asked = g.held(), l.now
	if was && !g.open {
		l.discard()
	}
	return g.open
}

// still tells the same right before something is sent: a process may be stopped anywhere between the two, and then what it was about to
// send would be the first thing that it does when it goes on. What is left is the way from the clock into the kernel.
func (l *Loop) still() bool {
	g := &l.gate
	if g.held == nil {
		return true
	}
	now := time.Now()
	if since := now.Sub(g.asked); since < g.trust && since >= 0 {
		return g.open
	}
	if !g.held() {
		return false // serves finds so too, and throws away what waits
	}
	g.asked = now
	return true
}

// send sends one datagram, if this node still serves; false: it did not leave.
func (l *Loop) send(s *socket, b []byte, to *endpoint) bool { return l.still() && s.send(b, to) }
