package cluster

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Lease is the right to serve. The active node holds it for a short while at a time and renews it; whoever sends a packet,
// answers a request, refreshes the address or writes a record asks first.
//
// The clock is CLOCK_BOOTTIME: it goes on while the process is stopped and while the machine sleeps, and no clock step
// moves it. A process that wakes up after its lease has ended finds so before it sends anything. Asking costs two atomic
// loads and the clock (BenchmarkLease), so a media loop asks once a batch.
type Lease struct {
	until  atomic.Int64  // nanoseconds of BootTime; forever for a single node
	agreed atomic.Int64  // BootTime at which what a majority has agreed to was sent; forever where there is no majority to ask
	epoch  atomic.Uint64 // 0: this node is not the active one
	shut   atomic.Uint32 // open, or closing or shut while the role is taken over or given away
}

// What a node takes that serves.
const (
	open    uint32 = iota // everything
	closing               // nothing that begins something: what has begun ends
	shut                  // nothing
)

const forever = 1<<63 - 1

// BootTime is CLOCK_BOOTTIME.
func BootTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // cannot fail on a Linux since 2.6.39
	return time.Duration(t.Nano())
}

// Held tells whether this node may serve at this moment.
func (l *Lease) Held() bool {
	until := l.until.Load()
	return until == forever || until != 0 && int64(BootTime()) < until
}

// Admits tells whether this node may take what comes in. Before a planned change it does not any more, while it still sends: what it has
// begun ends here, with its record, and whoever asks again asks the next one.
func (l *Lease) Admits() bool { return l.shut.Load() < shut && l.Held() }

// Begins tells whether this node may take what begins something. A little before Admits it says no: what has begun hears its answers meanwhile.
func (l *Lease) Begins() bool { return l.shut.Load() == open && l.Held() }

// Epoch is the epoch in which this node is the active one, and 0 when it is not. It may be active and not hold the lease for
// a moment, when the others were slow to answer: what it would send then is not sent, and nothing else changes. Epochs grow
// with each change of the active node.
func (l *Lease) Epoch() uint64 { return l.epoch.Load() }

// begin makes this node the active one; grant lets it serve until a time of BootTime. What comes in is not taken before admit: where somebody
// else moves the address it may be here already, and a request would be answered by a switch that does not know its call yet.
func (l *Lease) begin(epoch uint64) {
	l.shut.Store(shut)
	l.epoch.Store(epoch)
}

// admit lets this node take what comes in.
func (l *Lease) admit() { l.shut.Store(open) }

func (l *Lease) grant(until time.Duration) {
	l.agreed.Store(forever)
	l.until.Store(int64(until))
}

// grantSince lets this node serve for a while from the moment on at which what a majority has agreed to was sent.
func (l *Lease) grantSince(since, life time.Duration) {
	l.agreed.Store(int64(since))
	l.until.Store(int64(since + life))
}

// since tells whether this node serves, and a majority has agreed to that later than at a BootTime.
func (l *Lease) since(at time.Duration) bool { return l.agreed.Load() > int64(at) && l.Held() }

// revoke takes the right to serve, end the role too.
func (l *Lease) revoke() { l.until.Store(0) }

func (l *Lease) end() {
	l.until.Store(0)
	l.epoch.Store(0)
}
