package cluster

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Lease is the right to serve. The active node holds it for a short while at a time and renews it; whoever sends a packet,
// answers a request, refreshes the address or writes a record asks first. Asking costs two atomic loads and a read of the
// clock without a system call (about 50 ns), so a media loop asks once a batch.
//
// The clock is CLOCK_BOOTTIME: it goes on while the process is stopped and while the machine sleeps, and no clock step
// moves it. A process that wakes up after its lease has ended finds so before it sends anything.
type Lease struct {
	until atomic.Int64 // nanoseconds of BootTime; forever for a single node
	epoch atomic.Uint64
}

const forever = 1<<63 - 1

// newLease is that of a single node: it has no rival and always holds it.
func newLease(epoch uint64) *Lease {
	l := &Lease{}
	l.epoch.Store(epoch)
	l.until.Store(forever)
	return l
}

// BootTime is CLOCK_BOOTTIME.
func BootTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // cannot fail on a Linux since 2.6.39
	return time.Duration(t.Nano())
}

// Held tells whether this node is the active one at this moment.
func (l *Lease) Held() bool {
	until := l.until.Load()
	return until == forever || int64(BootTime()) < until
}

// Epoch is the epoch of the lease and whether it is held. Epochs grow with each change of the active node.
func (l *Lease) Epoch() (epoch uint64, held bool) {
	epoch = l.epoch.Load()
	return epoch, l.Held() && epoch == l.epoch.Load()
}
