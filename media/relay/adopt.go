package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Adopt opens exactly the ports of a State, on an address that need not be here yet, and goes on where it stopped. Settings are those
// that were agreed; their cipher contexts are fresh, and told here what their keys were used for.
func (r *Relay) Adopt(s State, set Settings, near *Port, events func(Event)) (*Port, error) {
	if s.Web != nil {
		return r.adoptWeb(s, set, events)
	}
	local := s.Local.Addr()
	if err := r.pool.claim(local, s.Local.Port()); err != nil {
		return nil, err
	}
	rtp, rtcp, err := bindPair(local, s.Local.Port(), true)
	if err != nil {
		r.pool.give(local, []uint16{s.Local.Port()})
		return nil, fmt.Errorf("relay: bind %s: %w", s.Local, err)
	}
	p := r.newPort(s.Local, events, s.Out.SSRC, s.CName)
	p.rtcpIn, p.rtcpOut = s.ReportsIn, s.ReportsOut
	if set.Protect != nil {
		set.Protect.Resume(s.Protect)
	}
	if set.Unprotect != nil {
		set.Unprotect.Resume(s.Unprotect)
	}
	// In one visit to the loop: a node that begins to stand by has thousands of legs to open.
	err = r.place(p, rtp, rtcp, near, func() {
		p.configure(set)
		p.resume(s)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Resume brings a port that follows another process to a later State of it: one that stands by is told each second.
func (p *Port) Resume(s State) error {
	var err error
	done := p.do(func() {
		if p.web != nil {
			if err = p.web.follow(p, s.Web); err != nil {
				return
			}
		}
		if c := p.set.Protect; c != nil {
			c.Resume(s.Protect)
		}
		if c := p.set.Unprotect; c != nil {
			c.Resume(s.Unprotect)
		}
		p.resume(s)
	})
	return errors.Join(done, err)
}

// resume puts the streams where they were. The window for learning is open, as after signalling: while nobody was here the peer
// may have come behind another port.
func (p *Port) resume(s State) {
	now := p.loop.now
	moved := p.source.latched != s.Latched
	p.source.latched, p.source.rank, p.source.heard, p.source.reopened = s.Latched, rank(s.Rank), now, true
	p.control.latched, p.control.until = s.Control, now.Add(learningRTCP)
	p.in.Resume(s.In)
	p.inSSRC = false
	p.out.resume(s.Out, now.Sub(s.At), now, p.set.Protect != nil)
	p.noted.at = now
	p.expect()
	p.aim()
	if p.web != nil {
		return
	}
	switch {
	case !moved || !s.Latched.IsValid():
	case p.loop.serves():
		p.connect()
	default: // who stands by sends nothing, and has not the address to connect from
		p.disconnect()
	}
	p.reconnect = p.conn == nil && s.Latched.IsValid()
}

// connectLate gives the latched peer its own socket when its first packet shows that the address is here now.
func (p *Port) connectLate() {
	p.reconnect = false
	if p.conn == nil {
		p.connect()
	}
}

const (
	// leapRate is what a port may have sent of its own each second after its last note: telephone-events beside a player.
	leapRate = 100
	// leapLeast covers what was sent between a note and the end that came with it.
	leapLeast = 256
	// leapMost keeps a leap far below half a round of the sequence, where a peer would take it for a step back.
	leapMost = 1 << 14
)

// leap is by how much sequence numbers of our own must be raised after a note: nothing that was sent meanwhile may be sent again with
// another content under the same key.
func leap(since time.Duration) uint16 {
	return uint16(min(leapLeast+int64(max(since, 0).Seconds()*leapRate), leapMost))
}

// before is the stream that a port relayed in another process.
type before struct {
	ssrc     uint32
	seqShift uint16
	tsShift  uint32
}

// resume goes on with the stream of another process, which was noted so long ago. secured: its numbers must not be used twice.
func (o *outbound) resume(s Outbound, ago time.Duration, now time.Time, secured bool) {
	o.SSRC, o.seq, o.ts, o.begun, o.at = s.SSRC, s.Seq, s.TS, s.Begun, now.Add(-max(now.Sub(s.At), 0))
	o.Packets, o.Octets = s.Packets, s.Octets
	o.own, o.feeder, o.before, o.leap = false, nil, nil, min(s.Leap+leap(ago), leapMost)
	if s.Feeding {
		o.before = &before{s.Feeder, s.SeqShift, s.TSShift}
		if secured { // a key press of ours may have shifted the stream after the note
			o.before.seqShift += leapLeast
		}
	}
}

// leapNow raises the numbers before the first packet of a new speaker.
func (o *outbound) leapNow() {
	o.seq += o.leap
	o.leap, o.before = 0, nil
}

// goesOn takes up the stream that was relayed before, if this packet of p is of it: by its SSRC, and by a number ahead of the last.
func (o *outbound) goesOn(p *Port, ssrc uint32, seq uint16) bool {
	b := o.before
	if b == nil || b.ssrc != ssrc || int16(seq+b.seqShift-o.seq) <= 0 {
		return false
	}
	o.own, o.feeder, o.ssrc, o.restarts, o.floor = false, p, ssrc, p.in.Restarts, seq
	o.seqShift, o.tsShift = b.seqShift, b.tsShift
	o.leap, o.before = 0, nil
	return true
}

// claim takes one port of addr out of the free ones, or out of its rest: it was this call's.
func (p *Pool) claim(addr netip.Addr, port uint16) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.shelf(addr)
	if err != nil {
		return err
	}
	if _, taken := s.used[port]; taken {
		return fmt.Errorf("relay: port %d of %s is in use already", port, addr)
	}
	if i := s.pair(port); i >= 0 && s.at[i] > 0 {
		s.pull(int(s.at[i]) - 1)
	}
	for i := s.woken; i < len(s.resting); i++ {
		if s.resting[i].port == port {
			s.resting = append(s.resting[:i], s.resting[i+1:]...)
			break
		}
	}
	s.used[port] = struct{}{}
	return nil
}
