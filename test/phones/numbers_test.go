package phones

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"tandem/cmd/tandem/phone"
)

// Numbers that the switch answers itself, over every transport, plain and with SRTP.
func TestNumbersOfTheSwitch(t *testing.T) {
	t.Parallel()
	sound := filepath.Join(t.TempDir(), "notice.wav")
	writeTone(t, sound, 700, 1.2)
	o := open(t, fmt.Sprintf(`
route "notice" {
  to = "7010"
  play { file = %q }
}
route "closed" {
  to = "7011"
  play {
    file   = %q
    answer = false
  }
  reject { status = 480 }
}
`, sound, sound))
	t.Run("calls", func(t *testing.T) {
		for i, transport := range transports {
			t.Run("echo and tone over "+transport, func(t *testing.T) {
				t.Parallel()
				config := o.config(o.extension(t), transport)
				if transport == "tls" || transport == "wss" {
					config.SRTP = phone.SRTPRequired
				}
				config.Codecs = [][]string{{"PCMA"}, {"PCMU"}}[i%2]
				a := register(t, config)
				hz := 500 + 50*float64(i)
				call, err := a.Call(within(t), "9196", phone.CallOptions{})
				must(t, "call the echo", err)
				call.PlayTone(hz)
				hear(t, "echo", call, hz)
				must(t, "hold", call.Hold(within(t)))
				quiet(t, "held", call)
				must(t, "resume", call.Resume(within(t)))
				hear(t, "echo after a hold", call, hz)
				must(t, "hang up", call.Hangup(within(t)))
				agrees(t, call, o.record(t, config.User, 1).leg(t, config.User), config)

				call, err = a.Call(within(t), "9197", phone.CallOptions{})
				must(t, "call the tone", err)
				heard, err := call.WaitTone(within(t), 1004)
				if err != nil || heard.Level < -11 || heard.Level > -9 {
					t.Errorf("%v (%v), want 1004 Hz at -10 dBm0", heard, err)
				}
				must(t, "hang up", call.Hangup(within(t)))
				agrees(t, call, o.record(t, config.User, 2).leg(t, config.User), config)
			})
		}
		t.Run("a file, and then the switch hangs up", func(t *testing.T) {
			t.Parallel()
			a, from := o.desk(t, "udp")
			call, err := a.Call(within(t), "7010", phone.CallOptions{})
			must(t, "call", err)
			hear(t, "notice", call, 700)
			ended(t, call, phone.ByRemote)
			if r := o.record(t, from, 1); r.EndedBy != "switch" || r.Status != 200 || r.Duration < 1 {
				t.Errorf("record: %+v", r)
			}
		})
		t.Run("a file before a refusal", func(t *testing.T) {
			t.Parallel()
			a, from := o.desk(t, "wss")
			call, err := a.Call(within(t), "7011", phone.CallOptions{})
			var refusal *phone.StatusError
			if !errors.As(err, &refusal) || refusal.Code != 480 {
				t.Fatalf("%v, want 480", err)
			}
			ended(t, call, phone.ByRemote)
			if r := call.Report(); !r.EarlyMedia || r.Early.Packets < 40 || !r.Early.Sound.IsTone(700) {
				t.Errorf("heard before the refusal: %+v", r.Early)
			}
			if r := o.record(t, from, 1); r.Status != 480 || r.Duration != 0 {
				t.Errorf("record: %+v", r)
			}
		})
	})
	o.Idle(patience)
}

// writeTone writes a WAV file of 16-bit samples at 8 kHz.
func writeTone(t *testing.T, path string, hz, seconds float64) {
	t.Helper()
	const rate = 8000
	samples := make([]int16, int(seconds*rate))
	for i := range samples {
		samples[i] = int16(8000 * math.Sin(2*math.Pi*hz*float64(i)/rate))
	}
	out := []byte("RIFF\x00\x00\x00\x00WAVEfmt ")
	out = binary.LittleEndian.AppendUint32(out, 16)
	for _, v := range []any{uint16(1), uint16(1), uint32(rate), uint32(2 * rate), uint16(2), uint16(16)} {
		out, _ = binary.Append(out, binary.LittleEndian, v)
	}
	out = binary.LittleEndian.AppendUint32(append(out, "data"...), uint32(2*len(samples)))
	out, _ = binary.Append(out, binary.LittleEndian, samples)
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A group whose members ring together, and one whose members ring one after the other.
func TestRingGroups(t *testing.T) {
	t.Parallel()
	more := ""
	for n := 3001; n <= 3003; n++ {
		more += fmt.Sprintf("extension \"%d\" {\n  password = secret(\"env:%s\")\n  class = class.office\n}\n", n, passwordVariable)
	}
	const members = `[extension["3001"], extension["3002"], extension["3003"]]`
	o := open(t, more+`
ring_group "together" {
  strategy = "all"
  members  = `+members+`
}
ring_group "in turn" {
  strategy = "in_order"
  members  = `+members+`
  each     = "1s"
}
route "together" {
  to = "7020"
  ring { group = ring_group.together }
}
route "in turn" {
  to = "7021"
  ring { group = ring_group["in turn"] }
}
`)
	var members3 []*phone.Phone
	for i, transport := range []string{"udp", "wss", "tls"} {
		members3 = append(members3, register(t, o.config(fmt.Sprint(3001+i), transport)))
	}
	a, from := o.desk(t, "tcp")

	call, err := a.Dial(within(t), "7020", phone.CallOptions{Play: "tone:440"})
	must(t, "dial", err)
	var ringing []*phone.Call
	for _, p := range members3 {
		ringing = append(ringing, incoming(t, p))
	}
	must(t, "answer", ringing[2].Accept())
	ringing[2].PlayTone(660)
	must(t, "answered", call.WaitAnswered(within(t)))
	for _, c := range ringing[:2] {
		ended(t, c, phone.ByRemote)
	}
	hear(t, "caller", call, 660)
	hear(t, "member", ringing[2], 440)
	must(t, "hang up", call.Hangup(within(t)))
	ended(t, ringing[2], phone.ByRemote)
	if r := o.record(t, from, 1); r.Status != 200 || len(r.Attempts) != 3 {
		t.Errorf("record: %+v", r)
	}

	// The first does not answer in time, the second is busy, the third answers.
	members3[1].SetAnswer(phone.Busy())
	members3[2].SetAnswer(phone.AutoAnswer("tone:660"))
	call, err = a.Call(within(t), "7021", phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	for i, p := range members3 {
		c := incoming(t, p)
		switch i {
		case 0:
			ended(t, c, phone.ByRemote)
		case 1:
			ended(t, c, phone.ByLocal)
		case 2:
			hear(t, "caller", call, 660)
			must(t, "hang up", c.Hangup(within(t)))
		}
	}
	ended(t, call, phone.ByRemote)
	r := o.record(t, from, 2)
	if len(r.Attempts) != 3 || r.Attempts[1].Status != 486 || r.Attempts[2].Status != 200 {
		t.Errorf("record: %+v", r)
	}
	o.Idle(patience)
}
