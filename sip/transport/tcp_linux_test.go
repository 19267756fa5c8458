package transport

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A connection of ours leaves the kernel soon after its process has died, whatever its peer does.
func TestTuneTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	tuneTCP(nc)
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[int]time.Duration{unix.TCP_LINGER2: halfClosed / time.Second, unix.TCP_USER_TIMEOUT: userTimeout / time.Millisecond} {
		got := 0
		if err := control(raw, func(fd int) (err error) { got, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, option); return err }); err != nil || got != int(want) {
			t.Errorf("option %d is %d, want %d (%v)", option, got, want, err)
		}
	}
}
