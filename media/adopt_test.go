package media

import (
	"encoding/json"
	"testing"

	"tandem/media/sdp"
)

// moves hands a phone's session to another engine, by way of its state as JSON.
func (p *phone) moves(e *Engine, call, leg string, offer bool) {
	p.t.Helper()
	st, ok := p.s.State(offer)
	if !ok {
		p.t.Fatal("session is closed")
	}
	text, err := json.Marshal(st)
	if err != nil {
		p.t.Fatal(err)
	}
	var read State
	if err := json.Unmarshal(text, &read); err != nil {
		p.t.Fatal(err)
	}
	p.s.Close()
	s, err := e.Adopt(read, call, leg, p.s.opts.Events)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(s.Close)
	if s.Local() != p.s.Local() || s.RemoteDirection() != p.s.RemoteDirection() || s.Direction() != p.s.Direction() ||
		s.CodecName() != p.s.CodecName() || s.Held() != p.s.Held() || s.Agreed() != p.s.Agreed() {
		p.t.Errorf("another session: %v %v %v %q", s.Local(), s.RemoteDirection(), s.Direction(), s.CodecName())
	}
	p.s = s
}

// A call goes on in another engine, and in a third: sound, hold and resume, a new offer by either side, and figures that count on.
func TestAdopt(t *testing.T) {
	for name, how := range map[string]sdp.Security{"plain": sdp.Plain, "encrypted": sdp.Optional} {
		t.Run(name, func(t *testing.T) {
			o := Options{Call: "x", Secure: true, SRTP: SRTPOptional}
			e := run(t, local)
			a := call(t, e, o, "PCMA", "telephone-event").encrypted(how)
			b := call(t, e, o, "PCMU", "telephone-event").encrypted(how)
			connect(a, b)
			talk(a, b)
			for round := range 2 {
				e = run(t, local)
				a.moves(e, "x", "a", false)
				b.moves(e, "x", "b", false)
				if err := Join(a.s, b.s); err != nil {
					t.Fatal(err)
				}
				talk(a, b)
				if s := a.s.Stats(); s.In.Packets != uint64(6+6*round) || (s.Suite == "") != (how == sdp.Plain) || s.In.Lost != 0 {
					t.Errorf("round %d: stats %+v", round, s)
				}
				a.offers(SendOnly)
				b.isOffered(a.s, RecvOnly)
				a.isAnswered(b.s)
				if !a.s.Held() && a.s.Direction() != RecvOnly {
					t.Errorf("hold: %v", a.s.Direction())
				}
				a.offers(SendRecv)
				b.isOffered(a.s, SendRecv)
				a.isAnswered(b.s)
				talk(a, b)
				if n := e.Stats().Sessions; n != 2 {
					t.Errorf("%d sessions", n)
				}
			}
		})
	}
}

// Our descriptions keep their session id and count their version on, and unchanged ones are repeated to the letter.
func TestAdoptKeepsTheDescription(t *testing.T) {
	e := run(t, local)
	a := call(t, e, Options{Call: "x", Leg: "a"}, "PCMA")
	a.offers(SendRecv)
	body := string(a.isAnswered(nil))
	a.moves(run(t, local), "x", "a", false)
	again, err := a.s.CreateAnswer(nil)
	if err != nil || string(again) != body {
		t.Errorf("repeated answer %q %v, want %q", again, err, body)
	}
	first := a.parse([]byte(body), nil).Origin
	offer := a.isOffered(nil, SendRecv).Origin
	if offer.Session != first.Session || offer.Version < first.Version || offer.Version > first.Version+1 {
		t.Errorf("origin %+v after %+v", offer, first)
	}
}

// An offer of ours that stands in a 2xx takes its answer in another process; one in a request that ended with the first does not.
func TestAdoptWithAnOpenOffer(t *testing.T) {
	for name, kept := range map[string]bool{"in a 2xx": true, "in a request": false} {
		t.Run(name, func(t *testing.T) {
			e := run(t, local)
			a := call(t, e, Options{Call: "x", Leg: "a"}, "PCMA")
			body, err := a.s.CreateOffer(nil)
			offer := a.parse(body, err)
			a.moves(run(t, local), "x", "a", kept)
			a.caps.Direction = SendRecv
			answer, agreed, err := a.neg.Answer(offer, a.caps, sdp.Codec{})
			a.agree(agreed, err)
			if err := a.s.SetAnswer(answer); err == nil != kept {
				t.Fatalf("answer: %v", err)
			}
			if !kept {
				a.isOffered(nil, SendRecv)
			}
			if err := a.s.Echo(); err != nil {
				t.Fatal(err)
			}
			a.say(8, voice)
			a.hear()
		})
	}
}

// What cannot be read is an error, and holds no port.
func TestAdoptRefuses(t *testing.T) {
	e, next := run(t, local), run(t, local)
	a := call(t, e, Options{Call: "x", Leg: "a", Secure: true, SRTP: SRTPOptional}, "PCMA").encrypted(sdp.Optional)
	a.offers(SendRecv)
	a.isAnswered(nil)
	good, _ := a.s.State(false)
	a.s.Close()
	taken := call(t, e, Options{Call: "y", Leg: "a"}, "PCMA")
	for name, spoil := range map[string]func(*State){
		"newer":       func(s *State) { s.Version = 99 },
		"codec":       func(s *State) { s.Codecs = []string{"nonsense"} },
		"key":         func(s *State) { s.Keys = []string{"1 AES_CM_128_HMAC_SHA1_80 inline:short"} },
		"keys gone":   func(s *State) { s.Keys = nil },
		"description": func(s *State) { s.SDP.Said = "no description" },
		"port in use": func(s *State) { s.Port.Local = taken.s.port.Local() },
	} {
		st := good
		spoil(&st)
		if _, err := next.Adopt(st, "x", "a", nil); err == nil {
			t.Errorf("%s: adopted", name)
		}
	}
	if s := next.Stats(); s.Sessions != 0 || s.PortsInUse != 0 {
		t.Errorf("held after failures: %+v", s)
	}
	s, err := next.Adopt(good, "x", "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// A browser's call goes on in another engine: the same keys, credentials and place; its checks are answered, ICE may restart, and a new description
// begins a new DTLS association, for the certificate is another one.
func TestAdoptBrowser(t *testing.T) {
	first, stop := start(t, local)
	a, b := talking(t, first, browserOptions{})
	a.connected()
	exchange(a, b)
	states := map[*Session]State{}
	for _, s := range []*Session{a.s, b.s} {
		st, ok := s.State(false)
		if !ok {
			t.Fatal("session is closed")
		}
		text, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		var read State
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		states[s] = read
	}
	own := a.s.web.own
	stop()
	e := run(t, local)
	adopt := func(s *Session, leg string) *Session {
		got, err := e.Adopt(states[s], t.Name(), leg, s.opts.Events)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(got.Close)
		return got
	}
	a.s, b.s = adopt(a.s, "a"), adopt(b.s, "b")
	if err := Join(a.s, b.s); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		exchange(a, b)
	}
	if s := a.s.Stats(); s.In.Packets != 4 || s.Drops["auth"] != 0 || s.Suite != "AEAD_AES_128_GCM" || a.s.web.own != own {
		t.Errorf("stats %+v", s)
	}
	a.until("a check", func(s Stats) bool { return s.Remote.IsValid() })
	a.offers(nil)
	a.isAnswered(b.s)
	if a.s.web.association != 2 {
		t.Errorf("association %d", a.s.web.association)
	}
	for range 3 {
		exchange(a, b)
	}
}

// A carrier that is told keys in another way is offered no telephone-events by the next process either.
func TestAdoptSpeaksNoEvents(t *testing.T) {
	e := run(t, local)
	a := call(t, e, Options{Call: "x", Leg: "a", NoEvents: true}, "PCMA", "telephone-event")
	a.offers(SendRecv)
	a.isAnswered(nil)
	a.moves(run(t, local), "x", "a", false)
	for _, c := range a.isOffered(nil, SendRecv).Media[0].Codecs {
		if c.IsEvent() {
			t.Error("offers telephone-events")
		}
	}
}
