package rtp

import (
	"math"
	"time"
)

// An Impairment is what a codec costs in the E-model (ITU-T G.113 Appendix I).
type Impairment struct {
	Ie  float64 // equipment impairment without loss
	Bpl float64 // robustness against loss
}

// Impairments of the codecs that carry them in G.113.
var (
	G711    = Impairment{Ie: 0, Bpl: 4.3}  // without loss concealment: the worst phone
	G711PLC = Impairment{Ie: 0, Bpl: 25.1} // with that of G.711 Appendix I
	G729A   = Impairment{Ie: 11, Bpl: 19}
)

// ImpairmentOf gives the values for an SDP encoding name; G.711's for those that have none of their own.
func ImpairmentOf(codec string) Impairment {
	if codec == "G729" {
		return G729A
	}
	return G711
}

// MOS is an estimate of what was heard, 1 to 4.5.
type MOS struct {
	LQ float64 // listening quality: codec and loss
	CQ float64 // conversational quality: with delay; 0 when the round trip is unknown
}

// MOS rates the stream by the E-model. It is meaningless (zero) before the first packet.
func (r *Receiver) MOS(codec Impairment) MOS {
	if r.Packets == 0 {
		return MOS{}
	}
	loss := r.LossRatio()
	return Rate(codec, loss, r.burstRatio(loss), r.Jitter(), r.RTT)
}

// Rate is the E-model's estimate for a stream of which this much was lost (0 to 1), in gaps this many times as long as
// those of random loss (1: random), with this jitter; roundTrip 0: unknown.
func Rate(codec Impairment, loss, burst float64, jitter, roundTrip time.Duration) MOS {
	ieEff := effectiveIe(codec, 100*loss, burst)
	m := MOS{LQ: mosOf(93.2 - ieEff)}
	if roundTrip > 0 {
		// One way of the path, and a playout buffer of twice the jitter.
		delay := roundTrip/2 + 2*jitter
		m.CQ = mosOf(93.2 - delayImpairment(delay) - ieEff)
	}
	return m
}

// burstRatio is the mean length of the gaps over that of random loss, 1 to 8.
func (r *Receiver) burstRatio(loss float64) float64 {
	if r.Bursts == 0 {
		return 1
	}
	mean := float64(r.Lost()) / float64(r.Bursts)
	return max(1, min(8, mean*(1-loss)))
}

// effectiveIe is G.107 (7-29), loss in percent.
func effectiveIe(c Impairment, loss, burst float64) float64 {
	if loss <= 0 {
		return c.Ie
	}
	return c.Ie + (95-c.Ie)*loss/(loss/burst+c.Bpl)
}

// delayImpairment is the usual straight-line form of G.107's Idd, with its knee at 177.3 ms.
func delayImpairment(d time.Duration) float64 {
	ms := float64(d) / float64(time.Millisecond)
	id := 0.024 * ms
	if ms > 177.3 {
		id += 0.11 * (ms - 177.3)
	}
	return id
}

// mosOf is G.107 Annex B.
func mosOf(rating float64) float64 {
	rating = max(0, min(100, rating))
	mos := 1 + 0.035*rating + rating*(rating-60)*(100-rating)*7e-6
	return math.Round(100*max(1, min(4.5, mos))) / 100
}
