package rtp

import "time"

// A Sender counts what we send on one stream and makes the sender info of our SR. A plain value; set Rate and SSRC first.
type Sender struct {
	Rate uint32 // clock rate in Hz; 0 is taken as 8000
	SSRC uint32

	Packets uint64
	Octets  uint64 // of payload

	lastTimestamp uint32
	lastAt        time.Time
}

// Sent counts a packet that left at now.
func (s *Sender) Sent(p Packet, now time.Time) {
	s.SSRC = p.SSRC()
	s.Packets++
	s.Octets += uint64(len(p.Payload()))
	s.lastTimestamp, s.lastAt = p.Timestamp(), now
}

// Info is the sender info for an SR at now: the RTP timestamp is carried on from the last packet by the time since then.
func (s *Sender) Info(now time.Time) SenderInfo {
	rate := time.Duration(s.Rate)
	if rate == 0 {
		rate = 8000
	}
	since := max(0, now.Sub(s.lastAt))
	ticks := since/time.Second*rate + since%time.Second*rate/time.Second
	return SenderInfo{NTP: NTP(now), Timestamp: s.lastTimestamp + uint32(ticks), Packets: uint32(s.Packets), Octets: uint32(s.Octets)}
}

// A RoundTrip measures the way to a peer and back from the SRs that went to it, our own or ones we passed on, and the
// reports that come back on them. It remembers the last four: a report may cross with a newer SR.
type RoundTrip struct {
	sent [4]struct {
		lsr uint32
		at  time.Time
	}
	next int
}

// Sent notes that an SR with this LSR left for the peer at now.
func (t *RoundTrip) Sent(lsr uint32, now time.Time) {
	t.sent[t.next%len(t.sent)].lsr = lsr
	t.sent[t.next%len(t.sent)].at = now
	t.next++
}

// Heard takes a report block from the peer and gives the round trip; false if the block answers no SR that we know,
// or claims more than a minute or less than nothing.
func (t *RoundTrip) Heard(rep Report, now time.Time) (time.Duration, bool) {
	if rep.LSR == 0 {
		return 0, false
	}
	for i := range t.sent {
		if s := &t.sent[i]; s.lsr == rep.LSR && !s.at.IsZero() {
			held := time.Duration(rep.DLSR) * time.Second >> 16
			rtt := now.Sub(s.at) - held
			// The peer's clock has its own grain: a few milliseconds below nothing are nothing.
			if rtt < 0 && rtt > -10*time.Millisecond {
				rtt = 0
			}
			return rtt, rtt >= 0 && rtt < time.Minute
		}
	}
	return 0, false
}
