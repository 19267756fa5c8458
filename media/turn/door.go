package turn

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// requestsPerSecond is how many requests of one source are read: an answer to somebody unproven is longer than what
	// asked for it, and may go to an address that was forged. A browser needs about ten in all.
	requestsPerSecond = 30
	// maxSources bounds the memory of one second.
	maxSources = 10_000
	// connections over TCP: of all, and of one source.
	maxConnections, maxPerSource = 2000, 32
	// firstWord is how long a connection may say nothing at first; quiet how long later: a client refreshes its allocation
	// every ten minutes at least (RFC 8656 §3.9), and sends media long before that.
	firstWord, quiet = 10 * time.Second, 11 * time.Minute
)

// paced is the UDP socket, with requests counted by source. Media of clients (ChannelData, Send indications) is not.
type paced struct {
	net.PacketConn
	server *Server

	second time.Time // of the counts below; ReadFrom runs in one goroutine
	counts map[netip.Addr]int
}

func (p *paced) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := p.PacketConn.ReadFrom(b)
		if err != nil || n == 0 || !isRequest(b[:n]) || p.mayAsk(addrPort(from).Addr(), time.Now()) {
			return n, from, err
		}
		p.server.bySrc.Add(1)
	}
}

// isRequest tells whether a packet asks for an answer (RFC 8489 §5: class 0).
func isRequest(b []byte) bool {
	return len(b) >= 20 && b[0]&0xc0 == 0 && b[0]&0x01 == 0 && b[1]&0x10 == 0
}

func (p *paced) mayAsk(from netip.Addr, now time.Time) bool {
	if p.counts == nil || now.Sub(p.second) >= time.Second {
		p.second, p.counts = now, map[netip.Addr]int{}
	}
	from = source(from)
	if _, known := p.counts[from]; !known && len(p.counts) >= maxSources {
		return false
	}
	p.counts[from]++
	return p.counts[from] <= requestsPerSecond
}

// source is whom an address counts for: an IPv6 host has a /64.
func source(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// door takes connections, a bounded number of them, and closes those that say nothing.
type door struct {
	net.Listener
	mu      sync.Mutex
	total   int
	sources map[netip.Addr]int
}

func newDoor(l net.Listener) *door { return &door{Listener: l, sources: map[netip.Addr]int{}} }

func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, _ := c.RemoteAddr().(*net.TCPAddr)
		from := source(tcp.AddrPort().Addr())
		if d.enter(from) {
			return &guest{Conn: c, wait: firstWord, leave: sync.OnceFunc(func() { d.exit(from) })}, nil
		}
		_ = c.Close()
	}
}

func (d *door) enter(from netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.total >= maxConnections || d.sources[from] >= maxPerSource {
		return false
	}
	d.total++
	d.sources[from]++
	return true
}

func (d *door) exit(from netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total--
	if d.sources[from]--; d.sources[from] == 0 {
		delete(d.sources, from)
	}
}

// guest is a connection with a limit on its silence.
type guest struct {
	net.Conn
	wait  time.Duration // of the goroutine that reads
	leave func()
}

func (g *guest) Read(b []byte) (int, error) {
	_ = g.SetReadDeadline(time.Now().Add(g.wait)) // fails on a closed socket only, which Read tells of
	n, err := g.Conn.Read(b)
	g.wait = quiet
	return n, err
}

// Write gives a client that does not read ten seconds; then its stream is broken in any case.
func (g *guest) Write(b []byte) (int, error) {
	_ = g.SetWriteDeadline(time.Now().Add(firstWord))
	return g.Conn.Write(b)
}

func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}
