package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ear listens at the phones' end of the cable to what comes from an address that moves, and tells by the Ethernet address which node
// each datagram is of.
type ear struct {
	p      *Pair
	fd     int
	from   [4]byte // the address
	names  map[[6]byte]string
	stop   chan struct{}
	closed sync.WaitGroup

	mu      sync.Mutex
	speaks  string              // the node that was heard last; empty: none yet
	began   time.Time           // when it was heard first
	until   time.Time           // when it was heard last
	counts  map[string]int      // datagrams of each node
	overlap map[string][]string // what a node sent after another one had begun
	silence time.Duration       // from the last word of one node to the first of the next
}

// listen begins to listen to the virtual address; done ends it.
func (p *Pair) listen() *ear {
	p.t.Helper()
	return p.hear(virtual, "a", "b")
}

// hear begins to listen to an address that one of some nodes has.
func (p *Pair) hear(address string, nodes ...string) *ear {
	p.t.Helper()
	e := &ear{
		p: p, from: netip.MustParseAddr(address).As4(), names: map[[6]byte]string{}, stop: make(chan struct{}),
		counts: map[string]int{}, overlap: map[string][]string{},
	}
	for _, name := range nodes {
		p.inside(name, func() {
			if i, err := net.InterfaceByName("eth0"); err == nil {
				e.names[[6]byte(i.HardwareAddr)] = name
			}
		})
	}
	var err error
	p.inside("phones", func() {
		const allIP = unix.ETH_P_IP<<8&0xff00 | unix.ETH_P_IP>>8 // in network order
		e.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, allIP)
	})
	if err == nil {
		_ = unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
		err = unix.SetsockoptTimeval(e.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	}
	if err != nil {
		p.t.Fatalf("packet socket: %v", err)
	}
	e.closed.Go(e.hear)
	return e
}

// hears waits until a node has been heard: one that dies between two packets would not count as having spoken.
func (e *ear) hears(name string) {
	e.p.t.Helper()
	e.p.eventually(5*time.Second, name+" heard on the wire", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.counts[name] > 0
	})
}

func (e *ear) hear() {
	defer func() { _ = unix.Close(e.fd) }()
	frame := make([]byte, 256)
	for {
		select {
		case <-e.stop:
			return
		default:
		}
		n, _, err := unix.Recvfrom(e.fd, frame, 0)
		if err != nil || n < 34 || frame[23] != unix.IPPROTO_UDP || [4]byte(frame[26:30]) != e.from {
			continue
		}
		if name := e.names[[6]byte(frame[6:12])]; name != "" {
			e.take(name, time.Now(), frame[:n])
		}
	}
}

// take counts a datagram. A node that spoke before the one that speaks now has no word any more.
func (e *ear) take(name string, now time.Time, frame []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts[name]++
	switch {
	case e.speaks == name || e.speaks == "":
	case e.counts[name] == 1:
		e.silence = now.Sub(e.until)
	default:
		e.overlap[name] = append(e.overlap[name], fmt.Sprintf("%v: %q", now.Sub(e.began), frame[14:min(len(frame), 80)]))
		return
	}
	if e.speaks != name {
		e.began = now
	}
	e.speaks, e.until = name, now
}

// done ends the listening. Nobody but the last of so many nodes may have spoken once it had begun.
func (e *ear) done(nodes int) (silence time.Duration) {
	e.p.t.Helper()
	if silence = e.end(); len(e.counts) != nodes {
		e.p.t.Errorf("datagrams of each node: %v", e.counts)
	}
	return silence
}

// end is done of as many nodes as there may be.
func (e *ear) end() (silence time.Duration) {
	e.p.t.Helper()
	close(e.stop)
	e.closed.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, late := range e.overlap {
		e.p.t.Errorf("node %s sent %d datagrams after %s had begun to serve, the first of them so long after, from the IP header on:\n%s", name, len(late), e.speaks, strings.Join(late[:min(len(late), 8)], "\n"))
	}
	return e.silence
}
