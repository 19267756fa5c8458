package transport

import (
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"tandem/sip"
)

// BenchmarkUDPEcho is socket to Receive and back. The CPU is that of the whole process, so the client's two
// system calls are in it too.
func BenchmarkUDPEcho(b *testing.B) {
	e := &echo{}
	l := run(b, udpConfig("127.0.0.1:0"), e)
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.testAddr(0)))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	raw := []byte(options("UDP", "h", "1", "call", 1, "Contact: <sip:1001@192.0.2.7:5060>", "User-Agent: a phone of some kind 1.2.3",
		"Allow: INVITE, ACK, CANCEL, OPTIONS, BYE", "Accept: application/sdp", "Supported: replaces, timer"))
	buf := make([]byte, 2000)
	b.ReportAllocs()
	before := cpu()
	const window = 32
	for sent, got := 0, 0; got < b.N; got++ {
		for ; sent < b.N && sent < got+window; sent++ {
			if _, err := c.Write(raw); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/1000, "µs-CPU/op")
}

// BenchmarkInbox is the part without sockets: text, scan, validation, Receive.
func BenchmarkInbox(b *testing.B) {
	l := run(b, udpConfig("127.0.0.1:0"), &silent{})
	u := l.listeners[0].(*udpListener)
	in := inbox{layer: l, count: &u.count}
	raw := []byte(options("UDP", "h", "1", "call", 1, "Contact: <sip:1001@192.0.2.7:5060>", "User-Agent: a phone of some kind 1.2.3",
		"Allow: INVITE, ACK, CANCEL, OPTIONS, BYE", "Accept: application/sdp", "Supported: replaces, timer"))
	f := NewFlow(u, l.testAddr(0), l.testAddr(0))
	b.ReportAllocs()
	for b.Loop() {
		u.datagram(&in, f, raw)
	}
}

// BenchmarkIdleConnections reports what a connection costs that has said one thing and is silent now.
func BenchmarkIdleConnections(b *testing.B) {
	e := newEar()
	cfg := tcpConfig()
	cfg.Limits.ConnectionsPerSource = 5000
	l := run(b, cfg, e)
	const n = 500
	var conns []net.Conn
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := memory()
	for range n {
		c := tcpClient(b, l.testAddr(0))
		conns = append(conns, c)
		write(b, c, options("TCP", "h", "1", "call", 1))
		<-e.got
	}
	for b.Loop() {
		runtime.KeepAlive(conns)
	}
	b.ReportMetric(float64(memory()-before)/n, "bytes/conn")
}

type echo struct{}

func (*echo) Receive(f Flow, m *sip.Message) {
	var room [1024]byte
	_ = f.Send(append(room[:0], m.Raw()...))
}
func (*echo) Closed(Flow) {}

func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkTCPEcho is the same over one TCP connection, with a window.
func BenchmarkTCPEcho(b *testing.B) {
	l := run(b, tcpConfig(), &echo{})
	c := tcpClient(b, l.testAddr(0))
	raw := []byte(options("TCP", "h", "1", "call", 1))
	buf := make([]byte, 64<<10)
	b.ReportAllocs()
	before := cpu()
	total := b.N * len(raw)
	for sent, got := 0, 0; got < total; {
		for ; sent < b.N && sent*len(raw) < got+32*len(raw); sent++ {
			if _, err := c.Write(raw); err != nil {
				b.Fatal(err)
			}
		}
		n, err := c.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		got += n
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/1000, "µs-CPU/op")
}
