package transport

import (
	"errors"
	"net/netip"
	"os"
	"time"
	"unicode/utf8"
)

// Send implements Link; the addresses are those of the connection whatever is given.
func (c *conn) Send(_, _ netip.AddrPort, raw []byte) error {
	if len(raw) > maxMessage {
		return ErrTooLarge
	}
	op := byte(0)
	if c.web != nil {
		// In kind, but a browser ends the connection over text that is no UTF-8 (RFC 6455 §8.1).
		if op = byte(c.kind.Load()); op == opText && !utf8.Valid(raw) {
			op = opBinary
		}
	}
	if err := c.push(raw, op); err != nil {
		return err
	}
	c.count.sent(len(raw))
	return nil
}

// push queues bytes, as one WebSocket frame where op is not 0, and sees to it that a writer runs. A peer whose
// queue is full does not read: the connection is closed.
func (c *conn) push(raw []byte, op byte) error {
	limit := c.layer.limits().WriteQueue
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.leaving {
		return ErrClosed
	}
	if len(c.queue)+c.flight+len(raw) > limit {
		c.count.drop(DropWriteQueue)
		c.gone.Store(true)
		c.leaving = true
		c.queue = nil
		reset(c.raw) // the reader ends with it
		return ErrQueueFull
	}
	c.enqueue(raw, op)
	return nil
}

// enqueue is called under c.mu, while the reader's goroutine lives.
func (c *conn) enqueue(raw []byte, op byte) {
	if c.queue == nil {
		c.queue = (*c.layer.buffers.Get().(*[]byte))[:0]
	}
	if op != 0 {
		c.queue = appendFrameHeader(c.queue, op, len(raw))
	}
	c.queue = append(c.queue, raw...)
	if !c.writing {
		c.writing = true
		c.layer.wg.Go(c.write)
	}
}

// write empties the queue and ends.
func (c *conn) write() {
	for {
		c.permitted()
		batch, over := c.batch()
		if over {
			c.hangUp()
		}
		if batch == nil {
			return
		}
		_, err := c.nc.Write(batch)
		if cap(batch) == readBuffer {
			batch = batch[:readBuffer]
			c.layer.buffers.Put(&batch)
		}
		if err != nil {
			c.unwritten(err)
			return
		}
	}
}

// batch takes all that is queued. When there is nothing, the writer has ended with the lock still held, so
// that the next message starts another one; over tells that no message will come.
func (c *conn) batch() (batch []byte, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flight = 0
	if c.closed || len(c.queue) == 0 {
		c.writing = false
		return nil, c.leaving && !c.closed
	}
	batch, c.queue, c.flight = c.queue, nil, len(c.queue)
	d := c.layer.limits().Write
	if c.leaving {
		d = farewell
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(d)) // fails on a closed socket only; Write tells
	return batch, false
}

// unwritten ends a connection that does not take what we write: over TLS the stream is broken by now.
func (c *conn) unwritten(err error) {
	c.mu.Lock()
	c.writing, c.flight, c.queue = false, 0, nil
	leaving := c.leaving
	c.leaving = true
	c.mu.Unlock()
	c.gone.Store(true)
	reset(c.raw)
	if leaving {
		return
	}
	c.count.errors.Add(1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.count.drop(DropSlow)
	}
}

// leave closes the connection after what is queued, and for a WebSocket after a Close frame.
func (c *conn) leave() { c.leaveFor(closeGoingAway) }

func (c *conn) leaveFor(code int) {
	if c.lastWords(code) {
		c.hangUp()
	}
}

// lastWords tells whether nothing is left to be written.
func (c *conn) lastWords(code int) (over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.leaving {
		return false
	}
	if !c.ready {
		c.raw.Close()
		return false
	}
	if c.web != nil {
		c.enqueue([]byte{byte(code >> 8), byte(code)}, opClose)
	}
	c.leaving = true
	c.gone.Store(true)
	_ = c.nc.SetReadDeadline(time.Now().Add(farewell)) // fails on a closed socket only
	return !c.writing
}

// hangUp says that nothing more comes; the reader ends when the peer agrees, or at its deadline.
func (c *conn) hangUp() {
	type halfCloser interface{ CloseWrite() error }
	if h, ok := c.nc.(halfCloser); !ok || h.CloseWrite() != nil {
		c.raw.Close()
	}
}
