package phones

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// A phone on IPv6 and one on IPv4 call each other.
func TestIPv6(t *testing.T) {
	t.Parallel()
	port := freePort(t, "::1")
	o := open(t, fmt.Sprintf(`
listen "udp6" {
  transport = "udp"
  address   = "[::1]:%d"
}
listen "tcp6" {
  transport = "tcp"
  address   = "[::1]:%d"
}
`, port, port))
	t.Run("calls", func(t *testing.T) {
		for i, c := range []struct{ six, four string }{{"udp", "udp"}, {"tcp", "wss"}, {"udp", "tls"}} {
			six, four := o.config(o.extension(t), c.six), o.config(o.extension(t), c.four)
			six.Server, six.Domain = fmt.Sprintf("[::1]:%d", port), "example.com"
			t.Run("IPv6 "+c.six+" and IPv4 "+c.four, func(t *testing.T) {
				t.Parallel()
				for _, pair := range [][2]phone.Config{{six, four}, {four, six}} {
					o.conversation(t, pair[0], pair[1], i%2 == 0)
				}
			})
		}
		t.Run("by the address of the server alone", func(t *testing.T) {
			t.Parallel()
			six := o.config(o.extension(t), "udp")
			six.Server = fmt.Sprintf("[::1]:%d", port)
			a := register(t, six)
			call, err := a.Call(within(t), "9196", phone.CallOptions{Play: "tone:440"})
			must(t, "call", err)
			hear(t, "echo", call, 440)
			must(t, "hang up", call.Hangup(within(t)))
		})
	})
	o.Idle(patience)
}

// An IPv6 address without a name is a domain like any other, and the realm of its passwords.
func TestIPv6Domain(t *testing.T) {
	t.Parallel()
	port := freePort(t, "::1")
	s := binary.Start(t, strings.Replace(binary.Office, `domains   = ["HOST", "example.com"]`, `domains   = ["::1"]`, 1)+binary.Media+fmt.Sprintf(`
listen "udp6" {
  transport = "udp"
  address   = "[::1]:%d"
}
`, port))
	six := phone.Config{Server: fmt.Sprintf("[::1]:%d", port), User: "1001", Password: binary.Password}
	a := register(t, six)
	call, err := a.Call(within(t), "9196", phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	hear(t, "echo", call, 440)
	must(t, "hang up", call.Hangup(within(t)))
	s.Idle(patience)
}

// freePort is one that was free a moment ago, for UDP and TCP. Where the machine has no such address, the test is left out.
func freePort(t *testing.T, ip string) int {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		if err != nil {
			t.Skipf("no address %s on this machine: %v", ip, err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		conn, err := net.ListenPacket("udp", l.Addr().String())
		_ = l.Close()
		if err == nil {
			_ = conn.Close()
			return port
		}
	}
	t.Fatalf("no free port at %s", ip)
	return 0
}
