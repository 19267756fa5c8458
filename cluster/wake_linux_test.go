package cluster

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"
)

// The checksum of a segment with its pseudo header and checksum in it is zero (RFC 1071 §1).
func TestLostSegment(t *testing.T) {
	for _, ends := range [][2]string{{"192.0.2.1:5061", "198.51.100.9:40000"}, {"[2001:db8::1]:5061", "[2001:db8::9]:40000"}} {
		from, to := netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1])
		if sum := tcpChecksum(from.Addr(), to.Addr(), lostSegment(from, to)); sum != 0 {
			t.Errorf("%v: %#x", ends, sum)
		}
	}
}

// A connection that lives takes no harm: its peer goes on.
func TestWakeHarmsNoLiveConnection(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("raw sockets need root")
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		var w Waker
		defer w.Close()
		local, remote := server.LocalAddr().(*net.TCPAddr).AddrPort(), client.RemoteAddr().(*net.TCPAddr).AddrPort()
		if local != remote {
			t.Fatal(local, remote)
		}
		err = w.Wake(local, client.LocalAddr().(*net.TCPAddr).AddrPort())
		if errors.Is(err, syscall.EPERM) {
			t.Skip("raw sockets need CAP_NET_RAW")
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.Write([]byte("still here")); err != nil {
			t.Fatal(err)
		}
		_ = client.SetReadDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 10)
		if n, err := client.Read(buf); err != nil || string(buf[:n]) != "still here" {
			t.Errorf("%s: %q, %v", host, buf[:n], err)
		}
	}
}
