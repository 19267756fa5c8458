package phones

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
)

// The connection of a phone is cut: it registers over a new one, and calls reach it there. A call in progress goes on,
// and ends over the new connection.
func TestConnectionCut(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("phones", func(t *testing.T) {
		for _, transport := range []string{"tcp", "tls", "ws", "wss"} {
			t.Run(transport, func(t *testing.T) {
				t.Parallel()
				a, _ := o.desk(t, "udp")
				line := newLine(t, o.Addr(ports[transport]))
				c := o.config(o.extension(t), transport)
				c.Domain, c.ServerName, c.Server = o.Host, o.Host, line.address()
				c.Outbound, c.KeepAlive, c.Answer = true, 100*time.Millisecond, phone.AutoAnswer("tone:660")
				b := register(t, c)
				reaches(t, a, b, c.User)

				call, err := a.Call(within(t), c.User, phone.CallOptions{Play: "tone:440"})
				must(t, "call", err)
				other := incoming(t, b)
				hear(t, "caller", call, 660)
				before := b.Registration().Count
				line.cut()
				until(t, "registered over a new connection", func() bool { return b.Registration().Count > before })
				hear(t, "caller after the cut", call, 660)
				hear(t, "callee after the cut", other, 440)
				must(t, "hang up", call.Hangup(within(t)))
				ended(t, other, phone.ByRemote)

				reaches(t, a, b, c.User)
			})
		}
	})
	o.Idle(patience)
}

// A connection breaks while it rings: nothing is left behind, whichever side it was.
func TestConnectionCutWhileRinging(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for _, transport := range []string{"tcp", "wss"} {
			for _, side := range []string{"caller", "callee"} {
				t.Run(side+" over "+transport, func(t *testing.T) {
					t.Parallel()
					line := newLine(t, o.Addr(ports[transport]))
					cut := o.config(o.extension(t), transport)
					cut.Domain, cut.ServerName, cut.Server = o.Host, o.Host, line.address()
					whole := o.config(o.extension(t), "udp")
					from, to := cut, whole
					if side == "callee" {
						from, to = whole, cut
					}
					a, b := register(t, from), register(t, to)
					call, err := a.Dial(within(t), to.User, phone.CallOptions{})
					must(t, "dial", err)
					other := incoming(t, b)
					must(t, "ringing", call.WaitRinging(within(t)))
					line.cut()
					if side == "caller" {
						ended(t, other, phone.ByRemote)
					} else if e := ended(t, call, phone.ByRemote); e.Status != 480 {
						t.Errorf("caller: %+v, want 480", e)
					}
					o.record(t, from.User, 1)
				})
			}
		}
	})
	o.Idle(patience)
}

// A line is a TCP relay that can be cut.
type line struct {
	to       string
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	dead  bool // new connections are closed at once
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l := &line{to: to}
	var err error
	l.listener, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, "listen", err)
	l.running.Go(l.accept)
	t.Cleanup(func() {
		_ = l.listener.Close()
		l.cut()
		l.running.Wait()
	})
	return l
}

func (l *line) address() string { return l.listener.Addr().String() }

func (l *line) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		l.mu.Lock()
		if l.dead {
			l.mu.Unlock()
			_, _ = near.Close(), far.Close()
			continue
		}
		l.conns = append(l.conns, near, far)
		l.mu.Unlock()
		for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
			l.running.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				_, _ = near.Close(), far.Close()
			})
		}
	}
}

// cutFor cuts it until mend is called.
func (l *line) cutFor() (mend func()) {
	l.mu.Lock()
	l.dead = true
	l.mu.Unlock()
	l.cut()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.dead = false
	}
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}
