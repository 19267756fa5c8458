//go:build linux && !portable

package media

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"
)

// A browser whose network lets no UDP through comes by TCP (RFC 6544); a phone hears it as any other.
func TestBrowserByTCP(t *testing.T) {
	e := run(t, local)
	a, b := talking(t, e, browserOptions{set: func(s *webrtc.SettingEngine) { s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4}) }})
	a.connected()
	for range 5 {
		exchange(a, b)
	}
	if s := a.s.Stats(); s.In.Packets != 5 || s.Suite == "" {
		t.Errorf("stats %+v", s)
	}
	a.s.Close()
	if ufrags, places := e.relay.Browsers(); ufrags != 0 || places != 0 {
		t.Errorf("%d fragments and %d places remain", ufrags, places)
	}
}

// frame is a datagram as RFC 4571 sends it.
func frame(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

// Strangers on the TCP port are few, short and cheap: what is no frame ends the connection, what does not verify is met with silence, and too many from one
// address are not let in.
func TestStrangersByTCP(t *testing.T) {
	e := run(t, local)
	a, b := talking(t, e, browserOptions{})
	a.connected()
	dial := func() net.Conn {
		c, err := net.Dial("tcp4", a.s.Local().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	// ended waits for the end of a connection, and fails at an answer.
	ended := func(c net.Conn, within time.Duration) bool {
		if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(make([]byte, 100))
		if n > 0 {
			t.Errorf("answered with %d bytes", n)
		}
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	unsigned, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(a.s.web.own.Ufrag+":x"), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		send []byte
		ends bool
	}{
		"a frame that is too long": {[]byte{0xff, 0xff, 0, 1}, true},
		"an empty frame":           {[]byte{0, 0}, true},
		"HTTP":                     {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), true},
		"half a frame":             {[]byte{0, 100, 0, 1}, false},
		"an unsigned check":        {frame(unsigned.Raw), false},
		"RTP":                      {frame(make([]byte, 172)), false},
	} {
		x := dial()
		if _, err := x.Write(c.send); err != nil {
			t.Fatal(err)
		}
		wait := 50 * time.Millisecond
		if c.ends {
			wait = 3 * time.Second
		}
		if ended(x, wait) != c.ends {
			t.Errorf("%s: ended %v", name, !c.ends)
		}
		_ = x.Close()
	}
	// Frames that verify nothing, until the bytes of a stranger are used up.
	x := dial()
	for range 100 {
		if _, err := x.Write(frame(make([]byte, 1000))); err != nil {
			break
		}
	}
	if !ended(x, 3*time.Second) {
		t.Error("a stranger may send without end")
	}
	// Too many from one address.
	refused := 0
	for range 40 {
		if c := dial(); ended(c, 20*time.Millisecond) {
			refused++
		}
	}
	if refused < 20 {
		t.Errorf("%d of 40 connections refused", refused)
	}
	exchange(a, b)
}
