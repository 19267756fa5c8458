package rtp

import "time"

// Heard is what a Receiver has counted, for another process to count on from. The run at hand ends with it: what is not received
// while nobody listens is not lost on the way.
type Heard struct {
	SSRC        uint32        `json:"ssrc"`
	Seq         uint32        `json:"seq"` // highest, with its cycles above
	Packets     uint64        `json:"packets"`
	Octets      uint64        `json:"octets"`
	Expected    uint64        `json:"expected"`
	SSRCChanges uint64        `json:"ssrc_changes,omitempty"`
	Restarts    uint64        `json:"restarts,omitempty"`
	Bursts      uint64        `json:"bursts,omitempty"`
	MaxJitter   time.Duration `json:"max_jitter,omitempty"`
}

// Heard is the count so far; false before the first packet.
func (r *Receiver) Heard() (Heard, bool) {
	return Heard{
		SSRC: r.SSRC, Seq: r.ExtendedSeq(), Packets: r.Packets, Octets: r.Octets, Expected: r.Expected(),
		SSRCChanges: r.SSRCChanges, Restarts: r.Restarts, Bursts: r.Bursts, MaxJitter: r.MaxJitter,
	}, r.begun || r.Packets > 0
}

// Resume counts on from what another Receiver counted. The next packet begins a run, whatever its SSRC and number.
func (r *Receiver) Resume(h Heard) {
	rate := r.Rate
	*r = Receiver{
		Rate: rate, SSRC: h.SSRC, Packets: h.Packets, Octets: h.Octets, SSRCChanges: h.SSRCChanges, Restarts: h.Restarts,
		Bursts: h.Bursts, MaxJitter: h.MaxJitter, oldSent: h.Expected,
	}
}
