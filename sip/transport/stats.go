package transport

import "sync/atomic"

// maxMessage is the largest message: what sip.Message can index.
const maxMessage = 65535

// Reason is why something was dropped.
type Reason uint8

// The reasons. Each is one label of a metric.
const (
	DropGarbage    Reason = iota // no SIP start line
	DropInvalid                  // a request that was answered 4xx or 5xx here, or a response that failed validation
	DropBudget                   // a stranger over the budget
	DropPanic                    // handling the message panicked
	DropRefused                  // a connection above a cap
	DropHandshake                // TLS or WebSocket handshake failed or was late
	DropFraming                  // a stream or frame that cannot be cut into messages
	DropSlow                     // a message that did not become whole in time, or nothing for too long
	DropWriteQueue               // a peer that does not read
	DropAway                     // another node serves
	reasonCount
)

var reasonNames = [reasonCount]string{"garbage", "invalid", "budget", "panic", "refused", "handshake",
	"framing", "slow", "write_queue", "away"}

// String is the reason as a metric's label.
func (r Reason) String() string {
	if r >= reasonCount {
		return "unknown"
	}
	return reasonNames[r]
}

// Counts are the counters of one listener, or of the connections that we opened over one transport, since
// the start.
type Counts struct {
	Listener          string // empty: connections that we opened
	Proto             Proto
	In, Out           uint64 // messages
	BytesIn, BytesOut uint64 // of messages
	Connections       int    // open now
	Accepted          uint64 // connections taken or opened
	Keepalives        uint64 // CRLF, STUN and WebSocket pings received
	Errors            uint64 // reads, writes and accepts that failed
	Dropped           [reasonCount]uint64
}

// Drops calls f for each reason that has occurred.
func (c Counts) Drops(f func(r Reason, n uint64)) {
	for r, n := range c.Dropped {
		if n > 0 {
			f(Reason(r), n)
		}
	}
}

// counters are the live form of Counts.
type counters struct {
	in, bytesIn, keepalives atomic.Uint64
	_                       [64]byte // readers and writers do not share a cache line
	out, bytesOut, errors   atomic.Uint64
	accepted                atomic.Uint64
	connections             atomic.Int64
	dropped                 [reasonCount]atomic.Uint64
}

func (c *counters) drop(r Reason) { c.dropped[r].Add(1) }

func (c *counters) sent(n int) {
	c.out.Add(1)
	c.bytesOut.Add(uint64(n))
}

func (c *counters) received(n int) {
	c.in.Add(1)
	c.bytesIn.Add(uint64(n))
}

func (c *counters) counts(listener string, p Proto) Counts {
	out := Counts{
		Listener: listener, Proto: p,
		In: c.in.Load(), Out: c.out.Load(), BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Connections: int(c.connections.Load()), Accepted: c.accepted.Load(),
		Keepalives: c.keepalives.Load(), Errors: c.errors.Load(),
	}
	for r := range c.dropped {
		out.Dropped[r] = c.dropped[r].Load()
	}
	return out
}
