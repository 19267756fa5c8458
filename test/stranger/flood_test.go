package stranger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"tandem/sip/siptest/siptorture"
	"tandem/test/binary"
)

// seeds of mutations.
func seeds() (all [][]byte) {
	for _, m := range siptorture.Messages() {
		all = append(all, []byte(m.Raw))
	}
	return all
}

// mutant changes a few bytes of a message, cuts it, or doubles a piece of it.
func mutant(r *rand.Rand, from [][]byte) []byte {
	b := append([]byte(nil), from[r.IntN(len(from))]...)
	for range 1 + r.IntN(4) {
		switch i := r.IntN(len(b)); r.IntN(4) {
		case 0:
			b[i] = byte(r.Uint32())
		case 1:
			b = b[:i+1]
		case 2:
			b = append(b[:i:i], append([]byte(nil), b[i/2:]...)...)
		case 3:
			b[i] = ";,<>\"\\\r\n: =@%\x00"[r.IntN(14)]
		}
	}
	return b[:min(len(b), 8000)]
}

// A source of packets gives the next one; it is used by one goroutine.
type source func(r *rand.Rand, n int) []byte

// garbled are random bytes and mutated messages.
func garbled() source {
	messages := seeds()
	garbage := make([]byte, 1200)
	return func(r *rand.Rand, n int) []byte {
		if n%3 != 0 {
			return mutant(r, messages)
		}
		for i := range garbage {
			garbage[i] = byte(r.Uint32())
		}
		return garbage[:1+r.IntN(len(garbage))]
	}
}

// polite are requests as a phone would send them, without credentials or with wrong ones, and responses to nothing.
func polite(host string) source {
	return func(r *rand.Rand, n int) []byte {
		method := []string{"REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE", "BYE", "ACK"}[n%7]
		credentials := ""
		if n%2 == 0 {
			credentials = fmt.Sprintf("Authorization: Digest username=\"%d\", realm=\"%s\", nonce=\"%x\", uri=\"sip:%s\", response=\"%032x\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"x\"\r\n",
				1001+n%9, host, r.Uint64(), host, r.Uint64())
		}
		start := method + " sip:1002@" + host + " SIP/2.0"
		if n%11 == 0 {
			start = "SIP/2.0 200 OK"
		}
		return fmt.Appendf(nil, "%s\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK%x\r\nFrom: <sip:1001@%s>;tag=%x\r\nTo: <sip:1002@%s>\r\nCall-ID: %x\r\nCSeq: 1 %s\r\nMax-Forwards: 70\r\n%sContent-Length: 0\r\n\r\n",
			start, r.Uint64(), host, r.Uint32(), host, r.Uint64(), method, credentials)
	}
}

// flood sends from all sockets together at a rate, until ctx ends; it gives the number of packets.
func flood(ctx context.Context, from []*net.UDPConn, to *net.UDPAddr, rate int, next source) (sent int) {
	r := rand.New(rand.NewPCG(1, 2))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		for range rate / 200 {
			_, _ = from[sent%len(from)].WriteToUDP(next(r, sent), to)
			sent++
		}
		select {
		case <-ctx.Done():
			return sent
		case <-tick.C:
		}
	}
}

// undisturbed runs trouble while a call goes on, one side of it over TCP, and asks for no loss of media to speak of,
// an answer to every ping of a phone that stands by, bounded memory, and all file descriptors back.
func undisturbed(t *testing.T, trouble func(o *office)) {
	t.Helper()
	o := open(t)
	alice, bob, other := o.phone("1001"), o.over("TCP", "1002"), o.phone("1003")
	c := connect(t, alice, bob)
	before := o.Process()
	done := make(chan struct{})
	var worst atomic.Int64
	var missed atomic.Int32
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		quit := other.Ended()
		for {
			start := time.Now()
			if _, ok := other.Try(other.New("OPTIONS", "1003"), 2*time.Second); !ok {
				select {
				case <-quit:
					return
				default:
					missed.Add(1)
				}
			}
			worst.Store(max(worst.Load(), int64(time.Since(start))))
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	}()
	peak := watchMemory(o, done)
	trouble(o)
	c.goesOn()
	other.Close()
	<-done
	got, lost := c.pure()
	t.Logf("media: %d packets, %d lost; slowest ping %v; memory %d MB before, %d MB at its peak; %d descriptors before",
		got, lost, time.Duration(worst.Load()), before.RSS>>20, peak.Load()>>20, before.FDs)
	if lost*1000 > got {
		t.Errorf("%d of %d media packets were lost", lost, got)
	}
	if missed.Load() != 0 {
		t.Errorf("%d pings were not answered within 2 s", missed.Load())
	}
	if grown := peak.Load() - before.RSS; grown > 64<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
	c.end()
	o.Idle(5 * time.Second)
	o.Eventually(30*time.Second, "back to the descriptors it had", func() bool { return o.Process().FDs <= before.FDs })
}

// watchMemory keeps the highest resident size until done.
func watchMemory(o *office, done <-chan struct{}) *atomic.Int64 {
	peak := &atomic.Int64{}
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				peak.Store(max(peak.Load(), o.Process().RSS))
			}
		}
	}()
	return peak
}

// rate is packets a second of a flood.
const rate = 20000

// drown floods the switch for a few seconds from a number of addresses, each with a socket of its own.
func drown(t *testing.T, addresses int, length time.Duration, next func(host string) source) {
	undisturbed(t, func(o *office) {
		var sockets []*net.UDPConn
		for range addresses {
			c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(binary.Host())})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			sockets = append(sockets, c)
		}
		if testing.Short() {
			length = time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		start, cpu := time.Now(), o.Process().CPU
		n := flood(ctx, sockets, net.UDPAddrFromAddrPort(addrPort(o.Addr(5060))), rate, next(o.Host))
		took := time.Since(start)
		t.Logf("%d packets in %v (%.0f/s), %.1f µs of the switch's CPU each", n, took.Round(time.Millisecond),
			float64(n)/took.Seconds(), (o.Process().CPU-cpu).Seconds()*1e6/float64(n))
	})
}

func anyGarbage(string) source { return garbled() }

func TestGarbageFromOneAddress(t *testing.T)     { drown(t, 1, 5*time.Second, anyGarbage) }
func TestGarbageFromManyAddresses(t *testing.T)  { drown(t, 200, 5*time.Second, anyGarbage) }
func TestRequestsFromOneAddress(t *testing.T)    { drown(t, 1, 3*time.Second, polite) }
func TestRequestsFromManyAddresses(t *testing.T) { drown(t, 200, 3*time.Second, polite) }

// One address may hold so many connections and no more; another still gets in.
func TestConnectionsOfOneAddress(t *testing.T) {
	undisturbed(t, func(o *office) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(binary.Host())}}
		for range 1000 {
			if c, err := d.Dial("tcp", o.Addr(5060)); err == nil {
				defer func() { _ = c.Close() }()
			}
		}
		o.Eventually(5*time.Second, "no more than 200 and the phone's own", func() bool {
			n := o.Metrics()[`tandem_sip_connections{listener="tcp",transport="tcp"}`]
			return n > 100 && n <= 201
		})
		ping(t, o.over("TCP", "1004"))
	})
}
