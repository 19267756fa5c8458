package voicemail

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/media/codec"
	"tandem/test/baresip"
	"tandem/test/binary"
	"tandem/test/wire"
)

const told = 10 * time.Second

// lamp waits for a NOTIFY that says how many messages there are.
func lamp(t *testing.T, p *wire.Phone, want string) {
	t.Helper()
	var m wire.Message
	for end := time.Now().Add(told); ; {
		m = p.Request(time.Until(end), "NOTIFY")
		p.Reply(m, 200, wire.Reply{})
		if strings.Contains(m.Raw, "Voice-Message: "+want+" ") {
			break
		}
	}
	lit := "Messages-Waiting: yes"
	if strings.HasPrefix(want, "0/") {
		lit = "Messages-Waiting: no"
	}
	if m.Get("event") != "message-summary" || m.Get("content-type") != "application/simple-message-summary" || !strings.Contains(m.Raw, lit) {
		t.Errorf("not a summary:\n%s", m.Raw)
	}
}

// A caller speaks digits to a phone that is busy, another leaves a message by baresip; the owner hears the digits as
// they were spoken, keeps the one and deletes the other, by both kinds of keys; and the lamp of his desk follows.
func TestMessage(t *testing.T) {
	t.Parallel()
	s := open(t)
	desk := wire.NewPhone(wire.UDP(t, s.Host, 0, s.Addr(5060)), owner, password)
	desk.Register()

	const digits = "3142665"
	sound := filepath.Join(t.TempDir(), "spoken.wav")
	write(t, sound, spoken(digits))
	caller := start(t, s, "2002", phone.Answer{})
	call, err := caller.Dial(within(t), owner, phone.CallOptions{})
	must(t, "dial", err)
	desk.Rung().Respond(486, "")
	must(t, "answered", call.WaitAnswered(within(t)))
	hear(t, call, 1000)
	must(t, "quiet", call.WaitQuiet(within(t), 200*time.Millisecond))
	done, err := call.Play(sound)
	must(t, "speak", err)
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the message does not end")
	}
	must(t, "hang up", call.Hangup(within(t)))
	lamp(t, desk, "1/0")
	if list := messages(t, s, owner); len(list) != 1 || list[0].From != "2002" || list[0].Seconds < 3.5 || list[0].Seconds > 6 {
		t.Fatalf("messages %+v", list)
	}

	second := 1
	if !testing.Short() && (baresip.Installed() || os.Getenv("TANDEM_PEERS") == "required") {
		byBaresip(t, s.Host, s.Addr(5060))
		second = 2
		lamp(t, desk, "2/0")
		checkTone(t, s, 620)
	}

	listener := start(t, s, owner, phone.Answer{})
	heard := filepath.Join(t.TempDir(), "heard.wav")
	call, err = listener.Call(within(t), "7000", phone.CallOptions{Record: heard})
	must(t, "listen", err)
	hear(t, call, 850)
	hear(t, call, toneOf(digits[len(digits)-1]))
	must(t, "quiet", call.WaitQuiet(within(t), 400*time.Millisecond))
	must(t, "keep", call.SendDTMF(within(t), "2"))
	if second == 2 {
		lamp(t, desk, "1/1")
		hear(t, call, 620)
		must(t, "delete", call.SendInfo(within(t), "3"))
	}
	lamp(t, desk, "0/1")
	hear(t, call, 400)
	if e, err := call.Wait(within(t)); err != nil || e.By != phone.ByRemote {
		t.Errorf("%+v, %v", e, err)
	}
	if got := recognise(t, heard); got != digits {
		t.Errorf("heard %q, and %q was spoken", got, digits)
	}
	if list := messages(t, s, owner); len(list) != 1 || !list[0].Heard || list[0].From != "2002" {
		t.Errorf("messages %+v", list)
	}
	desk.Register()
	lamp(t, desk, "0/1")
}

// checkTone looks at the sound of the last message.
func checkTone(t *testing.T, s *binary.Switch, want float64) {
	t.Helper()
	list := messages(t, s, owner)
	pcm, err := codec.LoadWAV(filepath.Join(s.Dir, "state", "voicemail", owner, list[len(list)-1].ID+".wav"))
	must(t, "sound", err)
	if hz, level := codec.Frequency(pcm); math.Abs(hz-want) > 5 || level < -30 {
		t.Errorf("%d samples of %.0f Hz at %.0f dBm0, want %.0f Hz", len(pcm), hz, level, want)
	}
}

// byBaresip leaves a message of 620 Hz that the hang-up ends.
func byBaresip(t *testing.T, host, server string) {
	t.Helper()
	p, err := baresip.Start(within(t), baresip.Config{
		User: "2003", Password: password, Domain: host, Server: server, Transport: "udp", Tone: 620, Dir: t.TempDir(),
	})
	must(t, "baresip", err)
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("baresip printed:\n%s", p.Output())
		}
	}()
	must(t, "register", p.Registered(within(t)))
	must(t, "dial", p.Dial(within(t), "72001"))
	_, err = p.WaitEvent(within(t), "CALL_ESTABLISHED", 0)
	must(t, "answered", err)
	select { // greeting and beep, and two seconds of tone
	case <-time.After(4500 * time.Millisecond):
	case <-t.Context().Done():
	}
	must(t, "hang up", p.Hangup(within(t)))
}

// Who stops speaking has left a message, is told so, and the call's record names it.
func TestSilenceEndsTheMessage(t *testing.T) {
	t.Parallel()
	s := open(t)
	caller := start(t, s, "2002", phone.Answer{})
	call, err := caller.Call(within(t), "72001", phone.CallOptions{})
	must(t, "call", err)
	hear(t, call, 1000)
	call.PlayTone(1500)
	select {
	case <-time.After(1500 * time.Millisecond):
	case <-call.Done():
		t.Fatal("ended while somebody speaks")
	}
	call.Silence()
	hear(t, call, 1200) // it was kept
	if e, err := call.Wait(within(t)); err != nil || e.By != phone.ByRemote {
		t.Errorf("%+v, %v", e, err)
	}
	if list := messages(t, s, owner); len(list) != 1 {
		t.Errorf("messages %+v", list)
	}
	records, err := os.ReadFile(filepath.Join(s.Dir, "state", "cdr.jsonl"))
	for end := time.Now().Add(told); err != nil || !strings.Contains(string(records), `"voicemail":{"box":"2001"`); {
		if time.Now().After(end) {
			t.Fatalf("no record of it: %v\n%s", err, records)
		}
		records, err = os.ReadFile(filepath.Join(s.Dir, "state", "cdr.jsonl"))
	}
}

// An empty box says so and hangs up.
func TestEmptyBox(t *testing.T) {
	t.Parallel()
	s := open(t)
	caller := start(t, s, "2002", phone.Answer{})
	call, err := caller.Call(within(t), "7000", phone.CallOptions{})
	must(t, "call", err)
	hear(t, call, 400)
	if e, err := call.Wait(within(t)); err != nil || e.By != phone.ByRemote {
		t.Errorf("%+v, %v", e, err)
	}
}

// A menu by telephone-events and by INFO, over the greeting and after it, and by who presses nothing.
func TestMenu(t *testing.T) {
	t.Parallel()
	s := open(t)
	desk := start(t, s, owner, phone.AutoAnswer("tone:660"))
	must(t, "register", desk.Register(within(t), time.Minute))
	caller := start(t, s, "2002", phone.Answer{})
	menu := func() *phone.Call {
		t.Helper()
		call, err := caller.Call(within(t), "7100", phone.CallOptions{Play: "tone:440"})
		must(t, "call", err)
		hear(t, call, 480)
		return call
	}
	call := menu()
	must(t, "press", call.SendDTMF(within(t), "1"))
	hear(t, call, 660)
	other, err := desk.WaitIncoming(within(t))
	must(t, "incoming", err)
	hear(t, other, 440)
	must(t, "hang up", call.Hangup(within(t)))

	call = menu()
	must(t, "press", call.SendInfo(within(t), "2"))
	hear(t, call, 1004)
	must(t, "hang up", call.Hangup(within(t)))

	call = menu()
	must(t, "press", call.SendDTMF(within(t), "7")) // no choice: once more
	hear(t, call, 480)
	_ = call.SendDTMF(within(t), "9") // the call may end before the key is let go
	if e, err := call.Wait(within(t)); err != nil || e.By != phone.ByRemote {
		t.Errorf("%+v, %v", e, err)
	}
	s.Idle(patience)
}
