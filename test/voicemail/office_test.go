// Package voicemail leaves messages in the built switch, listens to them and walks through a menu, with phones that share
// no code with it, and recognises what is heard.
package voicemail

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/media/codec"
	"tandem/test/binary"
)

// password is that of every extension here: without the blank of binary.Password, which ends a value in baresip's list
// of accounts. The switch inherits it.
const password, passwordVariable = "correct-horse", "TANDEM_TEST_PASSWORD"

// patience is how long a step of a call may take on a machine that does much else.
const patience = 20 * time.Second

const owner = "2001"

func TestMain(m *testing.M) {
	if err := os.Setenv(passwordVariable, password); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// plan has the box of extension 2001, its menu, and a menu for everybody. SOUND is a file of a second of 480 Hz.
const plan = `
extension "2001" {
  name     = "Owner"
  password = secret("env:TANDEM_TEST_PASSWORD")
  class    = class.office
}
extension "2002" {
  name     = "Caller"
  password = secret("env:TANDEM_TEST_PASSWORD")
  class    = class.office
}
extension "2003" {
  name     = "Soft"
  password = secret("env:TANDEM_TEST_PASSWORD")
  class    = class.office
}
route "desks" {
  to = "2xxx"
  dial {
    extension = call.to
    timeout   = "20s"
  }
  on "busy" "no_answer" "unreachable" {
    voicemail { box = call.to }
  }
}
route "straight" {
  to = "72001"
  voicemail {
    box     = extension["2001"]
    silence = "2s"
  }
}
route "listen" {
  to = "7000"
  voicemail {
    box    = call.from
    listen = true
  }
}
flow "tone" {
  tone { hz = 1004 }
}
route "menu" {
  to = "7100"
  menu {
    greeting = "SOUND"
    retries  = 1
    timeout  = "2s"
    choice "1" {
      dial { extension = extension["2001"] }
    }
    choice "2" {
      flow { run = flow.tone }
    }
    otherwise {
      reject { status = 603 }
    }
  }
}
`

// open starts the switch.
func open(t *testing.T) *binary.Switch {
	t.Helper()
	sound := filepath.Join(t.TempDir(), "menu.wav")
	write(t, sound, tone(480, 1000))
	return binary.Start(t, binary.Office+binary.Media+strings.ReplaceAll(plan, "SOUND", sound))
}

func tone(hz float64, ms int) []int16 {
	pcm := make([]int16, 8*ms)
	if hz > 0 {
		wave := codec.NewTone(-10, hz)
		wave.Read(pcm)
	}
	return pcm
}

func write(t *testing.T, path string, pcm []int16) {
	t.Helper()
	f, err := os.Create(path)
	must(t, "create", err)
	w, err := codec.NewWAVWriter(f, 1)
	must(t, "write", err)
	must(t, "write", w.Write(pcm))
	must(t, "write", w.Close())
	must(t, "write", f.Close())
}

// toneOf is the frequency of a spoken digit 1 to 6. The signs of the switch are all below 1300 Hz.
func toneOf(digit byte) float64 { return 1400 + 130*float64(digit-'0') }

// spoken is digits as tones of 300 ms, with pauses.
func spoken(digits string) []int16 {
	var pcm []int16
	for i := range len(digits) {
		pcm = append(pcm, tone(toneOf(digits[i]), 300)...)
		pcm = append(pcm, tone(0, 200)...)
	}
	return pcm
}

// recognise reads the digits of a recording.
func recognise(t *testing.T, path string) string {
	t.Helper()
	pcm, err := codec.LoadWAV(path)
	must(t, "recording", err)
	const window = 640
	var out []byte
	last, run := byte(0), 0
	for len(pcm) >= window {
		hz, level := codec.Frequency(pcm[:window])
		pcm = pcm[window:]
		digit := byte(0)
		for d := byte('1'); d <= '6'; d++ {
			if level > -20 && math.Abs(hz-toneOf(d)) < 25 {
				digit = d
			}
		}
		if digit != last {
			last, run = digit, 0
		}
		if run++; digit != 0 && run == 2 {
			out = append(out, digit)
		}
	}
	return string(out)
}

// start makes a phone at an extension; it calls and is not registered.
func start(t *testing.T, s *binary.Switch, user string, answer phone.Answer) *phone.Phone {
	t.Helper()
	p, err := phone.New(phone.Config{Server: s.Addr(5060), User: user, Password: password, Answer: answer})
	must(t, "phone", err)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, doing string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}

// hear waits for a tone.
func hear(t *testing.T, c *phone.Call, hz float64) {
	t.Helper()
	if _, err := c.WaitTone(within(t), hz); err != nil {
		t.Fatalf("%.0f Hz is not heard: %v", hz, err)
	}
}

// message is a message as its file says it.
type message struct {
	ID      string
	Box     string
	From    string
	Seconds float64
	Heard   bool
}

// messages are the files of a box, oldest first.
func messages(t *testing.T, s *binary.Switch, box string) (list []message) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, "state", "voicemail", box, "*.json"))
	must(t, "messages", err)
	slices.Sort(files)
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, "message", err)
		var m message
		must(t, "message", json.Unmarshal(b, &m))
		if _, err := os.Stat(f[:len(f)-len(".json")] + ".wav"); err != nil {
			t.Error(err)
		}
		list = append(list, m)
	}
	return list
}
