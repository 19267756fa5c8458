package browser

import (
	"io"
	"net"
	"sync"
	"testing"
)

// wire is a network between browser and switch that can be cut: TCP only, so that sound is not touched.
type wire struct {
	addr, to string
	l        net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	broken bool
	conns  map[net.Conn]struct{}
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, "wire", err)
	w := &wire{addr: l.Addr().String(), to: to, l: l, conns: map[net.Conn]struct{}{}}
	w.running.Go(w.accept)
	t.Cleanup(func() {
		_ = l.Close()
		w.cut()
		w.running.Wait()
	})
	return w
}

func (w *wire) accept() {
	for {
		c, err := w.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.to)
		if err != nil || !w.keep(c, far) {
			_ = c.Close()
			if err == nil {
				_ = far.Close()
			}
			continue
		}
		for from, to := range map[net.Conn]net.Conn{c: far, far: c} {
			w.running.Go(func() {
				_, _ = io.Copy(to, from)
				w.drop(c, far)
			})
		}
	}
}

// keep remembers a connection; false while the wire is cut.
func (w *wire) keep(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		w.conns[c] = struct{}{}
	}
	return !w.broken
}

func (w *wire) drop(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(w.conns, c)
	}
}

// cut ends all connections, and refuses new ones until mend.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = true
	for c := range w.conns {
		_ = c.Close()
	}
	clear(w.conns)
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = false
}
