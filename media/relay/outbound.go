package relay

import (
	"math/rand/v2"
	"time"

	"tandem/media/rtp"
)

// An outbound is the one stream that a leg's peer hears from us. Whoever speaks (the other leg, a player, a key press), SSRC, sequence
// and timestamp go on without a break: phones hold a changed SSRC for a stranger, and under SRTP a sequence number used twice
// would use its key stream twice.
type outbound struct {
	rtp.Sender // counts, SSRC

	own      bool   // a player or a key press of this port speaks now
	feeder   *Port  // else: whose packets these are; nil: take over at the next packet
	ssrc     uint32 // of the feeder's stream
	restarts uint64 // of the feeder's stream, when it took over
	seqShift uint16 // added to the feeder's sequence
	tsShift  uint32 // added to its timestamp
	floor    uint16 // the feeder's first sequence number: older ones were given to somebody else

	before *before // what was relayed in another process, until it goes on or somebody else speaks
	leap   uint16  // by how much numbers of our own must be raised after that

	seq   uint16 // highest sent
	ts    uint32 // media time that has been sent up to
	at    time.Time
	begun bool
}

func newOutbound(ssrc uint32) outbound {
	return outbound{
		Sender: rtp.Sender{SSRC: ssrc, Rate: 8000},
		seq:    uint16(rand.IntN(1 << 15)), // RFC 3550 §5.1: random; low, for SRTP's first rollover (RFC 3711 §3.3.1)
		ts:     rand.Uint32(),
	}
}

func (o *outbound) setRate(hz uint32) {
	if o.Rate != hz {
		o.Rate, o.feeder = hz, nil
	}
}

// reached is the timestamp that a packet made at now by a new speaker has: time went on while nobody spoke, by whole frames
// and at least one.
func (o *outbound) reached(now time.Time) uint32 {
	perFrame := o.Rate / uint32(time.Second/frame)
	if !o.begun {
		return o.ts
	}
	frames := max(1, (now.Sub(o.at)+frame/2)/frame)
	return o.ts + uint32(frames)*perFrame
}

// takeOver makes p's stream, from packet pkt on, the next one to be heard.
func (o *outbound) takeOver(p *Port, pkt rtp.Packet, now time.Time) {
	ts := o.reached(now)
	o.leapNow()
	o.own, o.feeder, o.ssrc, o.restarts, o.floor = false, p, pkt.SSRC(), p.in.Restarts, pkt.Seq()
	o.seqShift = o.seq + 1 - pkt.Seq()
	o.tsShift = ts - pkt.Timestamp()
}

// continues says whether pkt belongs to the stream that is being heard.
func (o *outbound) continues(p *Port, pkt rtp.Packet) bool {
	return o.feeder == p && o.ssrc == pkt.SSRC() && o.restarts == p.in.Restarts
}

// late says whether a packet of the feeder is from before it took over.
func (o *outbound) late(seq uint16) bool {
	d := int16(seq - o.floor)
	if d > 1<<14 {
		o.floor = seq - 1<<13 // the comparison is by half the circle: follow
	}
	return d < 0
}

// mark notes that a packet with these numbers goes out.
func (o *outbound) mark(seq uint16, ts uint32, now time.Time) {
	if int16(seq-o.seq) > 0 || !o.begun {
		o.seq = seq
	}
	if int32(ts-o.ts) > 0 || !o.begun {
		o.ts, o.at = ts, now
	}
	o.begun = true
}
