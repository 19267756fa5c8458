package relay

import (
	"net/netip"
	"time"

	"tandem/media/rtp"
	"tandem/media/secure"
)

// Stats is what one leg's media was so far.
type Stats struct {
	Local   netip.AddrPort
	Remote  netip.AddrPort // where packets go; invalid: nowhere
	Latched bool           // the peer was heard there
	Suite   secure.Suite   // of SRTP; zero: plain RTP, or no keys yet

	In, Out Direction
	RTT     time.Duration // 0: unknown

	Video *VideoStats // nil: there never was any

	ReportsIn, ReportsOut uint64 // RTCP
	SSRCChanges           uint64
	Drops                 Drops // of what the peer, or anybody, sent to this leg
}

// VideoStats is what passed between this browser and another one.
type VideoStats struct {
	In, Out  Flow
	Feedback uint64 // RTCP packets that the browser was sent of the other's
}

// A Direction is one stream as its receiver heard it: In by us, Out by the peer, from its reports.
type Direction struct {
	Packets, Octets uint64 // Octets: payload only
	Lost            uint64
	Jitter          time.Duration
	MOS             rtp.MOS // zero: unknown
}

// Stats is a copy of the counters at this moment.
func (p *Port) Stats() (s Stats) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	p.loop.do(func() { s = p.stats() })
	return s
}

func (p *Port) stats() Stats {
	s := Stats{
		Local: p.local, Remote: p.dest.addr, Latched: p.source.latched.IsValid(), RTT: p.rtt,
		ReportsIn: p.rtcpIn, ReportsOut: p.rtcpOut, SSRCChanges: p.in.SSRCChanges,
	}
	if p.drops != nil {
		s.Drops = *p.drops
	}
	if p.set.Protect != nil {
		s.Suite = p.set.Protect.Suite()
	}
	if p.web != nil && p.web.video != nil {
		s.Video = &VideoStats{p.web.video.in, p.web.video.out, p.web.video.feedback}
	}
	name := "PCMA"
	if f, ok := find(p.set.Receive, Format.Audio); ok {
		name = f.Name
	}
	heard := rtp.ImpairmentOf(name)
	s.In = Direction{Packets: p.in.Packets, Octets: p.in.Octets, Lost: p.in.Lost(), Jitter: p.in.Jitter()}
	s.In.Packets += p.fax.packetsIn
	s.In.Octets += p.fax.bytesIn
	if p.in.Packets > 0 {
		s.In.MOS = p.in.MOS(heard)
	}
	s.Out = Direction{Packets: p.out.Packets + p.fax.packetsOut, Octets: p.out.Octets + p.fax.bytesOut}
	if p.remote.SSRC != 0 {
		s.Out.Lost = uint64(max(0, p.remote.Lost))
		s.Out.Jitter = time.Duration(p.remote.Jitter) * time.Second / time.Duration(max(1, p.out.Rate))
		if s.Out.Packets > 0 {
			loss := min(1, float64(s.Out.Lost)/float64(s.Out.Packets))
			s.Out.MOS = rtp.Rate(heard, loss, 1, s.Out.Jitter, p.rtt)
		}
	}
	return s
}

// Totals is what a relay did since it began, and what it holds now.
type Totals struct {
	Ports, InUse, Resting, Free int // pairs; Ports are the open ones
	PacketsIn, PacketsOut       uint64
	BytesIn, BytesOut           uint64 // UDP payload
	Drops                       Drops
	Panics                      uint64
}

// counters are a loop's part of Totals, and its own.
type counters struct {
	PacketsIn, PacketsOut, BytesIn, BytesOut, Panics uint64
	Drops                                            Drops
}

// Totals asks each loop in turn.
func (r *Relay) Totals() (t Totals) {
	for _, l := range r.loops {
		l.do(func() {
			t.Ports += len(l.ports)
			t.PacketsIn += l.total.PacketsIn
			t.PacketsOut += l.total.PacketsOut
			t.BytesIn += l.total.BytesIn
			t.BytesOut += l.total.BytesOut
			t.Panics += l.total.Panics
			for i, n := range l.total.Drops {
				t.Drops[i] += n
			}
		})
	}
	t.InUse, t.Resting, t.Free = r.pool.Count()
	return t
}
