package relay

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"tandem/media/rtp"
	"tandem/media/secure"
)

// A moving is a leg that is handed from one relay to the next.
type moving struct {
	*leg
	ours secure.Key // zero: plain
	them secure.Key
	*crypt
}

func newMoving(t *testing.T, r *Relay, near *Port, ssrc uint32, suite secure.Suite) *moving {
	t.Helper()
	m := &moving{}
	if suite != 0 {
		var err, err2 error
		m.ours, err = secure.NewKey(1, suite)
		m.them, err2 = secure.NewKey(1, suite)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		m.crypt = &crypt{t, freshContext(t, m.them), freshContext(t, m.ours)}
	}
	m.leg = openLeg(t, r, near, "127.0.0.1:0", ssrc, m.fresh(t))
	return m
}

func freshContext(t *testing.T, k secure.Key) *secure.Context {
	t.Helper()
	c, err := secure.NewContext(k)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fresh is what was agreed, with contexts that know nothing yet.
func (m *moving) fresh(t *testing.T) Settings {
	t.Helper()
	s := Settings{}
	if m.crypt != nil {
		s.Protect, s.Unprotect = freshContext(t, m.ours), freshContext(t, m.them)
	}
	if m.leg != nil {
		s.Remote, s.MaySend, s.MayReceive = m.leg.peer.addr(), true, true
		s.Receive, s.Send = []Format{pcma, event}, []Format{pcma, event}
	}
	return s
}

// note is the port's state after it has been kept as JSON.
func (m *moving) note(t *testing.T) State {
	t.Helper()
	s, ok := m.Port.State()
	if !ok {
		t.Fatal("port is closed")
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var out State
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (m *moving) speak(t *testing.T) {
	t.Helper()
	p := m.packet(8, make([]byte, 160))
	if m.crypt != nil {
		p = m.seal(p)
	}
	m.write(p)
}

func (m *moving) listens() rtp.Packet {
	if m.crypt != nil {
		return m.unseal(m.hear())
	}
	return m.hearRTP()
}

// adopt opens the leg in another relay; its first port is closed as by the death of its process.
func (m *moving) adopt(t *testing.T, r *Relay, s State, near *Port) {
	t.Helper()
	m.Port.Close()
	p, err := r.Adopt(s, m.fresh(t), near, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	m.leg.Port = p
}

// A call goes on in another relay around each wrap of the sequence, of the phone's own stream and of the one that it hears: no packet
// fails its authentication, and no index of a key is used twice.
func TestAdoptAroundTheWrap(t *testing.T) {
	for name, suite := range map[string]secure.Suite{"plain": 0, "SHA1_80": secure.AESCM128SHA1Tag80, "GCM": secure.AESGCM128} {
		for wrap, c := range map[string]struct{ before, unnoted int }{
			"far from it":                    {20, 3},
			"just before the wrap":           {36, 0},
			"the wrap came after the note":   {34, 10},
			"just after the wrap":            {40, 0},
			"the wrap comes while away":      {30, 5},
			"at the very last before":        {35, 0},
			"second wrap, far from the last": {70, 4},
		} {
			t.Run(name+"/"+wrap, func(t *testing.T) {
				first, second := start(t, Config{}), start(t, Config{First: 24000, Last: 24999})
				a := newMoving(t, first, nil, 7, suite)
				b := newMoving(t, first, a.Port, 8, suite)
				if err := Join(a.Port, b.Port); err != nil {
					t.Fatal(err)
				}
				a.seq = 65500
				_ = b.do(func() { b.Port.out.seq = 65510 })
				used := map[uint32]bool{}
				talk := func(n int) {
					t.Helper()
					for range n {
						a.speak(t)
						got := b.listens()
						index := uint32(got.Seq())
						if b.crypt != nil {
							roc, _ := b.open.ROC(got.SSRC())
							index |= roc << 16
						}
						if used[index] && suite != 0 {
							t.Fatalf("index %#x used twice", index)
						}
						used[index] = true
						b.speak(t)
						a.listens()
					}
				}
				talk(c.before)
				sa, sb := a.note(t), b.note(t)
				talk(c.unnoted)
				a.adopt(t, second, sa, nil)
				b.adopt(t, second, sb, a.Port)
				if err := Join(a.Port, b.Port); err != nil {
					t.Fatal(err)
				}
				if wrap == "the wrap comes while away" { // thirty packets that nobody took
					for range 30 {
						p := a.packet(8, make([]byte, 160))
						if a.crypt != nil {
							a.seal(p)
						}
					}
				}
				talk(40)
				for leg, m := range map[string]*moving{"a": a, "b": b} {
					if s := m.Stats(); s.Drops.Sum() != 0 || s.In.Packets < uint64(c.before+40) {
						t.Errorf("leg %s: drops %v, %d packets", leg, s.Drops, s.In.Packets)
					}
				}
			})
		}
	}
}

// What was taken before the note is refused after it, and so is a stranger.
func TestAdoptedPortRefusesReplay(t *testing.T) {
	first, second := start(t, Config{}), start(t, Config{First: 24000, Last: 24999})
	a := newMoving(t, first, nil, 7, secure.AESGCM128)
	b := newMoving(t, first, a.Port, 8, secure.AESGCM128)
	if err := Join(a.Port, b.Port); err != nil {
		t.Fatal(err)
	}
	old := append([]byte(nil), a.seal(a.packet(8, make([]byte, 160)))...)
	a.write(old)
	b.listens()
	a.adopt(t, second, a.note(t), nil)
	b.adopt(t, second, b.note(t), a.Port)
	if err := Join(a.Port, b.Port); err != nil {
		t.Fatal(err)
	}
	a.write(old)
	stranger := newPeer(t, "127.0.0.9:0", 9)
	stranger.to = a.to
	stranger.say(8)
	settled(t, second, 2)
	b.silent()
	if s := a.Stats(); s.Drops[DropReplay] != 1 || s.Drops[DropSource] != 1 {
		t.Errorf("drops %v", s.Drops)
	}
	a.speak(t)
	b.listens()
}

// Numbers of our own leap over what may have been sent after the note, whoever speaks first.
func TestAdoptedPortLeaps(t *testing.T) {
	for name, speaks := range map[string]func(t *testing.T, a, b *moving){
		"a player": func(t *testing.T, a, _ *moving) {
			if err := a.Play(NewSound(make([]int16, 160)), true, nil); err != nil {
				t.Fatal(err)
			}
		},
		"another stream": func(t *testing.T, a, b *moving) {
			b.leg.peer.ssrc = 99
			b.crypt.protect = freshContext(t, b.them)
			b.speak(t)
		},
		"a key": func(t *testing.T, a, _ *moving) {
			if err := a.Press("5", 0); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := start(t, Config{}), start(t, Config{First: 24000, Last: 24999})
			a := newMoving(t, first, nil, 7, secure.AESCM128SHA1Tag80)
			b := newMoving(t, first, a.Port, 8, secure.AESCM128SHA1Tag80)
			if err := Join(a.Port, b.Port); err != nil {
				t.Fatal(err)
			}
			var last rtp.Packet
			b.speak(t)
			last = a.listens()
			sa, sb := a.note(t), b.note(t)
			seq := last.Seq()
			for range 100 { // what nobody noted
				b.speak(t)
				seq = a.listens().Seq()
			}
			a.adopt(t, second, sa, nil)
			b.adopt(t, second, sb, a.Port)
			if err := Join(a.Port, b.Port); err != nil {
				t.Fatal(err)
			}
			speaks(t, a, b)
			if got := a.listens().Seq(); int16(got-seq) <= 0 {
				t.Errorf("sequence %d after %d", got, seq)
			}
		})
	}
}

// An adopted port is that one and no other, and is not given twice.
func TestAdoptTakesExactlyItsPort(t *testing.T) {
	first, second := start(t, Config{}), start(t, Config{Quarantine: time.Minute})
	a := newMoving(t, first, nil, 7, 0)
	s := a.note(t)
	if _, err := second.Adopt(s, Settings{}, nil, nil); err == nil {
		t.Fatal("a port that another program has was adopted")
	}
	if used, _, _ := second.Pool().Count(); used != 0 {
		t.Errorf("%d ports in use after a failure", used)
	}
	a.adopt(t, second, s, nil)
	if a.Local() != s.Local || a.SSRC() != s.Out.SSRC {
		t.Errorf("adopted %v with SSRC %d", a.Local(), a.SSRC())
	}
	if _, err := second.Adopt(s, Settings{}, nil, nil); err == nil {
		t.Error("adopted twice")
	}
	a.Port.Close()
	if used, resting, _ := second.Pool().Count(); used != 0 || resting != 1 {
		t.Errorf("%d used, %d resting", used, resting)
	}
}

// Notes tells of what has changed, and of nothing that was never noted.
func TestNotes(t *testing.T) {
	r := start(t, Config{})
	a, b := bridge(t, r, Settings{}, Settings{})
	count := func() (n int) {
		r.Notes(func(*Port, State) { n++ })
		return n
	}
	if n := count(); n != 0 {
		t.Fatalf("%d notes of ports that nobody keeps", n)
	}
	a.Port.State()
	b.Port.State()
	if n := count(); n != 0 {
		t.Fatalf("%d notes of what was noted just now", n)
	}
	a.say(8)
	b.hearRTP()
	if n := count(); n != 2 { // a is latched, b is fed by another stream
		t.Fatalf("%d notes of two ports that have changed", n)
	}
	a.say(8)
	b.hearRTP()
	if n := count(); n != 0 {
		t.Errorf("%d notes while nothing but numbers changed", n)
	}
}

// A node that does not serve takes nothing and sends nothing, whatever it was told to play; the first packet after it began to is out
// at once.
func TestGate(t *testing.T) {
	var serves atomic.Bool
	r := start(t, Config{})
	a, b := bridge(t, r, Settings{}, Settings{})
	r.Gate(serves.Load)
	if err := b.Play(NewSound(make([]int16, 8000)), true, nil); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		a.say(8)
	}
	if got, ok := b.peer.listen(100 * time.Millisecond); ok {
		t.Fatalf("%d bytes from a node that does not serve", len(got))
	}
	if s := a.Stats(); s.In.Packets != 0 {
		t.Errorf("%d packets taken", s.In.Packets)
	}
	serves.Store(true)
	b.hearRTP()
	if err := b.StopPlay(); err != nil {
		t.Fatal(err)
	}
	a.say(8)
	b.hearRTP()
}
