package stranger

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// sprayer sends to every media port of the switch over and over, from an address that has no part in any call, and
// counts what comes back.
type sprayer struct {
	conn    *net.UDPConn
	rounds  atomic.Int32
	back    atomic.Int32
	stop    chan struct{}
	running sync.WaitGroup
}

// spray begins. Each packet is RTP with the mark EVIL, a few look like RTCP, STUN or DTLS.
func spray(t testing.TB, host string, first, last int) *sprayer {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(binary.Host())})
	if err != nil {
		t.Fatal(err)
	}
	s := &sprayer{conn: c, stop: make(chan struct{})}
	t.Cleanup(s.end)
	s.running.Go(func() {
		buf := make([]byte, 2048)
		for {
			if _, err := c.Read(buf); err == nil {
				s.back.Add(1)
			}
			select {
			case <-s.stop:
				return
			default:
			}
		}
	})
	s.running.Go(func() { s.send(host, first, last) })
	return s
}

// send paces itself: 20 ports in each of 400 ticks a second are 8,000 packets a second.
func (s *sprayer) send(host string, first, last int) {
	tick := time.NewTicker(2500 * time.Microsecond)
	defer tick.Stop()
	to := &net.UDPAddr{IP: net.ParseIP(host), Port: first}
	for n := uint32(1); ; n++ {
		packet := wire.Packet("EVIL", 666, n)
		switch n % 8 {
		case 5:
			packet = append([]byte{0x80, 200, 0, 6}, packet[4:28]...) // sender report
		case 6:
			packet = append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, "twelve-bytes"...) // Binding request
		case 7:
			packet = append([]byte{22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4}, "EVIL"...) // handshake record
		}
		_, _ = s.conn.WriteToUDP(packet, to)
		if to.Port++; to.Port > last {
			to.Port = first
			s.rounds.Add(1)
		}
		if n%20 == 0 {
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
		}
	}
}

// twice waits until every port has been hit twice more.
func (s *sprayer) twice(t testing.TB) {
	t.Helper()
	n := s.rounds.Load()
	eventually(t, 20*time.Second, "two more rounds of the spray", func() bool { return s.rounds.Load() >= n+3 })
}

func (s *sprayer) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
		_ = s.conn.Close()
	}
	s.running.Wait()
}

// A spray of RTP over the whole port range before, during and after the set-up of a call: nothing of it is relayed,
// and the sprayer receives nothing (RTP Bleed). One call is in the clear, one has keys in its SDP over TLS, one is
// between the two.
func TestSprayOfRTP(t *testing.T) {
	t.Parallel()
	for name, protos := range map[string][2]string{"RTP": {"UDP", "UDP"}, "SRTP": {"TLS", "TLS"}, "RTP to SRTP": {"UDP", "TLS"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			alice, bob := o.over(protos[0], "1001"), o.over(protos[1], "1002")
			s := spray(t, o.Host, 20000, 20399)
			s.twice(t)
			c := prepare(t, alice, bob)
			c.place(alice, bob)
			s.twice(t) // ports are open on both legs, and nobody has spoken
			c.answer()
			s.twice(t)
			c.goesOn()
			// Hold and resume open the question anew where media comes from.
			for _, way := range []string{"sendonly", "sendrecv"} {
				r := c.a.Next("INVITE", c.am.SDP(way))
				alice.Send(alice.Text(r))
				m := bob.Request(5*time.Second, "INVITE")
				answer := "recvonly"
				if way == "sendrecv" {
					answer = way
				}
				bob.Reply(m, 200, wire.Reply{Contact: bob.Contact(), Body: c.bm.Answer(m.Body, answer)})
				alice.Await(5*time.Second, "200 to re-INVITE", func(m wire.Message) bool { return m.Status() == 200 })
				alice.Send(alice.Text(wire.Request{Method: "ACK", URI: c.a.Peer, From: c.a.From, To: c.a.To, CallID: c.a.ID, Seq: r.Seq}))
				s.twice(t)
			}
			c.goesOn()
			if got, lost := c.pure(); lost*1000 > got {
				// While held, one direction pauses: what it did not carry is no loss.
				if a, missing := c.bm.Heard("ALIC"); missing*1000 > a {
					t.Errorf("%d of %d packets of the caller lost", missing, a)
				}
			}
			c.end()
			s.twice(t)
			s.end()
			if n := s.back.Load(); n != 0 {
				t.Errorf("the sprayer received %d packets", n)
			}
			if m := o.Metrics(); m[`tandem_media_dropped_total{reason="source"}`] == 0 && binary.Sum(m, "tandem_media_dropped_total") == 0 {
				t.Errorf("no packet was dropped: the spray missed")
			}
			o.Idle(2 * time.Second)
		})
	}
}
