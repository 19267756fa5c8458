package media

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"tandem/media/codec"
	"tandem/media/sdp"
)

var local = Config{LoopbackPeers: true}

func TestCall(t *testing.T) {
	for name, c := range map[string]struct{ a, b []string }{
		"one codec":        {[]string{"PCMA"}, []string{"PCMA"}},
		"each its own law": {[]string{"PCMA", "telephone-event"}, []string{"PCMU", "telephone-event"}},
		"the other way":    {[]string{"PCMU"}, []string{"PCMA"}},
		"many":             {[]string{"G722", "PCMU", "PCMA", "telephone-event"}, []string{"PCMA", "G722", "telephone-event"}},
		"not one of ours":  {[]string{"opus", "PCMU"}, []string{"opus", "PCMU"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := run(t, local)
			a := call(t, e, Options{Call: "x", Leg: "a"}, c.a...)
			b := call(t, e, Options{Call: "x", Leg: "b"}, c.b...)
			connect(a, b)
			talk(a, b)
			if !a.s.Agreed() || a.s.Held() || a.s.CodecName() != a.got.Codec.Name {
				t.Errorf("agreed %v, held %v, codec %s", a.s.Agreed(), a.s.Held(), a.s.CodecName())
			}
			if s := a.s.Stats(); s.In.Packets != 3 || s.Out.Packets != 3 || s.In.Bytes != 480 || !s.Heard || s.Remote != a.addr() || s.In.MOS < 4 || len(s.Drops) != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestCallEncrypted(t *testing.T) {
	optional := Options{Secure: true, SRTP: SRTPOptional}
	for name, c := range map[string]struct {
		a, b   Options
		pa, pb sdp.Security
		sa, sb bool // what comes of it
	}{
		"both by the way":           {optional, optional, sdp.Optional, sdp.Optional, true, true},
		"one demands":               {optional, optional, sdp.Required, sdp.Plain, true, false},
		"the other demands":         {Options{}, Options{Secure: true, SRTP: SRTPRequired}, sdp.Plain, sdp.Required, false, true},
		"we demand of both":         {Options{Secure: true, SRTP: SRTPRequired}, Options{Secure: true, SRTP: SRTPRequired}, sdp.Required, sdp.Required, true, true},
		"not over plain signalling": {Options{SRTP: SRTPOptional}, Options{SRTP: SRTPOptional}, sdp.Optional, sdp.Optional, false, false},
		"unless it is allowed":      {Options{SRTP: SRTPOptional, AllowClearSDES: true}, optional, sdp.Optional, sdp.Optional, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := run(t, local)
			a := call(t, e, c.a, "PCMA", "telephone-event").encrypted(c.pa)
			b := call(t, e, c.b, "PCMU", "telephone-event").encrypted(c.pb)
			connect(a, b)
			if a.got.Secured != c.sa || b.got.Secured != c.sb {
				t.Fatalf("secured %v and %v", a.got.Secured, b.got.Secured)
			}
			talk(a, b)
			if got := a.s.Stats().Suite != ""; got != c.sa {
				t.Errorf("suite %q", a.s.Stats().Suite)
			}
		})
	}
}

func TestEncryptionRefused(t *testing.T) {
	e := run(t, local)
	for name, c := range map[string]struct {
		o    Options
		peer sdp.Security
	}{
		"keys demanded over plain signalling": {Options{SRTP: SRTPOptional}, sdp.Required},
		"we have it off":                      {Options{Secure: true}, sdp.Required},
		"we demand, the peer has none":        {Options{Secure: true, SRTP: SRTPRequired}, sdp.Plain},
		"we demand over plain signalling":     {Options{SRTP: SRTPRequired}, sdp.Required},
	} {
		a := call(t, e, c.o, "PCMA").encrypted(c.peer)
		if err := a.s.SetOffer(a.neg.Offer(a.caps)); !errors.Is(err, ErrNotAcceptable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a := call(t, e, Options{SRTP: SRTPRequired}, "PCMA")
	if _, err := a.s.CreateOffer(nil); !errors.Is(err, ErrNotAcceptable) {
		t.Errorf("offer without keys: %v", err)
	}
}

// A hold passes from one leg to the other, in both ways of writing it, and the resume too; address, port and keys stay.
func TestHoldAndResume(t *testing.T) {
	e := run(t, local)
	o := Options{Secure: true, SRTP: SRTPOptional}
	a := call(t, e, o, "PCMA").encrypted(sdp.Optional)
	b := call(t, e, o, "PCMA").encrypted(sdp.Optional)
	connect(a, b)
	talk(a, b)
	said := string(b.s.neg.Said())
	for _, step := range []struct{ want, reply, our sdp.Direction }{
		{SendOnly, RecvOnly, SendOnly}, {SendRecv, SendRecv, SendRecv}, {Inactive, Inactive, Inactive}, {SendRecv, SendRecv, SendRecv},
	} {
		a.offers(step.want)
		if got := a.s.RemoteDirection(); got != step.want {
			t.Errorf("a wants %v, seen as %v", step.want, got)
		}
		d := b.isOffered(a.s, step.reply)
		if got := audio(d).Direction; got != step.our {
			t.Errorf("a wants %v: b is offered %v", step.want, got)
		}
		if got := audio(d); got.Port != b.s.Local().Port() || lines([]byte(said), "a=crypto:")[0] != got.Crypto[0].Value() {
			t.Errorf("a new offer changes port or keys")
		}
		a.isAnswered(b.s)
		held := step.want == SendOnly || step.want == Inactive
		if a.s.Held() != held || a.got.Sends != (step.want == SendRecv || step.want == SendOnly) || a.got.Receives != (step.want == SendRecv) {
			t.Errorf("a wants %v: held %v, agreed %+v", step.want, a.s.Held(), a.got)
		}
		if held {
			b.say(8, voice)
			b.until("b's packet ends here", func(s Stats) bool { return s.Drops["held"]+s.Drops["nowhere"] > 0 })
			a.silent()
		} else {
			talk(a, b)
		}
	}
	// c=0.0.0.0 is the old way.
	offer := strings.Replace(string(a.neg.Offer(a.caps)), "c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0", 1)
	if err := a.s.SetOffer([]byte(offer)); err != nil {
		t.Fatal(err)
	}
	if got := a.s.RemoteDirection(); got != SendOnly {
		t.Errorf("c=0.0.0.0 is seen as %v", got)
	}
	b.isOffered(a.s, RecvOnly)
	a.isAnswered(b.s)
	if !a.s.Held() {
		t.Error("not held")
	}
}

func TestAnswersAreStable(t *testing.T) {
	e := run(t, local)
	a := call(t, e, Options{}, "PCMA")
	if _, err := a.s.CreateAnswer(nil); !errors.Is(err, ErrNoOffer) {
		t.Errorf("answer to nothing: %v", err)
	}
	a.offers(SendRecv)
	first := a.isAnswered(nil)
	again, err := a.s.CreateAnswer(nil)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("%v\n%s\n%s", err, first, again)
	}
	// An offer that is dropped leaves all as it was.
	a.offers(Inactive)
	a.s.Rollback()
	if again, err = a.s.CreateAnswer(nil); err != nil || !bytes.Equal(first, again) || a.s.RemoteDirection() != SendRecv {
		t.Errorf("after Rollback: %v, %v\n%s", err, a.s.RemoteDirection(), again)
	}
	// So does one of ours.
	if _, err := a.s.CreateOffer(nil); err != nil {
		t.Fatal(err)
	}
	a.s.Rollback()
	if again, err = a.s.CreateAnswer(nil); err != nil || !bytes.Equal(first, again) || !a.s.Agreed() || a.s.CodecName() != "PCMA" {
		t.Errorf("after Rollback of ours: %v, agreed %v\n%s", err, a.s.Agreed(), again)
	}
}

// A second answer to one offer, as the 200 after a 183 brings it, counts; and a late offer works.
func TestAnswersAgain(t *testing.T) {
	e := run(t, local)
	b := call(t, e, Options{}, "PCMA", "PCMU")
	body, err := b.s.CreateOffer(nil)
	d := b.parse(body, err)
	early, _, err := b.neg.Answer(d, b.caps, sdp.Codec{})
	if err != nil {
		t.Fatal(err)
	}
	other := call(t, e, Options{}, "PCMU")
	final, agreed, err := other.neg.Answer(d, other.caps, sdp.Codec{})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range [][]byte{early, early, final} {
		if err := b.s.SetAnswer(body); err != nil {
			t.Fatal(err)
		}
	}
	if b.s.CodecName() != "PCMU" {
		t.Errorf("codec %s", b.s.CodecName())
	}
	other.got = agreed
	if err := b.s.Echo(); err != nil {
		t.Fatal(err)
	}
	other.say(0, voice)
	other.hear()
	if err := b.s.SetAnswer([]byte("v=0\r\n")); !errors.Is(err, ErrNotAcceptable) && !errors.Is(err, ErrBadSDP) {
		t.Errorf("half an answer: %v", err)
	}
	other.say(0, voice)
	other.hear()
}

func TestOfferErrors(t *testing.T) {
	e := run(t, local)
	a := call(t, e, Options{Codecs: []string{"PCMA", "telephone-event"}}, "PCMU")
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"empty":            {"", ErrBadSDP},
		"not SDP":          {"hello\r\n", ErrBadSDP},
		"no audio":         {"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 4000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n", ErrNotAcceptable},
		"codec not ours":   {string(a.neg.Offer(a.caps)), ErrNotAcceptable},
		"multicast":        {"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 224.2.1.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n", ErrNotAcceptable},
		"another family":   {"v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n", ErrNotAcceptable},
		"one of our ports": {"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio " + portOf(a) + " RTP/AVP 8\r\n", ErrNotAcceptable},
	} {
		if err := a.s.SetOffer([]byte(c.body)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if _, err := a.s.CreateAnswer(nil); !errors.Is(err, ErrNoOffer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Keys pass with the other leg's number, are reported once, and are made where an INFO asks for them.
func TestDTMF(t *testing.T) {
	e := run(t, local)
	a := call(t, e, Options{}, "PCMA", "telephone-event")
	b := call(t, e, Options{}, "PCMU", "telephone-event")
	b.caps.Codecs[1].PT = 96
	connect(a, b)
	talk(a, b)
	at := a.ts
	for _, ev := range []codec.Event{{Code: 9, Duration: 160}, {Code: 9, Duration: 320, End: true}, {Code: 9, Duration: 320, End: true}} {
		a.ts = at
		pl := ev.Payload()
		a.say(a.got.SendEvent.PT, pl[:])
		got := b.hear()
		if parsed, err := codec.ParseEvent(got.Payload()); err != nil || parsed != ev || got.PayloadType() != b.got.ReceiveEvent.PT {
			t.Fatalf("%+v with type %d", parsed, got.PayloadType())
		}
	}
	if ev := a.wait(DTMF); ev.Digit != '9' || ev.Duration.Milliseconds() != 40 {
		t.Errorf("event %+v", ev)
	}
	if !a.s.TakesDTMF() {
		t.Error("a takes no keys")
	}
	if err := a.s.SendDTMF("4", 0); err != nil {
		t.Fatal(err)
	}
	ends := 0
	for ends < 3 {
		p := a.hear()
		if ev, err := codec.ParseEvent(p.Payload()); err != nil || ev.Code != 4 || p.PayloadType() != a.got.ReceiveEvent.PT {
			t.Fatalf("%+v, %v", ev, err)
		} else if ev.End {
			ends++
		}
	}
	if err := a.s.SendDTMF("Z", 0); !errors.Is(err, ErrDigit) {
		t.Error(err)
	}
	silent := call(t, e, Options{}, "PCMA")
	silent.offers(SendRecv)
	silent.isAnswered(nil)
	if err := silent.s.SendDTMF("1", 0); !errors.Is(err, ErrNoDTMF) {
		t.Error(err)
	}
}

func portOf(p *phone) string {
	_, port, _ := strings.Cut(p.s.Local().String(), ":")
	return port
}

// A leg with codecs of its own is offered those in its own order, under the numbers of the caller.
func TestCodecOrderOfALeg(t *testing.T) {
	e := run(t, local)
	for _, x := range []struct {
		caller, own []string
		want        string
	}{
		{[]string{"PCMU", "PCMA", "telephone-event"}, []string{"PCMA", "PCMU", "telephone-event"}, "8 0 101"},
		{[]string{"PCMU", "G722", "PCMA", "telephone-event"}, []string{"G722", "PCMA", "telephone-event"}, "9 8 101"},
		{[]string{"PCMA", "telephone-event"}, []string{"PCMU", "PCMA", "telephone-event"}, "0 8 101"},
		{[]string{"PCMU", "PCMA", "telephone-event"}, nil, "0 8 101"},
	} {
		a, b := call(t, e, Options{Call: "x", Leg: "a"}, x.caller...), call(t, e, Options{Call: "x", Leg: "b", Codecs: x.own}, "PCMA", "PCMU", "G722")
		a.offers(SendRecv)
		if got := strings.Join(b.isOffered(a.s, SendRecv).Media[0].Formats, " "); got != x.want {
			t.Errorf("%v with %v: offered %s, want %s", x.caller, x.own, got, x.want)
		}
	}
}

// Packets pass as they are, so what one peer says of their length the other is told.
func TestPacketTimePasses(t *testing.T) {
	for _, x := range []struct{ a, b, offered, answered int }{{20, 20, 20, 20}, {30, 40, 30, 40}, {10, 20, 10, 20}, {5, 500, 20, 20}} {
		e := run(t, local)
		a, b := call(t, e, Options{Call: "x", Leg: "a"}, "PCMA"), call(t, e, Options{Call: "x", Leg: "b"}, "PCMA")
		a.caps.PTime, b.caps.PTime = x.a, x.b
		a.offers(SendRecv)
		if d := b.isOffered(a.s, SendRecv); d.Media[0].PTime != x.offered {
			t.Errorf("a says %d, b is told %d", x.a, d.Media[0].PTime)
		}
		if d := a.parse(a.isAnswered(b.s), nil); d.Media[0].PTime != x.answered {
			t.Errorf("b says %d, a is told %d", x.b, d.Media[0].PTime)
		}
	}
}
