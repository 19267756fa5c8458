package phone

import "testing"

// Every code of both laws survives a round trip: decoding gives the middle of its interval, and encoding that
// gives the code back. Code 0x7f of the mu-law is the negative zero, which becomes the positive one.
func TestG711RoundTrip(t *testing.T) {
	for code := range 256 {
		b := byte(code)
		if got := linearToALaw(aLawToLinear(b)); got != b {
			t.Errorf("A-law %#02x came back as %#02x", b, got)
		}
		want := b
		if b == 0x7f {
			want = 0xff
		}
		if got := linearToMuLaw(muLawToLinear(b)); got != want {
			t.Errorf("mu-law %#02x came back as %#02x", b, got)
		}
	}
}

// Values from the tables of ITU-T G.711: the largest and smallest codes of each law (as 16-bit samples).
func TestG711Values(t *testing.T) {
	cases := []struct {
		name string
		got  int16
		want int16
	}{
		{"mu-law positive peak", muLawToLinear(0x80), 32124},
		{"mu-law negative peak", muLawToLinear(0x00), -32124},
		{"mu-law zero", muLawToLinear(0xff), 0},
		{"A-law positive peak", aLawToLinear(0xaa), 32256},
		{"A-law negative peak", aLawToLinear(0x2a), -32256},
		{"A-law smallest", aLawToLinear(0xd5), 8},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, c.got, c.want)
		}
	}
}
