package transport

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A burst of a quarter of a second is taken at once, what comes above it at the rate; after a rest there is room for a burst again.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		storm := func(n int) time.Duration {
			began := time.Now()
			for range n {
				if wait := p.take(time.Now(), 400); wait > 0 {
					time.Sleep(wait)
				}
			}
			return time.Since(began)
		}
		if took := storm(100); took != 0 {
			t.Errorf("a burst took %v", took)
		}
		if took := storm(400); took != time.Second {
			t.Errorf("400 at 400 a second took %v", took)
		}
		time.Sleep(time.Minute)
		if took := storm(100); took != 0 {
			t.Errorf("after a rest a burst took %v", took)
		}
	})
}

// Connections above the rate wait and are served; none is refused.
func TestStormIsServed(t *testing.T) {
	const clients, rate = 60, 100
	l := run(t, Config{Listen: []Listen{{Name: "tcp", Proto: TCP, Address: "127.0.0.1:0"}}, Limits: Limits{ConnectionRate: rate}}, newEar())
	began := time.Now()
	all := make([]net.Conn, clients)
	for i := range all {
		c, err := net.Dial("tcp", l.testAddr(0).String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Write([]byte("\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		all[i] = c
	}
	for i, c := range all {
		if n, err := c.Read(make([]byte, 2)); n != 2 || err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
	}
	if took, least := time.Since(began), time.Duration(clients)*time.Second/rate-paceBurst-50*time.Millisecond; took < least {
		t.Errorf("%d connections were served within %v: at %d a second they take %v at least", clients, took, rate, least)
	}
	if n := l.drops(0, DropRefused); n != 0 {
		t.Errorf("%d refused", n)
	}
}
