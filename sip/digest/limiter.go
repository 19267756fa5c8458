package digest

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Budget says how many failures are free and how the waiting grows after them.
type Budget struct {
	Free  int           // failures without a wait
	First time.Duration // wait after one more; each further failure doubles it
	Max   time.Duration // longest wait
	Leak  time.Duration // one failure is forgiven for each Leak that passes
}

// Limits bound guessing. The zero value of a field means its default.
type Limits struct {
	// Source counts the failures of one address (IPv6: one /64); default 10 free, 1 s to 5 min, one forgiven a minute.
	Source Budget
	// Pair counts those of one address for one user name; default 5 free, 1 s to 1 min, one forgiven a minute.
	Pair Budget
	// Entries bounds each of the tables; default 131072. When one is full the entry nearest to its end goes.
	Entries int
	// Remember is how long a source that proved itself as a user is not taken for a stranger; default 1 h.
	Remember time.Duration
}

func (l Limits) withDefaults() Limits {
	fill := func(b *Budget, free int, longest time.Duration) {
		if *b == (Budget{}) {
			*b = Budget{Free: free, First: time.Second, Max: longest, Leak: time.Minute}
		}
	}
	fill(&l.Source, 10, 5*time.Minute)
	fill(&l.Pair, 5, time.Minute)
	if l.Entries <= 0 {
		l.Entries = 131072
	}
	if l.Remember <= 0 {
		l.Remember = time.Hour
	}
	return l
}

const limiterShards = 64

// Limiter slows guessers down without locking anybody out. Failures count against the source and against the
// pair of source and user name, never against the user name alone: whoever guesses at an account from elsewhere
// does not touch its owner. A pair that proved itself lately is not held to the budget of its source, so one
// broken or hostile device does not silence the phones behind the same NAT. Users who do not exist count like
// those who do. All tables are bounded.
type Limiter struct {
	limits  Limits
	seed    maphash.Seed
	start   time.Time
	sources [limiterShards]debtShard
	pairs   [limiterShards]debtShard
	proven  [limiterShards]provenShard
}

// NewLimiter makes an empty Limiter.
func NewLimiter(limits Limits) *Limiter {
	return &Limiter{limits: limits.withDefaults(), seed: maphash.MakeSeed(), start: time.Now()}
}

// debt is what one key owes. Times are ms since the Limiter's start.
type debt struct {
	clear int64 // when the last failure is forgiven: each failure moves it on by Leak
	until int64 // nothing is heard before
}

type debtShard struct {
	mu   sync.Mutex
	debt map[uint64]debt
}

// provenShard holds pairs that proved themselves, in two generations.
type provenShard struct {
	mu         sync.Mutex
	young, old map[uint64]struct{}
	turned     int64
}

func (l *Limiter) ms(now time.Time) int64 { return now.Sub(l.start).Milliseconds() }

// keys are the hashes of the source alone and of the pair.
func (l *Limiter) keys(source netip.Addr, user string) (src, pair uint64) {
	var in [16 + 256]byte
	host := sourceOf(source).As16()
	b := append(in[:0], host[:]...)
	src = maphash.Bytes(l.seed, b)
	return src, maphash.Bytes(l.seed, append(b, user...))
}

// Wait tells how long that source must wait before an attempt as user is looked at; 0: it may go on. It
// is asked before anything is computed.
func (l *Limiter) Wait(now time.Time, source netip.Addr, user string) time.Duration {
	src, pair := l.keys(source, user)
	t := l.ms(now)
	wait := l.pairs[pair%limiterShards].wait(t, pair)
	if w := l.sources[src%limiterShards].wait(t, src); w > wait && !l.proven[pair%limiterShards].has(pair) {
		wait = w
	}
	return time.Duration(wait) * time.Millisecond
}

// Failed counts a failure.
func (l *Limiter) Failed(now time.Time, source netip.Addr, user string) {
	src, pair := l.keys(source, user)
	t, limit := l.ms(now), max(l.limits.Entries/limiterShards, 1)
	l.sources[src%limiterShards].fail(t, src, l.limits.Source, limit)
	l.pairs[pair%limiterShards].fail(t, pair, l.limits.Pair, limit)
}

// Succeeded remembers the pair and forgives its failures; those of the source stay.
func (l *Limiter) Succeeded(now time.Time, source netip.Addr, user string) {
	_, pair := l.keys(source, user)
	l.pairs[pair%limiterShards].forgive(pair)
	l.proven[pair%limiterShards].add(l.ms(now), pair, l.limits.Remember.Milliseconds(), max(l.limits.Entries/limiterShards, 1))
}

// Size is the number of sources and pairs that owe something, and of pairs that are remembered.
func (l *Limiter) Size() (owing, proven int) {
	for i := range limiterShards {
		for _, s := range []*debtShard{&l.sources[i], &l.pairs[i]} {
			s.mu.Lock()
			owing += len(s.debt)
			s.mu.Unlock()
		}
		p := &l.proven[i]
		p.mu.Lock()
		proven += len(p.young) + len(p.old)
		p.mu.Unlock()
	}
	return owing, proven
}

func (s *debtShard) wait(now int64, key uint64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.debt[key]; ok && d.until > now {
		return d.until - now
	}
	return 0
}

func (s *debtShard) fail(now int64, key uint64, b Budget, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, known := s.debt[key]
	if !known {
		if s.debt == nil {
			s.debt = map[uint64]debt{}
		}
		s.thin(now, limit)
		d = debt{clear: now, until: now}
	}
	leak := max(b.Leak.Milliseconds(), 1)
	d.clear = max(d.clear, now) + leak
	if over := (d.clear-now+leak-1)/leak - int64(b.Free); over > 0 {
		wait := b.Max
		if over <= 20 {
			wait = min(b.First<<(over-1), b.Max)
		}
		d.until = now + wait.Milliseconds()
	}
	s.debt[key] = d
}

// thin drops what is paid among a few entries, and makes room when there is none. A few of a Go map are a
// random sample, so the table shrinks by itself as long as anybody fails.
func (s *debtShard) thin(now int64, limit int) {
	looked, victim, first := 0, uint64(0), int64(1<<62)
	for k, d := range s.debt {
		if looked++; looked > 8 {
			break
		}
		end := max(d.clear, d.until)
		if end <= now {
			delete(s.debt, k)
			continue
		}
		if end < first {
			victim, first = k, end
		}
	}
	if len(s.debt) >= limit {
		delete(s.debt, victim)
	}
}

func (s *debtShard) forgive(key uint64) {
	s.mu.Lock()
	delete(s.debt, key)
	s.mu.Unlock()
}

func (p *provenShard) has(key uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.young[key]; ok {
		return true
	}
	_, ok := p.old[key]
	return ok
}

// add turns the generations when one has lasted Remember, or is full.
func (p *provenShard) add(now int64, key uint64, period int64, limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.young[key]; ok && now-p.turned < period {
		return
	}
	if p.young == nil || now-p.turned >= period || len(p.young) >= limit {
		p.young, p.old, p.turned = map[uint64]struct{}{}, p.young, now
	}
	p.young[key] = struct{}{}
	delete(p.old, key)
}
