package secure

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v5/replaydetector"

	"tandem/media/rtp"
)

func octets(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// roomy is b with the room behind it that sealing takes.
func roomy(b []byte) []byte { return append(make([]byte, 0, len(b)+MaxOverhead), b...) }

// The vectors of RFC 7714 §16.1.1, §16.2.1, §17.1 and §17.3 give session keys, so no key is derived.
func TestGCMVectors(t *testing.T) {
	const (
		plainRTP  = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e697320646976697361" + "20696e207061727465732074726573"
		plainRTCP = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"
	)
	for _, x := range []struct{ name, key, rtp, rtcp string }{
		{"128", "000102030405060708090a0b0c0d0e0f",
			"8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
			"81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4"},
		{"256", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
			"8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
			"81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4"},
	} {
		t.Run(x.name, func(t *testing.T) {
			make := func() *gcm {
				g := &gcm{}
				key := octets(t, x.key)
				g.keyLen = copy(g.controlKey[:], key)
				copy(g.mediaSalt[:], octets(t, "517569642070726f2071756f"))
				g.controlSalt = g.mediaSalt
				var err error
				if g.media, err = aead(key); err != nil {
					t.Fatal(err)
				}
				return g
			}
			out, in := make(), make()
			sealed, err := out.sealRTP(roomy(octets(t, plainRTP)))
			if err != nil || hex.EncodeToString(sealed) != x.rtp {
				t.Errorf("RTP: %x, %v", sealed, err)
			}
			opened, err := in.openRTP(octets(t, x.rtp))
			if err != nil || hex.EncodeToString(opened) != plainRTP {
				t.Errorf("RTP opened: %x, %v", opened, err)
			}
			out.SetIndex(0x4d617273, 0x5d3)
			sealed, err = out.sealRTCP(roomy(octets(t, plainRTCP)))
			if err != nil || hex.EncodeToString(sealed) != x.rtcp {
				t.Errorf("RTCP: %x, %v", sealed, err)
			}
			opened, err = in.openRTCP(octets(t, x.rtcp))
			if err != nil || hex.EncodeToString(opened) != plainRTCP {
				t.Errorf("RTCP opened: %x, %v", opened, err)
			}
		})
	}
}

// Ours and pion's understand each other both ways, over the wrap of sequence numbers, with extensions and CSRCs, some packets late or lost.
func TestGCMBesidePion(t *testing.T) {
	for _, suite := range []Suite{AESGCM128, AESGCM256} {
		t.Run(suite.String(), func(t *testing.T) {
			k := freshKey(t, suite)
			f := suite.facts()
			ours := func() engine {
				e, err := newEngine(k, f)
				if _, own := e.(*gcm); err != nil || !own {
					t.Fatalf("engine %T, %v", e, err)
				}
				return e
			}
			theirs := func() engine {
				secret := k.secret()
				c, err := srtp.CreateContext(secret[:f.key], secret[f.key:], f.profile, srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindowRTCP))
				if err != nil {
					t.Fatal(err)
				}
				return &pion{Context: c}
			}
			for _, x := range []struct {
				name    string
				out, in engine
			}{{"ours to pion's", ours(), theirs()}, {"pion's to ours", theirs(), ours()}} {
				r := rand.New(rand.NewPCG(1, 2))
				for i := range 3000 {
					clear := randomPacket(r, uint16(65000+i), 7+uint32(i%3))
					sealed, err := x.out.sealRTP(roomy(clear))
					if err != nil {
						t.Fatal(err)
					}
					if i%7 == 0 {
						continue // lost
					}
					opened, err := x.in.openRTP(sealed)
					if err != nil || !bytes.Equal(opened, clear) {
						t.Fatalf("%s, packet %d: %v", x.name, i, err)
					}
					if i%50 > 0 {
						continue
					}
					c := report(9)
					if sealed, err = x.out.sealRTCP(roomy(c)); err != nil {
						t.Fatal(err)
					}
					if opened, err := x.in.openRTCP(sealed); err != nil || !bytes.Equal(opened, c) {
						t.Fatalf("%s, report %d: %v", x.name, i, err)
					}
				}
				a, _ := x.out.ROC(7)
				b, _ := x.in.ROC(7)
				if a != 1 || b != 1 {
					t.Errorf("%s: ROC %d and %d, want 1", x.name, a, b)
				}
			}
		})
	}
}

func randomPacket(r *rand.Rand, seq uint16, ssrc uint32) rtp.Packet {
	b := rtp.AppendHeader(nil, rtp.Header{PayloadType: 111, Seq: seq, Timestamp: r.Uint32(), SSRC: ssrc})
	csrcs := r.IntN(3)
	for range csrcs {
		b = append(b, 1, 2, 3, 4)
	}
	b[0] |= byte(csrcs)
	if r.IntN(2) == 0 {
		b[0] |= 0x10
		b = append(b, 0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0)
	}
	for range r.IntN(200) {
		b = append(b, byte(r.Uint32()))
	}
	return b
}

// The windows decide as pion's detector does, whatever comes in whatever order.
func TestWindowBesideDetector(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for run := range 50 {
		media, reports := replaydetector.New(replayWindow, maxIndex), replaydetector.New(replayWindowRTCP, maxControl)
		var s source
		at := uint64(r.IntN(2000))
		for i := range 2000 {
			index := uint64(max(0, int64(at)+int64(r.IntN(1400))-700))
			switch r.IntN(40) {
			case 0:
				at += 600
			case 1, 2, 3, 4, 5, 6, 7, 8:
				at++
				index = at
			}
			for _, x := range []struct {
				name   string
				theirs replaydetector.ReplayDetector
				passed bool
				note   func()
			}{
				{"RTP", media, s.passed(index), func() { s.note(index) }},
				{"RTCP", reports, s.reported(uint32(index)), func() { s.report(uint32(index)) }},
			} {
				accept, ok := x.theirs.Check(index)
				if ok == x.passed {
					t.Fatalf("run %d, %s %d (index %d): passed %v, the detector would take it: %v", run, x.name, i, index, x.passed, ok)
				}
				if ok {
					accept()
					x.note()
				}
			}
		}
	}
}

// A report that is not encrypted is refused, however authentic.
func TestReportInTheClear(t *testing.T) {
	out, in := pair(t, freshKey(t, AESGCM128))
	sealed, err := out.ProtectRTCP(report(7))
	if err != nil {
		t.Fatal(err)
	}
	sealed[len(sealed)-4] &^= 0x80
	if _, err := in.UnprotectRTCP(sealed); !errors.Is(err, ErrAuth) {
		t.Errorf("%v, want ErrAuth", err)
	}
}
