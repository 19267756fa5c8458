package relay

import (
	"testing"

	"tandem/media/rtp"
)

// FuzzReceive throws datagrams at every socket of a bridge, as the peer and as a stranger. What may not happen is a panic, and a byte
// sent to anybody but the two peers.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte(rtp.AppendHeader(nil, rtp.Header{PayloadType: 8, Seq: 1, SSRC: 1})))
	f.Add(append(rtp.AppendHeader(nil, rtp.Header{PayloadType: 101, Marker: true, Seq: 2, SSRC: 1}), 5, 0x80, 0, 160))
	f.Add(rtp.AppendBye(rtp.AppendCompound(nil, 1, &rtp.SenderInfo{NTP: 1}, []rtp.Report{{SSRC: 2}}, "x"), 1))
	f.Add([]byte{0x80, 200, 0, 0})
	r := start(f, Config{First: 22000, Last: 22100})
	evil := newPeer(f, "127.0.0.2:0", 6)
	var sa Settings
	sa.Mux = true
	a := openLeg(f, r, nil, "127.0.0.1:0", 1, sa)
	b := openLeg(f, r, a.Port, "127.0.0.1:0", 2, Settings{Receive: []Format{pcmu, event}})
	a.events, b.events = nil, nil
	if err := Join(a.Port, b.Port); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > receiveSize {
			return
		}
		err := a.do(func() {
			for _, g := range []*leg{a, b} {
				g.Port.events = nil
				for _, from := range []*peer{g.peer, evil} {
					for _, k := range []kind{openRTP, connectedRTP, openRTCP} {
						copy(g.Port.loop.buf[:], data)
						g.Port.receive(k, len(data), from.addr())
					}
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if a.dest.addr != a.addr() || b.dest.addr != b.addr() {
			t.Fatalf("media goes to %v and %v", a.dest.addr, b.dest.addr)
		}
	})
}
