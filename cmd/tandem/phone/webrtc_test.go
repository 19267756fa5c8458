package phone

import (
	"strings"
	"testing"
)

// Two browsers, each pion's, over the phone's own SIP: every kind of media, digits, hold, resume and an ICE restart.
func TestCallBetweenTwoBrowsers(t *testing.T) {
	leaks(t)
	for _, c := range []struct {
		name   string
		config Config
		play   [2]string
		hz     [2]float64
		codec  string
	}{
		{name: "PCMA", config: Config{WebRTC: true}, play: [2]string{"tone:440", "tone:700"}, hz: [2]float64{440, 700}, codec: "PCMA"},
		{name: "PCMU", config: Config{WebRTC: true, Codecs: []string{"pcmu"}}, play: [2]string{"tone:440", "tone:700"}, hz: [2]float64{440, 700}, codec: "PCMU"},
		{name: "Opus", config: Config{WebRTC: true, Codecs: []string{"opus", "pcmu"}},
			play: [2]string{"testdata/tone-600.opus", "testdata/tone-900.opus"}, hz: [2]float64{600, 900}, codec: "OPUS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			alice, bob := pair(t, c.config, c.config)
			bob.SetAnswer(AutoAnswer(c.play[1]))
			out, in := dial(t, alice, bob, CallOptions{Play: c.play[0]})
			hears(t, "alice", out, c.hz[1])
			hears(t, "bob", in, c.hz[0])
			if err := out.SendDTMF(within(t), "12*#a"); err != nil {
				t.Fatal(err)
			}
			if err := in.WaitDTMF(within(t), "12*#A"); err != nil {
				t.Error(err)
			}
			if err := in.SendInfo(within(t), "9"); err != nil {
				t.Fatal(err)
			}
			if err := out.WaitDTMF(within(t), "9"); err != nil {
				t.Error(err)
			}
			for name, r := range map[string]Report{"alice": out.Report(), "bob": in.Report()} { // before pion is deaf for a moment
				if r.Lost != 0 || r.MOS < 3.5 {
					t.Errorf("%s: %+v", name, r)
				}
			}
			restarts(t, out, in)
			for name, holder := range map[string]*Call{"alice": out, "bob": in} {
				if err := holder.Hold(within(t)); err != nil {
					t.Fatalf("%s holds: %v", name, err)
				}
				quiet(t, "alice", out)
				quiet(t, "bob", in)
				if err := holder.Resume(within(t)); err != nil {
					t.Fatalf("%s resumes: %v", name, err)
				}
				for who, one := range map[*Call]string{out: c.play[0], in: c.play[1]} {
					if _, err := who.Play(one); err != nil {
						t.Fatal(err)
					}
				}
				hears(t, "alice", out, c.hz[1])
				hears(t, "bob", in, c.hz[0])
			}
			if err := in.Hangup(within(t)); err != nil {
				t.Fatal(err)
			}
			over(t, out)
			for name, r := range map[string]Report{"alice": out.Report(), "bob": in.Report()} {
				if r.SRTP != "DTLS-SRTP" || r.Codec != c.codec || r.Rejected != 0 || !r.Answered {
					t.Errorf("%s: %+v", name, r)
				}
			}
		})
	}
}

// restarts checks that an ICE restart changes the credentials and keeps the sound.
func restarts(t *testing.T, out, in *Call) {
	t.Helper()
	ufrag := func(c *Call) string { return fragment(c.sdp.peer.pc.CurrentLocalDescription()) }
	before := ufrag(out)
	if err := out.RestartICE(within(t)); err != nil {
		t.Fatal(err)
	}
	if after := ufrag(out); after == before || after == "" {
		t.Errorf("ICE user fragment %q after the restart, %q before", after, before)
	}
	if err := out.sdp.peer.waitConnected(within(t)); err != nil {
		t.Error(err)
	}
	if err := in.sdp.peer.waitConnected(within(t)); err != nil {
		t.Error(err)
	}
}

// A browser and a phone have no media profile in common: each says so, with 488 and in words.
func TestBrowserRefusesPlainRTP(t *testing.T) {
	leaks(t)
	for name, c := range map[string][2]bool{"phone calls browser": {false, true}, "browser calls phone": {true, false}} {
		t.Run(name, func(t *testing.T) {
			alice, bob := pair(t, Config{WebRTC: c[0]}, Config{WebRTC: c[1]})
			bob.SetAnswer(AutoAnswer(""))
			call, err := alice.Call(within(t), bob.URI(), CallOptions{})
			if err == nil || call == nil || over(t, call).Status != 488 {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBrowserConfig(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"SDES":              {Config{WebRTC: true, SRTP: SRTPRequired}, "DTLS-SRTP"},
		"Opus without":      {Config{Codecs: []string{"opus"}}, "OPUS with WebRTC"},
		"ICE/TCP without":   {Config{ICETCP: true}, "needs WebRTC"},
		"WebSocket default": {Config{WebRTC: true, Server: "192.0.2.1"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Local = "127.0.0.1"
			set, err := c.config.check()
			if c.want == "" && (err != nil || set.network != "ws" || set.port != 80) {
				t.Errorf("got %v, %s:%d", err, set.network, set.port)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
