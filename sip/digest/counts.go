package digest

import "sync"

const countShards = 64

// counts knows the nonce counts that were used. A nonce gets an entry only when somebody has proved himself
// with it, so strangers cannot fill it. It holds two generations for each shard, each as long as a nonce may
// live, and drops the older one whole. When a shard is full all nonces issued so far are declared stale
// instead of forgotten: phones answer a new challenge, and nothing can be replayed.
type counts struct {
	shards [countShards]countShard
	limit  int   // entries of one generation of one shard
	period int64 // ms of one generation, at least the life of a nonce
}

type countShard struct {
	mu         sync.Mutex
	young, old map[seed]use
	turned     int64 // when young began, ms
	floor      int64 // nonces issued up to then are stale, ms
}

// use is what was seen of one nonce.
type use struct {
	top   uint32 // highest count
	last  uint32 // count of the latest accepted request
	seen  uint32 // bit i: count top-i was used; UDP may turn requests round
	print uint64 // fingerprint of the latest accepted request
}

// outcome of a count.
type outcome uint8

const (
	countNew    outcome = iota // not used before
	countRepeat                // the very request that used it last: a retransmission
	countUsed                  // used, or too old to tell
)

// note records that count nc of a nonce was used, by a request with that fingerprint.
func (c *counts) note(now int64, s *seed, nc uint32, print uint64) outcome {
	sh := &c.shards[s[nonceSeed-1]%countShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.turn(now, c.period)
	if s.issued() <= sh.floor {
		return countUsed
	}
	gen := sh.young
	u, known := gen[*s]
	if !known {
		if u, known = sh.old[*s]; known {
			gen = sh.old
		}
	}
	if !known {
		if len(gen) >= c.limit {
			clear(sh.young)
			clear(sh.old)
			sh.floor = now
			return countUsed
		}
		gen[*s] = use{top: nc, last: nc, seen: 1, print: print}
		return countNew
	}
	out := u.note(nc, print)
	if out == countNew {
		gen[*s] = u
	}
	return out
}

func (u *use) note(nc uint32, print uint64) outcome {
	if nc == u.last && print == u.print {
		return countRepeat
	}
	switch {
	case nc > u.top:
		u.seen = u.seen<<min(nc-u.top, 32) | 1
		u.top = nc
	case u.top-nc >= 32 || u.seen&(1<<(u.top-nc)) != 0:
		return countUsed
	default:
		u.seen |= 1 << (u.top - nc)
	}
	u.last, u.print = nc, print
	return countNew
}

// turn lets the generations pass.
func (sh *countShard) turn(now, period int64) {
	switch age := now - sh.turned; {
	case sh.young == nil:
		sh.young, sh.old = map[seed]use{}, map[seed]use{}
	case age < period:
		return
	case age >= 2*period:
		sh.young, sh.old = map[seed]use{}, map[seed]use{}
	default:
		// A new map rather than a cleared one: a cleared map keeps the memory of its largest day.
		sh.young, sh.old = map[seed]use{}, sh.young
	}
	sh.turned = now
}

// size is the number of entries.
func (c *counts) size() (n int) {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		n += len(sh.young) + len(sh.old)
		sh.mu.Unlock()
	}
	return n
}
