package stranger

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"tandem/test/binary"
)

// Peers that are slow in every way that a stream allows, from several addresses each up to what one may hold.
func TestSlowPeers(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until the switch has lost patience with every one of them: run without -short")
	}
	undisturbed(t, func(o *office) {
		var wg sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		open := func(kind, port int) {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(binary.Host())}}
			c, err := d.Dial("tcp", o.Addr(port))
			if err != nil {
				t.Errorf("dial: %v", err)
				return
			}
			wg.Go(func() {
				drag(ctx, kind, c)
				if ctx.Err() != nil && kind != 1 { // who talks without listening is slowed down before it is closed
					t.Errorf("a slow peer of kind %d on port %d was not closed", kind, port)
				}
			})
		}
		for n := range 300 {
			port := []int{5060, 5061, 5066, 7443}[n%4]
			open(n/4%4, port)
		}
		// New phones still get in over every stream, while all that goes on.
		for _, proto := range []string{"TCP", "TLS", "WS", "WSS"} {
			p := o.over(proto, "1004")
			ping(t, p)
			p.Close()
		}
		wg.Wait()
		// 400 at once and 50 a second for each of them: more was not even read.
		if n := o.Metrics()[`tandem_sip_messages_total{direction="in",listener="tcp",transport="tcp"}`]; n > 30000 {
			t.Errorf("%v messages were taken over TCP", n)
		}
	})
}

// drag is one slow peer, until the switch closes it: 0 sends a byte a second, 1 sends requests and never reads, 2 sends
// nothing, 3 sends half of a TLS handshake or of an upgrade.
func drag(ctx context.Context, kind int, c net.Conn) {
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	gone := make(chan struct{})
	if kind != 1 {
		go func() { _, _ = io.Copy(io.Discard, c); close(gone) }()
	}
	switch kind {
	case 0:
		text := "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKx\r\n"
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for i := range len(text) {
			if _, err := c.Write([]byte{text[i]}); err != nil {
				return
			}
			select {
			case <-gone:
				return
			case <-tick.C:
			}
		}
	case 1:
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		for i := 0; ; i++ {
			_, err := fmt.Fprintf(c, "OPTIONS sip:1001@h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK%d\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", i, i)
			if err != nil {
				return
			}
		}
	case 3:
		if c.RemoteAddr().(*net.TCPAddr).Port == 5066 {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n")
			break
		}
		half := &firstWrite{Conn: c}
		_ = tls.Client(half, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) // the ClientHello is cut short
	}
	<-gone
}

// firstWrite lets half of the first write out, and nothing after.
type firstWrite struct {
	net.Conn
	wrote bool
}

func (f *firstWrite) Write(p []byte) (int, error) {
	if !f.wrote {
		f.wrote = true
		if _, err := f.Conn.Write(p[:len(p)/2]); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	return 0, os.ErrClosed
}

func (f *firstWrite) Read([]byte) (int, error) { return 0, os.ErrClosed }
