package transaction

import "sync/atomic"

// Stats are gauges and counters of a Table. The arrays are indexed by Kind, then State or Failure.
type Stats struct {
	Live     [kinds][states]int      // transactions in each state now; never Terminated
	Created  [kinds]uint64           // transactions made
	Failed   [kinds][failures]uint64 // ended without a final response or without an ACK; NonInviteServer: never answered by us
	Resent   [kinds]uint64           // messages that we sent again, by timer or because the peer asked
	Absorbed [kinds]uint64           // requests and final responses that came again

	Merged    uint64 // requests answered 482
	Refused   uint64 // requests answered 503 because the table was full, and own ones not sent
	Stray     uint64 // responses that match no transaction
	Malformed uint64 // messages whose top Via or CSeq cannot be read
	Panics    uint64 // callbacks that panicked
}

// Total is the number of live transactions.
func (s *Stats) Total() (n int) {
	for _, byState := range s.Live {
		for _, c := range byState {
			n += c
		}
	}
	return n
}

// counters are a shard's part of Stats, guarded by its lock.
type counters struct {
	live     [kinds][states]int
	created  [kinds]uint64
	failed   [kinds][failures]uint64
	resent   [kinds]uint64
	absorbed [kinds]uint64
}

// looseCounters count what belongs to no shard.
type looseCounters struct{ merged, refused, stray, malformed, panics atomic.Uint64 }

// Stats reads the counters. The shards are read one after the other, so figures may be a message apart.
func (t *Table) Stats() Stats {
	out := Stats{
		Merged: t.loose.merged.Load(), Refused: t.loose.refused.Load(), Stray: t.loose.stray.Load(),
		Malformed: t.loose.malformed.Load(), Panics: t.loose.panics.Load(),
	}
	for _, s := range t.shards {
		s.mu.Lock()
		c := s.count
		s.mu.Unlock()
		for k := range c.live {
			for st, n := range c.live[k] {
				out.Live[k][st] += n
			}
			for why, n := range c.failed[k] {
				out.Failed[k][why] += n
			}
			out.Created[k] += c.created[k]
			out.Resent[k] += c.resent[k]
			out.Absorbed[k] += c.absorbed[k]
		}
	}
	return out
}
