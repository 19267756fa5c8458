package secure

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"tandem/media/rtp"
)

func pair(t testing.TB, k Key) (out, in *Context) {
	t.Helper()
	out, err := NewContext(k)
	if err != nil {
		t.Fatal(err)
	}
	if in, err = NewContext(k); err != nil {
		t.Fatal(err)
	}
	return out, in
}

func freshKey(t testing.TB, s Suite) Key {
	t.Helper()
	k, err := NewKey(1, s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// voice is a packet of 160 bytes with the room behind it that ProtectRTP asks for.
func voice(seq uint16, ssrc uint32) rtp.Packet {
	b := rtp.AppendHeader(make([]byte, 0, 172+MaxOverhead), rtp.Header{PayloadType: 8, Seq: seq, Timestamp: uint32(seq) * 160, SSRC: ssrc})
	return append(b, bytes.Repeat([]byte{byte(seq)}, 160)...)
}

func report(ssrc uint32) rtp.Compound {
	return rtp.AppendCompound(make([]byte, 0, 200), ssrc, &rtp.SenderInfo{Packets: 1}, nil, "cname")
}

func everySuite(t *testing.T, test func(t *testing.T, s Suite)) {
	for s := Suite(1); s.String() != ""; s++ {
		t.Run(s.String(), func(t *testing.T) { test(t, s) })
	}
}

func TestRoundTripInPlace(t *testing.T) {
	everySuite(t, func(t *testing.T, s Suite) {
		out, in := pair(t, freshKey(t, s))
		for i := range 300 {
			seq := uint16(32700 + i)
			p := voice(seq, 7)
			clear := bytes.Clone(p)
			sealed, err := out.ProtectRTP(p)
			if err != nil {
				t.Fatal(err)
			}
			if &sealed[0] != &p[0] || len(sealed) > len(clear)+MaxOverhead || bytes.Contains(sealed, clear[12:40]) {
				t.Fatalf("not sealed in place: % x", sealed)
			}
			opened, err := in.UnprotectRTP(sealed)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(opened, clear) || &opened[0] != &p[0] {
				t.Fatalf("opened % x", opened)
			}
		}
		c := report(7)
		clear := bytes.Clone(c)
		sealed, err := out.ProtectRTCP(c)
		if err != nil {
			t.Fatal(err)
		}
		if &sealed[0] != &c[0] || len(sealed) > len(clear)+MaxOverhead || bytes.Contains(sealed, []byte("cname")) {
			t.Fatalf("not sealed in place: % x", sealed)
		}
		opened, err := in.UnprotectRTCP(sealed)
		if err != nil || !bytes.Equal(opened, clear) {
			t.Fatalf("opened % x, %v", opened, err)
		}
		if got := in.Counts(); got != (Counts{Packets: 301}) {
			t.Errorf("counts %+v", got)
		}
	})
}

func TestReplayIsRefused(t *testing.T) {
	everySuite(t, func(t *testing.T, s Suite) {
		out, in := pair(t, freshKey(t, s))
		var kept [][]byte
		for seq := range uint16(600) {
			sealed, err := out.ProtectRTP(voice(1000+seq, 7))
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, bytes.Clone(sealed))
			if seq == 590 {
				continue // on its way still
			}
			if _, err := in.UnprotectRTP(sealed); err != nil {
				t.Fatal(err)
			}
		}
		for _, i := range []int{599, 598, 550, 300, 100, 5, 0} { // the last ones are behind the window
			if _, err := in.UnprotectRTP(bytes.Clone(kept[i])); !errors.Is(err, ErrReplay) {
				t.Errorf("packet %d again: %v, want ErrReplay", i, err)
			}
		}
		if _, err := in.UnprotectRTP(kept[590]); err != nil {
			t.Errorf("late packet that came once: %v", err)
		}
		sealed, err := out.ProtectRTCP(report(7))
		if err != nil {
			t.Fatal(err)
		}
		again := bytes.Clone(sealed)
		if _, err := in.UnprotectRTCP(sealed); err != nil {
			t.Fatal(err)
		}
		if _, err := in.UnprotectRTCP(again); !errors.Is(err, ErrReplay) {
			t.Errorf("RTCP again: %v, want ErrReplay", err)
		}
		if c := in.Counts(); c.Replayed != 8 || c.Auth != 0 {
			t.Errorf("counts %+v", c)
		}
	})
}

func TestForgeryIsCountedAndHarmless(t *testing.T) {
	everySuite(t, func(t *testing.T, s Suite) {
		k := freshKey(t, s)
		out, in := pair(t, k)
		stranger, _ := pair(t, freshKey(t, s))
		forged := uint64(0)
		for seq := range uint16(200) {
			fake, err := stranger.ProtectRTP(voice(seq+100, 7))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := in.UnprotectRTP(fake); !errors.Is(err, ErrAuth) {
				t.Fatalf("forged packet: %v, want ErrAuth", err)
			}
			sealed, err := out.ProtectRTP(voice(seq, 7))
			if err != nil {
				t.Fatal(err)
			}
			bent := bytes.Clone(sealed)
			bent[int(seq)%len(bent)] ^= 0x40
			// Bending version or lengths makes it malformed, bending the number may make it old: never may it pass.
			if _, err := in.UnprotectRTP(bent); err == nil {
				t.Fatalf("packet with byte %d bent passed", int(seq)%len(bent))
			}
			forged += 2
			if _, err := in.UnprotectRTP(sealed); err != nil {
				t.Fatalf("the true packet after forgeries: %v", err)
			}
		}
		c := in.Counts()
		if c.Packets != 200 || c.Auth+c.Malformed+c.Replayed != forged || c.Auth < 200 {
			t.Errorf("counts %+v", c)
		}
		fake, err := stranger.ProtectRTCP(report(7))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.UnprotectRTCP(fake); !errors.Is(err, ErrAuth) {
			t.Errorf("forged RTCP: %v, want ErrAuth", err)
		}
	})
}

func TestShortAndMalformed(t *testing.T) {
	everySuite(t, func(t *testing.T, s Suite) {
		out, in := pair(t, freshKey(t, s))
		sealed, err := out.ProtectRTP(voice(1, 7))
		if err != nil {
			t.Fatal(err)
		}
		control, err := out.ProtectRTCP(report(7))
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(sealed) {
			if _, err := in.UnprotectRTP(bytes.Clone(sealed[:n])); err == nil {
				t.Errorf("%d bytes of %d passed", n, len(sealed))
			}
		}
		for n := range len(control) {
			if _, err := in.UnprotectRTCP(bytes.Clone(control[:n])); err == nil {
				t.Errorf("%d bytes of %d passed as RTCP", n, len(control))
			}
		}
		if _, err := in.UnprotectRTP(bytes.Repeat([]byte{0x80}, 2000)); !errors.Is(err, ErrPacket) {
			t.Errorf("2000 bytes: %v, want ErrPacket", err)
		}
		tight := voice(2, 7)
		if _, err := out.ProtectRTP(tight[:len(tight):len(tight)]); !errors.Is(err, ErrNoRoom) {
			t.Errorf("no room: %v, want ErrNoRoom", err)
		}
		c := report(7)
		if _, err := out.ProtectRTCP(c[:len(c):len(c)]); !errors.Is(err, ErrNoRoom) {
			t.Errorf("no room for RTCP: %v, want ErrNoRoom", err)
		}
	})
}

// An authentic packet can still carry nonsense: the inside is checked too.
func TestAuthenticNonsense(t *testing.T) {
	out, in := pair(t, freshKey(t, AESGCM128))
	p := voice(1, 7)
	p[0] |= 0x20 // padding, of as many bytes as the last byte says
	p[len(p)-1] = 255
	sealed, err := out.ProtectRTP(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.UnprotectRTP(sealed); !errors.Is(err, ErrPacket) {
		t.Errorf("padding beyond the payload: %v, want ErrPacket", err)
	}
	c := report(7)
	c[3]++ // longer than it is
	if sealed, err = out.ProtectRTCP(c); err != nil {
		t.Fatal(err)
	}
	if _, err := in.UnprotectRTCP(sealed); !errors.Is(err, ErrPacket) {
		t.Errorf("RTCP of a wrong length: %v, want ErrPacket", err)
	}
}

func TestRolloverAndTakeover(t *testing.T) {
	k := freshKey(t, AESCM128SHA1Tag80)
	out, in := pair(t, k)
	send := func(c *Context, seq uint16) []byte {
		sealed, err := c.ProtectRTP(voice(seq, 7))
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	for _, seq := range []uint16{40000, 65535, 0, 1} {
		if _, err := in.UnprotectRTP(send(out, seq)); err != nil {
			t.Fatalf("%d: %v", seq, err)
		}
	}
	for name, c := range map[string]*Context{"sender": out, "receiver": in} {
		if roc, ok := c.ROC(7); !ok || roc != 1 {
			t.Errorf("%s: ROC %d, %v", name, roc, ok)
		}
	}
	if _, ok := in.ROC(8); ok {
		t.Error("ROC of a source that was never heard")
	}
	// A standby with the key alone does not understand the stream; with the counter it does, and goes on sending.
	standbyOut, standbyIn := pair(t, k)
	if _, err := standbyIn.UnprotectRTP(send(out, 2)); !errors.Is(err, ErrAuth) {
		t.Errorf("without the counter: %v, want ErrAuth", err)
	}
	standbyIn.SetROC(7, 1)
	standbyOut.SetROC(7, 1)
	if _, err := standbyIn.UnprotectRTP(send(out, 3)); err != nil {
		t.Errorf("with the counter: %v", err)
	}
	if _, err := in.UnprotectRTP(send(standbyOut, 4)); err != nil {
		t.Errorf("from the standby: %v", err)
	}
}

func TestMKI(t *testing.T) {
	k, err := ParseCrypto("1 AES_CM_128_HMAC_SHA1_80 " + inline30 + "|258:2")
	if err != nil {
		t.Fatal(err)
	}
	out, in := pair(t, k)
	p := append(make(rtp.Packet, 0, 300), voice(1, 7)...)
	clear := bytes.Clone(p)
	sealed, err := out.ProtectRTP(p)
	if err != nil {
		t.Fatal(err)
	}
	if tail := hex.EncodeToString(sealed[172:174]); tail != "0102" {
		t.Errorf("MKI on the wire %s, want 0102", tail)
	}
	wrong := bytes.Clone(sealed)
	wrong[172] ^= 1
	if _, err := in.UnprotectRTP(wrong); !errors.Is(err, ErrAuth) {
		t.Errorf("another MKI: %v, want ErrAuth", err)
	}
	opened, err := in.UnprotectRTP(sealed)
	if err != nil || !bytes.Equal(opened, clear) {
		t.Errorf("opened % x, %v", opened, err)
	}
}

func TestSourcesAreBounded(t *testing.T) {
	out, in := pair(t, freshKey(t, AESGCM128))
	for ssrc := range uint32(maxSources + 50) {
		sealed, err := out.ProtectRTP(voice(1, ssrc+1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = in.UnprotectRTP(sealed)
		if want := ssrc >= maxSources; errors.Is(err, ErrExcess) != want {
			t.Fatalf("source %d: %v", ssrc+1, err)
		}
		if sealed, err = out.ProtectRTCP(report(ssrc + 1)); err != nil {
			t.Fatal(err)
		}
		if _, err = in.UnprotectRTCP(sealed); errors.Is(err, ErrExcess) != (ssrc >= maxSources) {
			t.Fatalf("RTCP of source %d: %v", ssrc+1, err)
		}
	}
	sealed, err := out.ProtectRTP(voice(2, 5))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.UnprotectRTP(sealed); err != nil {
		t.Errorf("a source that is known: %v", err)
	}
	if c := in.Counts(); c.Excess != 100 {
		t.Errorf("counts %+v", c)
	}
}

// The tag of RFC 3711 §4.2 has 10 bytes (4 with the short suite, never in SRTCP), that of RFC 7714 §13.2 has 16; SRTCP adds its index of 4. The header stays clear.
func TestSizesOnTheWire(t *testing.T) {
	for s, want := range map[Suite][2]int{AESCM128SHA1Tag80: {10, 14}, AESCM128SHA1Tag32: {4, 14}, AESGCM128: {16, 20}, AESGCM256: {16, 20}} {
		out, _ := pair(t, freshKey(t, s))
		p := voice(9, 7)
		head := bytes.Clone(p[:12])
		sealed, err := out.ProtectRTP(p)
		if err != nil {
			t.Fatal(err)
		}
		c := report(7)
		n := len(c)
		control, err := out.ProtectRTCP(c)
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed)-172 != want[0] || len(control)-n != want[1] || !bytes.Equal(sealed[:12], head) {
			t.Errorf("%s adds %d and %d bytes, want %v", s, len(sealed)-172, len(control)-n, want)
		}
	}
}

func TestPacketPathDoesNotAllocate(t *testing.T) {
	everySuite(t, func(t *testing.T, s Suite) {
		out, in := pair(t, freshKey(t, s))
		buf := voice(0, 7)
		seq := uint16(0)
		n := testing.AllocsPerRun(2000, func() {
			seq++
			p := buf[:172]
			p.SetSeq(seq)
			sealed, err := out.ProtectRTP(p)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := in.UnprotectRTP(sealed); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 && !(poolLeaks && n <= 2) {
			t.Errorf("%v allocations to protect and unprotect a packet, want 0", n)
		}
	})
}

func benchmark(b *testing.B, s Suite, unprotect bool) {
	out, in := pair(b, freshKey(b, s))
	buf := voice(0, 7)
	seq := uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		p := buf[:172]
		p.SetSeq(seq)
		sealed, err := out.ProtectRTP(p)
		if err != nil {
			b.Fatal(err)
		}
		if !unprotect {
			continue
		}
		if _, err := in.UnprotectRTP(sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProtectCM(b *testing.B)           { benchmark(b, AESCM128SHA1Tag80, false) }
func BenchmarkProtectGCM(b *testing.B)          { benchmark(b, AESGCM128, false) }
func BenchmarkProtectUnprotectCM(b *testing.B)  { benchmark(b, AESCM128SHA1Tag80, true) }
func BenchmarkProtectUnprotectGCM(b *testing.B) { benchmark(b, AESGCM128, true) }
