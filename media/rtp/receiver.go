package rtp

import "time"

// Limits of RFC 3550 Appendix A.1.
const (
	maxDropout  = 3000 // a jump ahead up to here is loss; beyond it the sender may have restarted
	maxMisorder = 100  // a packet this late is still the same stream
	rtpSeqMod   = 1 << 16
)

// A Verdict says what one packet was to its stream.
type Verdict uint8

// Verdicts of Receive.
const (
	InOrder   Verdict = iota // the next one, or ahead with a gap before it
	Reordered                // late, seen for the first time
	Duplicate                // seen before
	Jumped                   // far from the sequence; counted as stray until its successor confirms a restart
)

// A Receiver keeps the receive statistics of one RTP stream (RFC 3550 §6.4.1 and Appendix A), as a plain value. Set Rate before the first
// packet; all else is for reading. A new SSRC or a confirmed restart of the sequence begins a new run; totals go on.
type Receiver struct {
	Rate uint32 // clock rate in Hz; 0 is taken as 8000

	SSRC        uint32 // of the run at hand
	Packets     uint64 // unique packets received
	Octets      uint64 // of payload
	Duplicates  uint64
	Reordered   uint64
	Stray       uint64 // packets far off the sequence that no successor confirmed
	Bursts      uint64 // gaps seen; Lost()/Bursts is the mean length of a burst
	SSRCChanges uint64
	Restarts    uint64        // sequence jumps of the same SSRC
	MaxJitter   time.Duration // highest smoothed jitter
	RTT         time.Duration // last round trip that the owner put here; 0: unknown
	LastArrival time.Time

	begun    bool
	maxSeq   uint16
	cycles   uint32 // of 65536, already shifted
	baseSeq  uint32 // first extended sequence of the run
	window   [2]uint64
	badSeq   uint32 // the sequence that would confirm a jump; rtpSeqMod+1: none
	jitter   uint32 // RFC 3550 A.8: scaled by 16, in clock units
	transit  int32
	firstAt  time.Time
	oldSent  uint64 // expected and received of the runs before
	gotInRun uint64 // unique packets of this run, and the others
	dupInRun uint64

	priorExpected, priorReceived uint64 // at the last Report
	srLSR                        uint32
	srAt                         time.Time
}

// Receive counts a packet that arrived at now. The packet must have passed Parse.
func (r *Receiver) Receive(p Packet, now time.Time) Verdict {
	seq, ssrc := p.Seq(), p.SSRC()
	if !r.begun {
		r.begun, r.firstAt = true, now
		r.start(seq, ssrc)
	} else if ssrc != r.SSRC {
		r.SSRCChanges++
		r.endRun()
		r.start(seq, ssrc)
	}
	v := r.place(seq)
	r.LastArrival = now
	switch v {
	case Duplicate:
		r.Duplicates++
		r.dupInRun++
		return v
	case Jumped:
		r.Stray++
		return v
	case Reordered:
		r.Reordered++
	}
	r.Packets++
	r.gotInRun++
	r.Octets += uint64(len(p.Payload()))
	r.measureJitter(p.Timestamp(), now)
	return v
}

func (r *Receiver) start(seq uint16, ssrc uint32) {
	r.SSRC = ssrc
	r.maxSeq = seq - 1
	r.cycles = 0
	if seq == 0 {
		r.cycles = ^uint32(rtpSeqMod - 1) // -65536: place will see a wrap and bring it to 0
	}
	r.baseSeq = uint32(seq)
	r.window = [2]uint64{}
	r.badSeq = rtpSeqMod + 1
	r.gotInRun, r.dupInRun = 0, 0
	r.priorExpected, r.priorReceived = 0, 0
	r.transit = 0
	r.srLSR = 0
}

// endRun moves the counts of the run into the totals.
func (r *Receiver) endRun() {
	r.oldSent += r.expectedInRun()
	r.jitter = 0
}

// place finds where seq stands in the run and moves the window of the last 128 numbers.
func (r *Receiver) place(seq uint16) Verdict {
	ahead := seq - r.maxSeq
	switch {
	case ahead == 0:
		return Duplicate
	case ahead < maxDropout:
		if seq < r.maxSeq {
			r.cycles += rtpSeqMod
		}
		if ahead > 1 {
			r.Bursts++
		}
		r.shift(uint(ahead))
		r.maxSeq = seq
		r.badSeq = rtpSeqMod + 1
		return InOrder
	case uint32(ahead) <= rtpSeqMod-maxMisorder:
		if uint32(seq) != r.badSeq {
			r.badSeq = uint32(seq+1) & (rtpSeqMod - 1)
			return Jumped
		}
		// Two in a row: the sender restarted its numbers. The first of them is lost to the count.
		r.Restarts++
		r.endRun()
		r.start(seq, r.SSRC)
		return r.place(seq)
	}
	return r.late(uint(r.maxSeq - seq))
}

// late judges a packet that is back steps behind the highest.
func (r *Receiver) late(back uint) Verdict {
	bit := uint64(1) << (back % 64)
	if r.window[back/64]&bit != 0 {
		return Duplicate
	}
	r.window[back/64] |= bit
	// A packet from before the first one belongs to the run too: the run began there.
	if ext := r.cycles + uint32(r.maxSeq) - uint32(back); int32(ext-r.baseSeq) < 0 {
		r.baseSeq = ext
	}
	return Reordered
}

// shift moves the window n steps on and marks the newest.
func (r *Receiver) shift(n uint) {
	switch {
	case n >= 128:
		r.window = [2]uint64{}
	case n >= 64:
		r.window = [2]uint64{0, r.window[0] << (n - 64)}
	default:
		r.window[1] = r.window[1]<<n | r.window[0]>>(64-n)
		r.window[0] <<= n
	}
	r.window[0] |= 1
}

// measureJitter is the integer form of RFC 3550 A.8.
func (r *Receiver) measureJitter(timestamp uint32, now time.Time) {
	rate := int64(r.rate())
	since := now.Sub(r.firstAt)
	arrival := int64(since/time.Second)*rate + int64(since%time.Second)*rate/int64(time.Second)
	transit := int32(uint32(arrival) - timestamp)
	if r.gotInRun > 1 {
		d := transit - r.transit
		if d < 0 {
			d = -d
		}
		// A step of more than a second is a new talkspurt clock or a player that joined, not jitter of the path.
		if int64(d) < rate {
			r.jitter += uint32(d) - (r.jitter+8)>>4
			r.MaxJitter = max(r.MaxJitter, r.Jitter())
		}
	}
	r.transit = transit
}

func (r *Receiver) rate() uint32 {
	if r.Rate == 0 {
		return 8000
	}
	return r.Rate
}

func (r *Receiver) expectedInRun() uint64 {
	if !r.begun {
		return 0
	}
	return uint64(r.cycles + uint32(r.maxSeq) - r.baseSeq + 1)
}

// Expected is how many packets the sender seems to have sent, over all runs.
func (r *Receiver) Expected() uint64 { return r.oldSent + r.expectedInRun() }

// Lost is how many of them did not come.
func (r *Receiver) Lost() uint64 {
	if e := r.Expected(); e > r.Packets {
		return e - r.Packets
	}
	return 0
}

// LossRatio is Lost over Expected, 0 to 1.
func (r *Receiver) LossRatio() float64 {
	if e := r.Expected(); e > 0 {
		return float64(r.Lost()) / float64(e)
	}
	return 0
}

// ExtendedSeq is the highest sequence number with its cycles in the upper half.
func (r *Receiver) ExtendedSeq() uint32 { return r.cycles + uint32(r.maxSeq) }

// Jitter is the smoothed interarrival jitter.
func (r *Receiver) Jitter() time.Duration {
	return time.Duration(r.jitter>>4) * time.Second / time.Duration(r.rate())
}

// HeardSR notes a sender report of this stream, for the LSR and DLSR of our next Report.
func (r *Receiver) HeardSR(s SenderInfo, now time.Time) { r.srLSR, r.srAt = s.LSR(), now }

// Report makes the report block on this stream for our RTCP and begins the next interval (RFC 3550 A.3).
// As there, duplicates count as received, and a new run counts from zero.
func (r *Receiver) Report(now time.Time) Report {
	expected, received := r.expectedInRun(), r.gotInRun+r.dupInRun
	de, dr := int64(expected-r.priorExpected), int64(received-r.priorReceived)
	r.priorExpected, r.priorReceived = expected, received
	rep := Report{
		SSRC:       r.SSRC,
		Lost:       int32(max(-1<<23, min(1<<23-1, int64(expected)-int64(received)))),
		HighestSeq: r.ExtendedSeq(),
		Jitter:     r.jitter >> 4,
	}
	if lost := de - dr; de > 0 && lost > 0 {
		rep.FractionLost = uint8(min(255, lost<<8/de))
	}
	if r.srLSR != 0 {
		since := now.Sub(r.srAt)
		rep.LSR = r.srLSR
		rep.DLSR = uint32(since/time.Second)<<16 + uint32(since%time.Second<<16/time.Second)
	}
	return rep
}
