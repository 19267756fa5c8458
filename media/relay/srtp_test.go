package relay

import (
	"testing"

	"tandem/media/rtp"
	"tandem/media/secure"
)

// A crypt is the peer's half of an SRTP leg: it protects with its key and opens with ours.
type crypt struct {
	t             *testing.T
	protect, open *secure.Context
}

// srtpLeg makes settings with fresh keys and the peer that fits them.
func srtpLeg(t *testing.T, suite secure.Suite) (Settings, *crypt) {
	t.Helper()
	context := func(k secure.Key) *secure.Context {
		c, err := secure.NewContext(k)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ours, err := secure.NewKey(1, suite)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := secure.NewKey(1, suite)
	if err != nil {
		t.Fatal(err)
	}
	s := Settings{Protect: context(ours), Unprotect: context(theirs)}
	return s, &crypt{t, context(theirs), context(ours)}
}

func (c *crypt) seal(p rtp.Packet) []byte {
	c.t.Helper()
	b, err := c.protect.ProtectRTP(p)
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

func (c *crypt) unseal(b []byte) rtp.Packet {
	c.t.Helper()
	p, err := c.open.UnprotectRTP(b)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func TestSRTPOnOneLegAndOnBoth(t *testing.T) {
	for name, suites := range map[string][2]secure.Suite{
		"GCM and plain":     {secure.AESGCM128, 0},
		"SHA1_80 and GCM":   {secure.AESCM128SHA1Tag80, secure.AESGCM128},
		"SHA1_80 on both":   {secure.AESCM128SHA1Tag80, secure.AESCM128SHA1Tag80},
		"plain and SHA1_80": {0, secure.AESCM128SHA1Tag80},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Config{})
			var set [2]Settings
			var keys [2]*crypt
			for i, suite := range suites {
				if suite != 0 {
					set[i], keys[i] = srtpLeg(t, suite)
				}
			}
			a, b := bridge(t, r, set[0], set[1])
			legs := [2]*leg{a, b}
			for n := range 20 {
				from, to := n%2, 1-n%2
				p := legs[from].packet(8, []byte{1, 2, 3, byte(n)})
				if keys[from] != nil {
					p = keys[from].seal(p)
				}
				legs[from].write(p)
				raw := legs[to].hear()
				got := rtp.Packet(raw)
				if keys[to] != nil {
					got = keys[to].unseal(raw)
				}
				if pl := got.Payload(); len(pl) != 4 || pl[3] != byte(n) || got.SSRC() != legs[to].SSRC() {
					t.Fatalf("packet %d: payload %v", n, pl)
				}
			}
		})
	}
}

// Forged SRTP from the very address of the SDP neither latches nor counts as media, and the call goes on under any amount of it.
func TestForgedSRTP(t *testing.T) {
	r := start(t, Config{})
	set, key := srtpLeg(t, secure.AESCM128SHA1Tag80)
	a, b := bridge(t, r, set, Settings{})
	_, wrong := srtpLeg(t, secure.AESCM128SHA1Tag80)
	forge := func(n int) {
		for range n {
			a.write(wrong.seal(a.packet(8, make([]byte, 160))))
			a.seq--
			a.say(8) // plain
			a.seq--
		}
	}
	forge(20)
	settled(t, r, 40)
	if s := a.Stats(); s.Latched || s.In.Packets != 0 || s.Drops[DropAuth] != 40 {
		t.Fatalf("after forgery: %+v", s)
	}
	b.silent()
	a.write(key.seal(a.packet(8, make([]byte, 160))))
	b.hearRTP()
	a.wait(Latched)
	forge(10)
	a.write(key.seal(a.packet(8, make([]byte, 160))))
	if got := b.hearRTP(); len(got.Payload()) != 160 {
		t.Errorf("%d bytes", len(got.Payload()))
	}
	b.silent()
	if s := a.Stats(); s.In.Packets != 2 || s.In.Lost != 0 || s.SSRCChanges != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Forged packets of the signalling source prove nothing, whatever their sequence numbers.
func TestForgedSRTPProvesNothing(t *testing.T) {
	r := start(t, Config{})
	set, key := srtpLeg(t, secure.AESGCM128)
	set.Remote, set.Learn = ap("127.0.0.9:4000"), loopback
	a := openLeg(t, r, nil, "127.0.0.1:0", 1, set)
	_, wrong := srtpLeg(t, secure.AESGCM128)
	for range 10 {
		a.write(wrong.seal(a.packet(8, nil)))
	}
	for range 3 {
		a.write(key.seal(a.packet(8, nil)))
	}
	if e := a.wait(Latched); e.Addr != a.addr() {
		t.Error(e.Addr)
	}
	if s := a.Stats(); s.Drops[DropAuth] != 10 || s.Drops[DropLearning] != 2 {
		t.Errorf("drops %v", s.Drops)
	}
}

func TestReplayedSRTP(t *testing.T) {
	r := start(t, Config{})
	set, key := srtpLeg(t, secure.AESGCM128)
	a, b := bridge(t, r, set, Settings{})
	first := append([]byte(nil), key.seal(a.packet(8, make([]byte, 160)))...)
	a.write(first)
	b.hearRTP()
	for range 70 {
		a.write(key.seal(a.packet(8, make([]byte, 160))))
		b.hearRTP()
	}
	a.write(first)
	settled(t, r, 72)
	b.silent()
	if s := a.Stats(); s.Drops[DropReplay] != 1 || s.In.Packets != 71 {
		t.Errorf("stats %+v", s)
	}
}

// Whatever speaks on a leg, no sequence number is used twice: under SRTP that would use its key stream twice.
func TestOutboundNeverRepeatsASequence(t *testing.T) {
	r := start(t, Config{})
	set, key := srtpLeg(t, secure.AESCM128SHA1Tag80)
	a := openLeg(t, r, nil, "127.0.0.1:0", 1, set)
	b := openLeg(t, r, a.Port, "127.0.0.1:0", 2, Settings{})
	c := openLeg(t, r, a.Port, "127.0.0.1:0", 3, Settings{})
	seen := make(map[uint16]bool)
	var last uint16
	hear := func() {
		t.Helper()
		p := key.unseal(a.hear()) // fails on a replay, too
		if seen[p.Seq()] {
			t.Fatalf("sequence %d twice", p.Seq())
		}
		if len(seen) > 0 && p.Seq() != last+1 {
			t.Fatalf("sequence %d after %d", p.Seq(), last)
		}
		seen[p.Seq()], last = true, p.Seq()
	}
	for round := range 3 {
		for _, other := range []*leg{b, c} {
			if err := Join(a.Port, other.Port); err != nil {
				t.Fatal(err)
			}
			late := other.packet(8, make([]byte, 160))
			for range 3 {
				other.say(8)
				hear()
			}
			if round > 0 { // from before it took over
				other.write(late)
			}
			if err := a.Play(NewSound(make([]int16, 480)), false, nil); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				hear()
			}
			a.wait(PlayDone)
		}
	}
}
