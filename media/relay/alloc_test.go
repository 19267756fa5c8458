package relay

import (
	"testing"

	"tandem/media/secure"
)

// The packet path allocates nothing: relayed, translated, key presses, strangers and refused ones, plain and SRTP.
func TestPacketPathAllocations(t *testing.T) {
	for name, c := range map[string]struct {
		a, b Settings
		pt   uint8
		size int
		from string // other than the peer
	}{
		"relayed":     {pt: 8, size: 160},
		"translated":  {b: Settings{Receive: []Format{pcmu}}, pt: 8, size: 160},
		"key press":   {pt: 101, size: 4},
		"wrong type":  {pt: 3, size: 33},
		"from others": {pt: 8, size: 160, from: "192.0.2.1:4000"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Config{})
			a, b := bridge(t, r, c.a, c.b)
			a.say(8)
			b.hearRTP()
			from := a.addr()
			if c.from != "" {
				from = ap(c.from)
			}
			var got float64
			payload := make([]byte, c.size)
			pkt := a.packet(c.pt, payload)
			err := a.do(func() {
				l := a.Port.loop
				got = testing.AllocsPerRun(500, func() {
					pkt.SetSeq(a.seq)
					pkt.SetTimestamp(a.ts)
					a.seq++
					if c.pt != event.PayloadType { // one press lasts
						a.ts += 160
					}
					a.Port.media = limit(mediaRate, mediaBurst)
					copy(l.buf[:], pkt)
					a.Port.receive(openRTP, len(pkt), from)
				})
			})
			if err != nil || got != 0 {
				t.Errorf("%v allocations for a packet, error %v", got, err)
			}
		})
	}
}

func TestSRTPPathAllocations(t *testing.T) {
	for _, suite := range []secure.Suite{secure.AESCM128SHA1Tag80, secure.AESGCM128} {
		r := start(t, Config{})
		sa, key := srtpLeg(t, suite)
		sb, _ := srtpLeg(t, suite)
		a, b := bridge(t, r, sa, sb)
		_ = b
		sealed := make([][]byte, 600)
		for i := range sealed {
			sealed[i] = key.seal(a.packet(8, make([]byte, 160)))
		}
		i := 0
		var got float64
		err := a.do(func() {
			l := a.Port.loop
			got = testing.AllocsPerRun(500, func() {
				a.Port.media = limit(mediaRate, mediaBurst)
				n := copy(l.buf[:], sealed[i])
				i++
				a.Port.receive(openRTP, n, a.addr())
			})
		})
		if err != nil || a.Stats().In.Packets != 501 {
			t.Fatalf("error %v, %d packets taken", err, a.Stats().In.Packets)
		}
		// The cipher library allocates a little for each packet; of ours there is nothing on top.
		t.Logf("%v: %v allocations for a packet that is opened and sealed", suite, got)
		if got > 4 {
			t.Errorf("%v: %v allocations", suite, got)
		}
	}
}
