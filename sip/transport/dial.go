package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// dialing is a connection attempt that several callers of Connect may wait for.
type dialing struct {
	done chan struct{} // closed when flow and err are set
	flow Flow
	err  error
}

// connectStream finds or opens a connection.
func (l *Layer) connectStream(ctx context.Context, hop Hop) (Flow, error) {
	hop.ServerName = strings.ToLower(strings.TrimSuffix(hop.ServerName, "."))
	if hop.Proto == TCP {
		hop.ServerName = ""
	}
	if hop.Proto == TLS && hop.ServerName == "" {
		return Flow{}, fmt.Errorf("transport: connect to %s: no name to verify the peer against", hop)
	}
	key := peer{hop.Proto, hop.Addr, hop.ServerName}
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return Flow{}, ErrClosed
	}
	if c := l.streams.peers[key]; c != nil && c.Alive() {
		l.mu.Unlock()
		return c.flow, nil
	}
	d := l.streams.dials[key]
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		l.streams.dials[key] = d
		l.wg.Go(func() { l.dial(d, hop, key) })
	}
	l.mu.Unlock()
	select {
	case <-d.done:
		return d.flow, d.err
	case <-ctx.Done():
		return Flow{}, fmt.Errorf("transport: connect to %s: %w", hop, ctx.Err())
	}
}

// dial opens one connection. It goes on when the caller gives up: the next request may use it.
func (l *Layer) dial(d *dialing, hop Hop, key peer) {
	d.flow, d.err = l.open(hop, key)
	if d.err != nil {
		l.opened[hop.Proto].errors.Add(1)
	}
	l.mu.Lock()
	delete(l.streams.dials, key)
	l.mu.Unlock()
	close(d.done)
}

func (l *Layer) open(hop Hop, key peer) (Flow, error) {
	home, local, err := l.home(hop.Proto, hop.Addr)
	if err != nil {
		return Flow{}, err
	}
	ctx, cancel := context.WithTimeout(l.streams.ctx, l.limits().Dial)
	defer cancel()
	dialer := net.Dialer{}
	if local.Addr().IsValid() && !local.Addr().IsUnspecified() {
		// The address only: the listener has the port, and a port of our own choosing would close the way for a
		// second connection to the same peer.
		dialer.LocalAddr = &net.TCPAddr{IP: local.Addr().AsSlice(), Zone: local.Addr().Zone()}
	}
	nc, err := dialer.DialContext(ctx, "tcp", hop.Addr.String())
	if err != nil {
		return Flow{}, fmt.Errorf("transport: connect to %s: %w", hop, err)
	}
	c := newConn(l, nc, home.(*streamListener), hop.Proto)
	c.count = &l.opened[hop.Proto]
	if hop.Proto == TLS {
		if err := c.dialTLS(ctx, hop.ServerName); err != nil {
			nc.Close()
			c.count.drop(DropHandshake)
			return Flow{}, fmt.Errorf("transport: connect to %s as %q: %w", hop, hop.ServerName, err)
		}
	}
	lim := l.limits()
	c.pulse = pulse{idle: lim.Idle, ping: l.tempo.ping}
	c.ready = true
	if !l.enter(c, netip.Addr{}, c.opened) {
		nc.Close()
		c.count.drop(DropRefused)
		return Flow{}, fmt.Errorf("transport: connect to %s: %w", hop, errFull)
	}
	l.offer(c, []peer{key})
	return c.flow, nil
}

var errFull = errors.New("too many connections; raise the limit of connections or of open files")

// opened serves a connection that we made.
func (c *conn) opened() {
	defer c.end()
	_ = c.raw.SetDeadline(time.Time{})
	c.read(nil)
}
