package transaction

import (
	"errors"
	"runtime"
	"time"
)

// Errors of Send and Respond. Those of the flow are passed on as they are.
var (
	ErrRequest    = errors.New("transaction: not a request with a branch of RFC 3261 in its top Via")
	ErrBranch     = errors.New("transaction: branch is in use already")
	ErrFull       = errors.New("transaction: table is full")
	ErrResponse   = errors.New("transaction: not a response")
	ErrFinal      = errors.New("transaction: a final response was sent already")
	ErrTerminated = errors.New("transaction: has ended")
)

// Config tunes a Table. The zero value of a field means its default.
type Config struct {
	T1     time.Duration // estimate of a round trip, default 500 ms (RFC 3261 §17.1.1.1)
	T2     time.Duration // longest interval of non-INVITE requests and INVITE responses, default 4 s
	T4     time.Duration // how long the network keeps a message, default 5 s
	D      time.Duration // how long a refused INVITE over UDP absorbs repeated responses, default 32 s
	TimerC time.Duration // longest wait after a provisional response to our INVITE (RFC 3261 §16.6 step 11); 0: the user's own affair
	Shards int           // locks and timer goroutines, rounded up to a power of two; default 4 for each core, at least 8, at most 64
	// Max bounds the live transactions, lingering ones included; default 200000 (some 200 MB). Beyond it new
	// requests outside dialogs get a stateless 503 with Retry-After. An eighth more is left to requests
	// inside dialogs and to our own, so that calls which were admitted can be connected and ended.
	Max int
	Now func() time.Time // default time.Now
}

// tryingDelay is how long the user may take before the table sends 100 (RFC 3261 §17.2.1).
const tryingDelay = 200 * time.Millisecond

// Timers are the durations that a Machine lives by. All but C must be positive.
type Timers struct{ T1, T2, T4, D, C, Trying time.Duration }

// giveUp is 64*T1: timers B, F, H, J, L and M.
func (t *Timers) giveUp() time.Duration { return 64 * t.T1 }

func (c Config) withDefaults() Config {
	setDefault(&c.T1, 500*time.Millisecond)
	setDefault(&c.T2, 4*time.Second)
	setDefault(&c.T4, 5*time.Second)
	setDefault(&c.D, 32*time.Second)
	if c.Shards <= 0 {
		c.Shards = min(max(4*runtime.GOMAXPROCS(0), 8), 64)
	}
	shards := 1
	for shards < c.Shards {
		shards *= 2
	}
	c.Shards = shards
	if c.Max <= 0 {
		c.Max = 200_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func setDefault(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

func (c Config) timers() Timers {
	return Timers{T1: c.T1, T2: c.T2, T4: c.T4, D: c.D, C: c.TimerC, Trying: tryingDelay}
}
