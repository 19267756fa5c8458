package media

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tandem/media/codec"
	"tandem/media/rtp"
)

func TestPortsOfManySessions(t *testing.T) {
	c := local
	c.FirstPort, c.LastPort, c.Quarantine = 28000, 28019, time.Nanosecond
	e := run(t, c)
	alone := netip.MustParseAddr("127.77.0.1") // where no other test takes a port
	for range 100 {
		var open []*Session
		for len(open) < 10 {
			s, err := e.NewSession(Options{Call: "x", Local: alone, SignallingSource: loopback})
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, s)
		}
		if _, err := e.NewSession(Options{Local: alone}); !errors.Is(err, ErrNoPorts) {
			t.Fatalf("eleventh session: %v", err)
		}
		if got := e.Stats(); got.Sessions != 10 || got.PortsInUse != 10 {
			t.Fatalf("open: %+v", got)
		}
		for _, s := range open {
			s.Close()
			s.Close()
		}
		if got := e.Stats(); got.Sessions != 0 || got.PortsInUse != 0 || len(e.calls) != 0 {
			t.Fatalf("closed: %+v", got)
		}
	}
}

func TestClosedSession(t *testing.T) {
	e := run(t, local)
	a := call(t, e, Options{}, "PCMA")
	a.offers(SendRecv)
	a.isAnswered(nil)
	a.s.Close()
	clip := Tone(425, -10, 0)
	for name, err := range map[string]error{
		"Echo": a.s.Echo(), "Part": a.s.Part(), "Play": a.s.Play(clip, false), "SendDTMF": a.s.SendDTMF("1", 0),
		"SetOffer": a.s.SetOffer(a.neg.Offer(a.caps)), "Join": Join(a.s, a.s),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a.s.StopPlay()
	if s := a.s.Stats(); s.Codec != "PCMA" {
		t.Errorf("stats after Close: %+v", s)
	}
}

// Media goes where signalling may send it, and nowhere else.
func TestDestinations(t *testing.T) {
	machine := ownAddress(t)
	public, private := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("10.1.2.3")
	for name, c := range map[string]struct {
		config Config
		source netip.Addr
		to     string
		ok     bool
	}{
		"public to public":            {Config{}, public, "203.0.113.5:4000", true},
		"private to public":           {Config{}, private, "203.0.113.5:4000", true},
		"private to private":          {Config{}, private, "192.168.7.7:4000", true},
		"public to private":           {Config{}, public, "192.168.7.7:4000", false},
		"unknown to private":          {Config{}, netip.Addr{}, "192.168.7.7:4000", false},
		"public to carrier-grade NAT": {Config{}, public, "100.64.1.1:4000", false},
		"public to private, allowed":  {Config{PrivatePeers: true}, public, "192.168.7.7:4000", true},
		"unique local IPv6":           {Config{}, public, "[fd00::1]:4000", false},
		"loopback":                    {Config{}, private, "127.0.0.1:4000", false},
		"loopback in IPv6":            {Config{}, private, "[::1]:4000", false},
		"loopback in disguise":        {Config{}, private, "[::ffff:127.0.0.1]:4000", false},
		"loopback, allowed":           {local, public, "127.0.0.1:4000", true},
		"our own address":             {Config{PrivatePeers: true}, private, machine.String() + ":4000", false},
		"our own address, allowed":    {local, public, machine.String() + ":4000", true},
		"multicast":                   {local, private, "239.1.1.1:4000", false},
		"multicast in IPv6":           {local, private, "[ff02::1]:4000", false},
		"broadcast":                   {local, private, "255.255.255.255:4000", false},
		"link-local":                  {local, private, "169.254.169.254:80", false},
		"link-local in IPv6":          {local, private, "[fe80::1]:4000", false},
		"nowhere":                     {local, private, "0.0.0.0:4000", false},
		"port 0":                      {local, private, "203.0.113.5:0", false},
	} {
		t.Run(name, func(t *testing.T) {
			e := run(t, c.config)
			if err := e.permit(netip.MustParseAddrPort(c.to), c.source); (err == nil) != c.ok {
				t.Errorf("%v", err)
			}
		})
	}
	e := run(t, local)
	a := call(t, e, Options{}, "PCMA")
	if err := e.permit(a.s.Local(), loopback); err == nil {
		t.Error("a port of ours is allowed")
	}
}

// ownAddress is an address of the machine beside loopback, or loopback's second where there is none.
func ownAddress(t *testing.T) netip.Addr {
	t.Helper()
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr()
		}
	}
	return loopback
}

// A leg behind NAT whose description names a forbidden address is sent nothing there, and is learned where it is.
func TestForbiddenDestinationIsLearned(t *testing.T) {
	e := run(t, local)
	a := call(t, e, Options{NAT: true}, "PCMA")
	a.caps.RTP = netip.MustParseAddrPort("169.254.169.254:80")
	a.offers(SendRecv)
	a.isAnswered(nil)
	if err := a.s.Play(Tone(425, -10, 0), true); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		a.say(8, voice)
	}
	a.until("two packets", func(s Stats) bool { return s.Drops["learning"] == 2 })
	if s := a.s.Stats(); s.Out.Packets != 0 || s.Remote.IsValid() {
		t.Errorf("sent to %v: %+v", s.Remote, s)
	}
	a.silent()
	a.say(8, voice)
	if ev := a.wait(Latched); ev.Addr != a.addr() {
		t.Errorf("event %+v", ev)
	}
	a.hear()
}

// Without NAT the same source is nobody.
func TestLearningRefused(t *testing.T) {
	e := run(t, local)
	a := call(t, e, Options{}, "PCMA")
	a.caps.RTP = netip.MustParseAddrPort("203.0.113.5:4000")
	a.offers(SendRecv)
	a.isAnswered(nil)
	for range 10 {
		a.say(8, voice)
	}
	a.until("ten packets", func(s Stats) bool { return s.Drops["source"] == 10 })
	if s := a.s.Stats(); s.Heard || s.In.Packets != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestPlayAndEcho(t *testing.T) {
	e := run(t, local)
	a := call(t, e, Options{}, "G722", "PCMU", "telephone-event")
	a.offers(SendRecv)
	a.isAnswered(nil)
	if a.s.CodecName() != "PCMU" { // alone, we take what we can play
		t.Fatalf("codec %s", a.s.CodecName())
	}
	if err := a.s.Play(Tone(1004, -10, 400*time.Millisecond), false); err != nil {
		t.Fatal(err)
	}
	var heard []int16
	for range 20 {
		heard = codec.MuLaw.Decode(heard, a.hear().Payload())
	}
	if hz, level := codec.Frequency(heard); hz < 1003 || hz > 1005 || level < -11 || level > -9 {
		t.Errorf("%v Hz at %v dBm0", hz, level)
	}
	a.wait(PlayDone)
	if err := a.s.Echo(); err != nil {
		t.Fatal(err)
	}
	a.say(0, voice)
	if p := a.hear(); p.Payload()[7] != voice[7] {
		t.Error("not an echo")
	}
	if err := a.s.Part(); err != nil {
		t.Fatal(err)
	}
	a.say(0, voice)
	a.until("one packet more", func(s Stats) bool { return s.Drops["alone"] == 1 })
	a.silent()
}

func TestClips(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.wav")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := codec.NewWAVWriter(f, 1)
	if err != nil {
		t.Fatal(err)
	}
	samples := make([]int16, 8100)
	tone := codec.TestTone()
	tone.Read(samples)
	if err := errors.Join(w.Write(samples), w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	clip, err := LoadWAV(path)
	if err != nil || clip.Duration() != 1020*time.Millisecond { // the last frame filled up
		t.Errorf("%v, %v", clip.Duration(), err)
	}
	if _, err := LoadWAV(path + "x"); err == nil {
		t.Error("no file is a clip")
	}
	for name, c := range map[string]Clip{"tone": Tone(440, -10, 0), "quiet": Quiet(time.Second), "notice": Notice()} {
		if c.Duration() < time.Second {
			t.Errorf("%s lasts %v", name, c.Duration())
		}
	}
	heard := codec.ALaw.Decode(nil, Notice().sound.ALaw)
	for i, want := range []float64{950, 1400, 1800} {
		if hz, _ := codec.Frequency(heard[i*2640+400 : i*2640+2400]); hz < want-2 || hz > want+2 {
			t.Errorf("part %d of the notice: %v Hz, want %v", i, hz, want)
		}
	}
}

func TestSilenceEvent(t *testing.T) {
	c := local
	c.Silence, c.HeldSilence = 500*time.Millisecond, time.Hour
	e := run(t, c)
	a, b := call(t, e, Options{}, "PCMA"), call(t, e, Options{}, "PCMA")
	connect(a, b)
	talk(a, b)
	if one, two := a.wait(Silence), a.wait(Silence); one.Inbound == two.Inbound {
		t.Errorf("events %+v and %+v: want one for each direction", one, two)
	}
	// Held is not silent.
	a.offers(Inactive)
	b.isOffered(a.s, Inactive)
	a.isAnswered(b.s)
	select {
	case ev := <-a.events:
		t.Errorf("event %+v of a held leg", ev)
	case <-time.After(800 * time.Millisecond):
	}
}

func TestUpdate(t *testing.T) {
	e := run(t, local)
	for name, change := range map[string]func(*Config){
		"ports": func(c *Config) { c.LastPort += 2 }, "loops": func(c *Config) { c.Loops = 5 },
	} {
		c := e.config().Config
		change(&c)
		if err := e.Update(c); !errors.Is(err, ErrNeedsRestart) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Config){
		"codec": func(c *Config) { c.Codecs = []string{"MP3"} }, "advertise": func(c *Config) { c.Advertise = "example.com" },
		"duration": func(c *Config) { c.Silence = -1 },
	} {
		c := e.config().Config
		change(&c)
		if err := e.Update(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	c := e.config().Config
	c.Codecs, c.Advertise = []string{"PCMU", "L16/16000"}, "203.0.113.77"
	if err := e.Update(c); err != nil {
		t.Fatal(err)
	}
	a := call(t, e, Options{}, "PCMU")
	body, err := a.s.CreateOffer(nil)
	d := a.parse(body, err)
	if m := audio(d); m.Addr.String() != "203.0.113.77" || len(m.Codecs) != 2 || m.Codecs[1].Name != "L16" {
		t.Errorf("offer\n%s", body)
	}
	own := call(t, e, Options{Advertise: "203.0.113.78"}, "PCMU")
	if own.s.Local().Addr().String() != "203.0.113.78" {
		t.Errorf("shown %v", own.s.Local())
	}
}

func TestEngineErrors(t *testing.T) {
	for name, c := range map[string]Config{
		"no pair": {FirstPort: 5001, LastPort: 5002}, "codec": {Codecs: []string{"nonsense"}}, "advertise": {Advertise: "a.b"},
		"duration": {Quarantine: -time.Second},
	} {
		if _, err := NewEngine(c, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	e := run(t, local)
	for name, o := range map[string]Options{
		"no address": {}, "wildcard": {Local: netip.IPv4Unspecified()}, "codec": {Local: loopback, Codecs: []string{"?"}},
		"not our address": {Local: netip.MustParseAddr("192.0.2.1")}, "advertise": {Local: loopback, Advertise: "nobody"},
		"advertised family": {Local: loopback, Advertise: "2001:db8::1"},
	} {
		if s, err := e.NewSession(o); err == nil {
			s.Close()
			t.Errorf("%s: taken", name)
		}
	}
	if got := e.Stats(); got.Sessions != 0 || got.PortsInUse != 0 || len(got.Drops) == 0 {
		t.Errorf("stats %+v", got)
	}
	if _, ok := e.Stats().Drops["source"]; !ok || rtp.MaxPacket != 1500 {
		t.Error("reasons are missing")
	}
}

// An extension cannot aim the switch at itself: not at its loopback, not at an address of the machine, unless that is configured.
func TestOwnAddressInOffer(t *testing.T) {
	e := run(t, Config{})
	for _, to := range []netip.Addr{loopback, ownAddress(t)} {
		a := call(t, e, Options{SignallingSource: netip.MustParseAddr("10.0.0.9")}, "PCMA")
		a.caps.RTP = netip.AddrPortFrom(to, 5060)
		if err := a.s.SetOffer(a.neg.Offer(a.caps)); !errors.Is(err, ErrNotAcceptable) {
			t.Errorf("c=%v: %v", to, err)
		}
	}
}

// A storm of re-INVITEs that moves the peer's port every time: media follows each, and nothing is left behind.
func TestReofferStorm(t *testing.T) {
	e := run(t, local)
	a, b := call(t, e, Options{}, "PCMA"), call(t, e, Options{}, "PCMA")
	connect(a, b)
	shown := a.s.Local()
	for range 50 {
		a.udp.Close()
		var err error
		if a.udp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			t.Fatal(err)
		}
		a.caps.RTP = a.addr()
		a.offers(SendRecv)
		a.isAnswered(b.s)
		b.say(8, voice)
		a.hear()
		a.say(8, voice)
		b.hear()
	}
	a.udp.Close()
	if got := e.Stats(); got.PortsInUse != 2 || a.s.Local() != shown || a.got.RTP != shown {
		t.Errorf("%+v, shown %v, then %v", got, shown, a.got.RTP)
	}
}
