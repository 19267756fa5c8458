package phone

import (
	"math"
	"time"

	"github.com/pion/rtcp"
)

// A reception counts what arrives from one source, after RFC 3550 appendix A.3 and A.8.
type reception struct {
	ssrc     uint32
	started  bool
	base     uint16
	highest  uint32 // extended sequence number
	packets  uint32
	late     uint32 // behind the highest: reordered or doubled
	transit  float64
	jitter   float64 // in timestamp units
	clock    uint32  // rate of the timestamps, Hz; 0 before the first packet
	lastSeen time.Time
	gap      time.Duration // longest pause between two packets

	priorExpected, priorPackets uint32
	lastSR                      uint32 // middle 32 bits of the last sender report's NTP time
	lastSRAt                    time.Time

	// what earlier sources of the same call left behind
	changes                    int
	pastExpected, pastReceived uint32
}

// add counts one packet. A new SSRC starts afresh and keeps the totals.
// clock is the rate of the timestamps in Hz.
func (r *reception) add(ssrc uint32, sequence uint16, timestamp, clock uint32, now time.Time) {
	if r.started && ssrc != r.ssrc {
		*r = reception{changes: r.changes + 1, pastExpected: r.expected(), pastReceived: r.received(), gap: r.gap, lastSeen: r.lastSeen}
	}
	transit := float64(now.UnixNano())/1e9*float64(clock) - float64(timestamp)
	if clock != r.clock { // another codec: the two clocks cannot be compared
		r.transit, r.jitter = transit, r.jitter/float64(max(r.clock, 1))*float64(clock)
		r.clock = clock
	}
	if !r.started {
		r.started, r.ssrc, r.base, r.highest = true, ssrc, sequence, uint32(sequence)
	} else {
		if step := int16(sequence - uint16(r.highest)); step > 0 {
			r.highest += uint32(step)
		} else {
			r.late++
		}
		// math.Remainder keeps the difference right when the timestamp wraps.
		r.jitter += (math.Abs(math.Remainder(transit-r.transit, 1<<32)) - r.jitter) / 16
		r.gap = max(r.gap, now.Sub(r.lastSeen))
	}
	r.transit, r.lastSeen = transit, now
	r.packets++
}

// expected and received span all sources of the call.
func (r *reception) expected() uint32 {
	if !r.started {
		return r.pastExpected
	}
	return r.pastExpected + r.highest - uint32(r.base) + 1
}

func (r *reception) received() uint32 { return r.pastReceived + r.packets }

// lost may be negative in RFC 3550 when packets are doubled; here it is never below zero.
func (r *reception) lost() uint32 {
	if r.received() >= r.expected() {
		return 0
	}
	return r.expected() - r.received()
}

func (r *reception) jitterTime() time.Duration {
	return time.Duration(r.jitter / float64(max(r.clock, 1)) * float64(time.Second))
}

// block writes the reception report of the interval since the last one (RFC 3550 §6.4.1).
func (r *reception) block(now time.Time) rtcp.ReceptionReport {
	expected := r.highest - uint32(r.base) + 1
	interval, got := expected-r.priorExpected, r.packets-r.priorPackets
	r.priorExpected, r.priorPackets = expected, r.packets
	report := rtcp.ReceptionReport{SSRC: r.ssrc, LastSequenceNumber: r.highest, Jitter: uint32(r.jitter)}
	if interval > got {
		report.FractionLost = uint8(min(255, (interval-got)<<8/interval))
	}
	if expected > r.packets {
		report.TotalLost = min(expected-r.packets, 1<<23-1)
	}
	if !r.lastSRAt.IsZero() {
		report.LastSenderReport = r.lastSR
		report.Delay = uint32(now.Sub(r.lastSRAt).Seconds() * 65536)
	}
	return report
}

// ntpTime is the 64-bit NTP time of RFC 3550 §4.
func ntpTime(t time.Time) uint64 {
	const from1900 = 2208988800
	return uint64(t.Unix()+from1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// roundTrip is the network delay there and back that a reception report about us tells, or 0 if it does not.
func roundTrip(b rtcp.ReceptionReport, now time.Time) time.Duration {
	if b.LastSenderReport == 0 {
		return 0
	}
	units := uint32(ntpTime(now)>>16) - b.LastSenderReport - b.Delay
	if int32(units) < 0 {
		return 0
	}
	return time.Duration(units) * time.Second / 65536
}

// meanOpinion estimates the listening quality of G.711 by the E-model (ITU-T G.107, simplified): loss is a share from
// 0 to 1; the delay is half the round trip plus a jitter buffer of twice the jitter.
func meanOpinion(loss float64, jitter, rtt time.Duration) float64 {
	const equipment, robustness = 0, 4.3 // Ie and Bpl of G.711 without concealment (G.113)
	delay := float64(rtt/2+2*jitter) / float64(time.Millisecond)
	impairment := 0.024 * delay
	if delay > 177.3 {
		impairment += 0.11 * (delay - 177.3)
	}
	percent := 100 * loss
	rating := 93.2 - impairment - (equipment + (95-equipment)*percent/(percent+robustness))
	if rating <= 0 {
		return 1
	}
	mos := 1 + 0.035*rating + rating*(rating-60)*(100-rating)*7e-6
	return math.Round(100*math.Min(4.5, math.Max(1, mos))) / 100
}
