package media

import (
	"net/netip"
	"time"

	"tandem/media/relay"
)

// Stats is what one leg's media was.
type Stats struct {
	Codec  string         // what we sent with; empty: never agreed
	Suite  string         // SRTP suite; empty: plain RTP
	Local  netip.AddrPort // where we listened
	Remote netip.AddrPort // where packets went; invalid: nowhere
	Heard  bool           // the peer was heard

	In  Stream
	Out Stream

	RTT         time.Duration // 0: unknown
	SSRCChanges uint64        // of the peer
	ReportsIn   uint64        // RTCP taken
	ReportsOut  uint64
	Drops       map[string]uint64 // packets that went no further, by reason; only reasons that occurred
}

// A Stream is one stream as its receiver heard it: In by us, Out by the peer, who tells in its reports.
type Stream struct {
	Packets, Bytes uint64 // Bytes: payload
	Lost           uint64
	LossPercent    float64
	JitterMS       float64
	MOS            float64 // listening quality, 1 to 4.5; 0: unknown
}

// Stats is a copy of the counters, also after Close.
func (s *Session) Stats() Stats {
	p := s.port.Stats()
	out := Stats{
		Local: p.Local, Remote: p.Remote, Heard: p.Latched,
		In: streamOf(p.In), Out: streamOf(p.Out),
		RTT: p.RTT, SSRCChanges: p.SSRCChanges, ReportsIn: p.ReportsIn, ReportsOut: p.ReportsOut,
		Drops: dropsByName(&p.Drops, false),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agreed != nil {
		out.Codec = s.agreed.Codec.Name
		if s.agreed.Secured {
			out.Suite = s.agreed.Local.Suite
		}
	}
	return out
}

func streamOf(d relay.Direction) Stream {
	out := Stream{
		Packets: d.Packets, Bytes: d.Octets, Lost: d.Lost,
		JitterMS: float64(d.Jitter) / float64(time.Millisecond), MOS: d.MOS.LQ,
	}
	if n := d.Packets + d.Lost; n > 0 {
		out.LossPercent = 100 * float64(d.Lost) / float64(n)
	}
	return out
}
