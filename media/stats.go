package media

import (
	"net/netip"
	"time"

	"tandem/media/relay"
)

// Stats is what one leg's media was, as it stands in a call record.
type Stats struct {
	Codec  string         `json:"codec"`           // what we sent with; empty: never agreed
	Suite  string         `json:"suite,omitempty"` // SRTP suite; empty: plain RTP
	Local  netip.AddrPort `json:"local"`           // where we listened
	Remote netip.AddrPort `json:"remote"`          // where packets went; invalid: nowhere
	Heard  bool           `json:"heard"`           // the peer was heard

	In  Stream `json:"in"`
	Out Stream `json:"out"`

	Video *VideoStats `json:"video,omitempty"` // nil: there never was any

	RTTMS       float64           `json:"rtt_ms,omitempty"` // 0: unknown
	SSRCChanges uint64            `json:"ssrc_changes"`     // of the peer
	ReportsIn   uint64            `json:"reports_in"`       // RTCP taken
	ReportsOut  uint64            `json:"reports_out"`
	Drops       map[string]uint64 `json:"drops,omitempty"` // packets that went no further, by reason; only reasons that occurred
}

// A Stream is one stream as its receiver heard it: In by us, Out by the peer, who tells in its reports.
type Stream struct {
	Packets     uint64  `json:"packets"`
	Bytes       uint64  `json:"bytes"` // payload
	Lost        uint64  `json:"lost"`
	LossPercent float64 `json:"loss_percent"`
	JitterMS    float64 `json:"jitter_ms"`
	MOS         float64 `json:"mos,omitempty"` // listening quality, 1 to 4.5; 0: unknown
}

// VideoStats is what passed between this browser and another one: packets of video, and of feedback that it was sent.
type VideoStats struct {
	PacketsIn  uint64 `json:"packets_in"`
	BytesIn    uint64 `json:"bytes_in"`
	PacketsOut uint64 `json:"packets_out"`
	BytesOut   uint64 `json:"bytes_out"`
	Feedback   uint64 `json:"feedback"`
}

// Stats is a copy of the counters, also after Close.
func (s *Session) Stats() Stats {
	p := s.port.Stats()
	out := Stats{
		Suite: p.Suite.String(), Local: p.Local, Remote: p.Remote, Heard: p.Latched,
		In: streamOf(p.In), Out: streamOf(p.Out),
		RTTMS: milliseconds(p.RTT), SSRCChanges: p.SSRCChanges, ReportsIn: p.ReportsIn, ReportsOut: p.ReportsOut,
		Drops: dropsByName(&p.Drops, false),
	}
	if v := p.Video; v != nil {
		out.Video = &VideoStats{v.In.Packets, v.In.Bytes, v.Out.Packets, v.Out.Bytes, v.Feedback}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agreed != nil {
		out.Codec = s.agreed.Codec.Name
	}
	return out
}

func streamOf(d relay.Direction) Stream {
	out := Stream{
		Packets: d.Packets, Bytes: d.Octets, Lost: d.Lost,
		JitterMS: milliseconds(d.Jitter), MOS: d.MOS.LQ,
	}
	if n := d.Packets + d.Lost; n > 0 {
		out.LossPercent = 100 * float64(d.Lost) / float64(n)
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
