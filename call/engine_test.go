package call

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"tandem/media"
)

// An engine's sessions know each other through the narrow interface of this room.
func TestEngineMedia(t *testing.T) {
	e, err := media.NewEngine(media.Config{FirstPort: 41000, LastPort: 41099, LoopbackPeers: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- e.Run(ctx) }()
	room, local := EngineMedia(e), netip.MustParseAddr("127.0.0.1")
	a, err := room.NewSession(media.Options{Call: "c", Leg: "a", Local: local, SignallingSource: local})
	if err != nil {
		t.Fatal(err)
	}
	b, err := room.NewSession(media.Options{Call: "c", Leg: "b", Local: local, SignallingSource: local})
	if err != nil {
		t.Fatal(err)
	}
	const text = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"
	if err := a.SetOffer([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if offer, err := b.CreateOffer(a); err != nil || !strings.Contains(string(offer), "PCMA") {
		t.Fatalf("%v: %s", err, offer)
	}
	if err := b.SetAnswer([]byte(text)); err != nil {
		t.Fatal(err)
	}
	answer, err := a.CreateAnswer(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Join(b); err != nil {
		t.Fatal(err)
	}
	if again, err := a.CreateAnswer(sessionOf(nil)); err != nil || string(again) != string(answer) {
		t.Errorf("%v: %s", err, again)
	}
	a.Close()
	b.Close()
	if _, err := room.NewSession(media.Options{}); err == nil {
		t.Error("a session without an address")
	}
	end()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
