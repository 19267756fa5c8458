package relay

import (
	"net/netip"
	"time"
)

// rank says how well a packet's source fits what signalling told us. A better one always replaces a worse one; media never hands a call
// over to an equal.
type rank uint8

const (
	rankNone       rank = iota // nobody we were told of
	rankSignalling             // the address that the leg's SIP comes from, for a leg behind NAT
	rankAddress                // the address of the SDP, another port
	rankExact                  // address and port of the SDP
)

const (
	// learning is how long after an offer was answered a source other than the exact one may be latched.
	learning = 3 * time.Second
	// learningRTCP is the same for RTCP, counted from the latching of RTP: reports come every 5 s.
	learningRTCP = 10 * time.Second
	// proofs is how many packets in sequence from one SSRC a source outside the SDP must send first.
	proofs = 3
	// abandoned is how long the latched source must have been silent after a re-INVITE before an equal may follow it: a phone that
	// changed its network has stopped speaking from the old one.
	abandoned = 200 * time.Millisecond
)

// A source decides whose packets are a leg's. It latches by the rules of strict source: the exact SDP address at once, its address with
// another port within the learning window, and for a leg behind NAT the signalling source's address after proof. It is asked about
// packets that have passed everything else: on an SRTP leg about authenticated ones only.
type source struct {
	exact netip.AddrPort // from the SDP; invalid: none that may be used
	learn netip.Addr     // the signalling source; invalid: the leg may not learn
	until time.Time      // end of the learning window

	latched  netip.AddrPort // whose packets are taken and where ours go; invalid: nobody yet
	rank     rank
	reopened bool // since the last latch signalling has spoken again
	heard    time.Time

	trial      netip.AddrPort // who is proving itself
	trialSSRC  uint32
	trialSeq   uint16 // the one that would be next
	trialCount int
}

// verdict is what a source says about a packet.
type verdict uint8

const (
	refused  verdict = iota // not the peer
	proving                 // perhaps the peer, not yet believed
	accepted                // the peer
	latched                 // the peer, from now on
)

// open takes what a new offer/answer says. A changed SDP address forgets the old source, the same one keeps it; either opens the window.
func (s *source) open(exact netip.AddrPort, learn netip.Addr, now time.Time) {
	if exact != s.exact || learn != s.learn {
		*s = source{exact: exact, learn: learn}
	}
	s.until = now.Add(learning)
	s.reopened = true
	s.trialCount = 0
}

// of ranks an address.
func (s *source) of(from netip.AddrPort) rank {
	switch {
	case from == s.exact:
		return rankExact
	case from.Addr() == s.exact.Addr() && s.exact.IsValid():
		return rankAddress
	case from.Addr() == s.learn && s.learn.IsValid():
		return rankSignalling
	}
	return rankNone
}

// possible says without state whether judge could do anything but refuse; the cheap question before a key is tried.
func (s *source) possible(from netip.AddrPort, now time.Time) bool {
	if from == s.latched {
		return true
	}
	r := s.of(from)
	if r == rankNone || r < s.rank || r == s.rank && !s.reopened {
		return false
	}
	return r == rankExact || now.Before(s.until)
}

// judge decides about a packet that is valid in all else.
func (s *source) judge(from netip.AddrPort, ssrc uint32, seq uint16, now time.Time) verdict {
	if from == s.latched {
		s.heard = now
		return accepted
	}
	if !s.possible(from, now) {
		return refused
	}
	r := s.of(from)
	if r == s.rank && s.latched.IsValid() && now.Sub(s.heard) < abandoned {
		return refused
	}
	if r != rankExact && (r != rankAddress || s.latched.IsValid()) && !s.prove(from, ssrc, seq) {
		return proving
	}
	s.latched, s.rank, s.reopened, s.heard = from, r, false, now
	s.trialCount = 0
	return latched
}

// prove counts packets in sequence from one source and SSRC.
func (s *source) prove(from netip.AddrPort, ssrc uint32, seq uint16) bool {
	if s.trialCount > 0 && from == s.trial && ssrc == s.trialSSRC && seq == s.trialSeq {
		s.trialCount++
	} else {
		s.trial, s.trialSSRC, s.trialCount = from, ssrc, 1
	}
	s.trialSeq = seq + 1
	return s.trialCount >= proofs
}

// A control decides whose RTCP is a leg's, on the port of its own. RTCP latches nothing but itself, and follows where RTP is latched.
type control struct {
	exact   netip.AddrPort // a=rtcp, or the SDP port plus one
	until   time.Time
	latched netip.AddrPort
}

func (c *control) open(exact netip.AddrPort) {
	if exact != c.exact {
		*c = control{exact: exact}
	}
}

// judge takes the exact address always, and until RTCP is latched anything from the address that RTP comes from: its next port at
// any time, other ports within the window.
func (c *control) judge(from, media netip.AddrPort, now time.Time) bool {
	if from == c.latched {
		return true
	}
	beside := media.IsValid() && from.Addr() == media.Addr() &&
		(from.Port() == media.Port()+1 || !c.latched.IsValid() && now.Before(c.until))
	if from != c.exact && (!beside || c.latched == c.exact && c.exact.IsValid()) {
		return false
	}
	c.latched = from
	return true
}

// A limiter admits a steady rate and a burst above it (the generic cell rate algorithm: one time instead of a bucket).
type limiter struct {
	interval time.Duration // between packets at the rate
	burst    time.Duration // how far ahead of it
	next     time.Duration // since began
}

// began is what limiters count from: a number is a third of a time, and a leg has several.
var began = time.Now()

func limit(perSecond, burst int) limiter {
	interval := time.Second / time.Duration(perSecond)
	return limiter{interval: interval, burst: interval * time.Duration(burst), next: -1 << 61}
}

func (l *limiter) allow(now time.Time) bool {
	at := now.Sub(began)
	l.next = max(l.next, at)
	if l.next-at > l.burst {
		return false
	}
	l.next += l.interval
	return true
}
