package call

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/media"
	"tandem/sip"
	"tandem/voicemail"
)

// talkPlan has the steps in which the switch itself speaks.
const talkPlan = officePlan + `
flow "sales" {
  ring { group = ring_group.sales }
}
route "menu" {
  to = "500"
  menu {
    greeting = "welcome.wav"
    invalid  = "busy.wav"
    timeout  = "5s"
    between  = "2s"
    retries  = 1
    digits   = 3
    choice "1" {
      dial {
        extension = extension["1002"]
        timeout   = "20s"
      }
    }
    choice "2" "3" {
      flow { run = flow.sales }
    }
    choice "123" {
      reject { status = 603 }
    }
    otherwise {
      play { file = "busy.wav" }
    }
  }
}
route "patient" {
  to = "501"
  menu {
    greeting = "welcome.wav"
    barge_in = false
    choice "1" {
      dial { extension = extension["1002"] }
    }
    otherwise {
      reject { status = 486 }
    }
  }
}
route "box" {
  to = "510"
  voicemail { box = extension["1002"] }
}
route "busy-box" {
  to = "511"
  dial { extension = extension["1002"] }
  on "busy" {
    voicemail { box = extension["1002"] }
  }
}
route "listen" {
  to = "520"
  voicemail {
    box    = call.from
    listen = true
  }
}
route "others" {
  to = "521"
  voicemail {
    box    = extension["1002"]
    listen = true
  }
}
`

// talks runs a test in an office whose plan speaks, with a store of messages.
func talks(t *testing.T, test func(o *office, boxes *voicemail.Store)) {
	t.Helper()
	dir := t.TempDir()
	inOffice(t, func(o *office) {
		boxes, err := voicemail.Open(voicemail.Config{Dir: dir, MaxMessages: 3}, o.board.log)
		if err != nil {
			o.Fatal(err)
		}
		o.board.voicemail = boxes
		test(o, boxes)
	}, func(_ *Config, s *Settings) { s.Plan = planOf(t, talkPlan) })
}

// greeted calls a number that the switch answers.
func (p *phone) greeted(to string) *dialogue {
	p.o.Helper()
	d := p.invites(to, "offer of "+p.ext)
	d.hears("200")
	d.acks("")
	p.o.settle()
	return d
}

func TestMenuByEvents(t *testing.T) {
	talks(t, func(o *office, _ *voicemail.Store) {
		alice, bob := o.alice(), o.bob()
		a := alice.greeted("500")
		o.media.of("a").presses('1') // over the greeting
		o.pass(1900 * time.Millisecond)
		if len(bob.left()) > 0 {
			o.Error("decided while a longer choice was possible")
		}
		b := bob.rung() // by the pause between digits
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		o.settle()
		if o.media.of("a").joined != o.media.of("b1") {
			o.Error("not joined")
		}
		o.hangsUp(b, a)
	})
}

func TestMenuByINFO(t *testing.T) {
	talks(t, func(o *office, _ *voicemail.Store) {
		alice, bob := o.alice(), o.bob()
		a := alice.greeted("500")
		o.media.of("a").finished()
		o.pass(4 * time.Second)
		a.asks(sip.INFO, "Signal=1\r\nDuration=160\r\n", "Content-Type: application/dtmf-relay")
		a.hears("200 INFO")
		o.media.of("a").presses('1') // the same key, told twice
		a.asks(sip.INFO, "#", "Content-Type: application/dtmf")
		a.hears("200 INFO")
		b := bob.rung()
		b.says(486, "")
		bob.hears(sip.ACK)
		if bye := alice.oks(sip.BYE); bye.Cause() != sip.CauseBusy {
			o.Errorf("cause %d", bye.Cause())
		}
	})
}

// Who presses nothing, or what is no choice, hears the menu again, and then what happens otherwise.
func TestMenuRetries(t *testing.T) {
	talks(t, func(o *office, _ *voicemail.Store) {
		alice := o.alice()
		alice.greeted("500")
		s := o.media.of("a")
		s.presses('9')
		o.settle()
		if s.clips != 3 { // greeting, quiet, the notice
			o.Errorf("%d clips before the second try", s.clips)
		}
		s.finished()
		o.settle() // the greeting again
		s.finished()
		o.pass(5 * time.Second)
		if s.doing != "play" || s.clips != 6 { // greeting, quiet, the last notice
			o.Errorf("%q, %d clips", s.doing, s.clips)
		}
		s.finished()
		if bye := alice.oks(sip.BYE); bye.Cause() != sip.CauseNormal {
			o.Errorf("cause %d", bye.Cause())
		}
	})
}

func TestMenuHeardToItsEnd(t *testing.T) {
	talks(t, func(o *office, _ *voicemail.Store) {
		alice, bob := o.alice(), o.bob()
		a := alice.greeted("501")
		o.media.of("a").presses('1')
		bob.hearsNothing(3 * time.Second)
		o.media.of("a").finished()
		o.settle()
		o.media.of("a").presses('1')
		b := bob.rung()
		b.says(180, "")
		a.asks(sip.BYE, "")
		a.hears("200 BYE")
		b.hearsCancelled()
	})
}

func TestLeaveMessage(t *testing.T) {
	for name, ends := range map[string]func(o *office, a *dialogue, s *fakeSession){
		"hang-up": func(o *office, a *dialogue, s *fakeSession) {
			a.asks(sip.BYE, "")
			a.hears("200 BYE")
		},
		"#": func(o *office, a *dialogue, s *fakeSession) {
			s.presses('#')
			o.settle()
			s.finished()
			a.phone.oks(sip.BYE)
		},
		"limit": func(o *office, a *dialogue, s *fakeSession) {
			s.recorded()
			o.settle()
			s.finished()
			a.phone.oks(sip.BYE)
		},
	} {
		t.Run(name, func(t *testing.T) {
			talks(t, func(o *office, boxes *voicemail.Store) {
				a := o.alice().greeted("510")
				s := o.media.of("a")
				s.finished() // greeting
				o.settle()
				s.finished() // beep
				o.settle()
				if s.doing != "record" {
					o.Fatalf("%q", s.doing)
				}
				s.spoken.Store(int64(7 * time.Second))
				o.pass(8 * time.Second)
				ends(o, a, s)
				o.idle()
				list := boxes.List("1002")
				if len(list) != 1 || list[0].From != "1001" || list[0].Seconds != 7 || list[0].Heard {
					o.Fatalf("%+v", list)
				}
				if r := o.record(); r.Voicemail == nil || r.Voicemail.Message != list[0].ID || r.Voicemail.Box != "1002" {
					o.Errorf("record %+v", r)
				}
				if clip, err := media.LoadWAV(boxes.Sound(list[0])); err != nil || clip.Duration() != 7*time.Second {
					o.Errorf("%v, %v", clip.Duration(), err)
				}
			})
		})
	}
}

// Who says nothing leaves nothing, at whatever stage he hangs up.
func TestLeaveNothing(t *testing.T) {
	for stage, name := range []string{"greeting", "beep", "message"} {
		t.Run(name, func(t *testing.T) {
			talks(t, func(o *office, boxes *voicemail.Store) {
				a := o.alice().greeted("510")
				for range stage {
					o.media.of("a").finished()
					o.settle()
				}
				a.asks(sip.BYE, "")
				a.hears("200 BYE")
				o.idle()
				if n := boxes.Count("1002"); n != (voicemail.Count{}) {
					o.Errorf("%+v", n)
				}
				if r := o.record(); r.Voicemail != nil {
					o.Errorf("record %+v", r.Voicemail)
				}
			})
		})
	}
}

// A full box takes no call: the caller is told so and is not answered.
func TestFullBox(t *testing.T) {
	talks(t, func(o *office, boxes *voicemail.Store) {
		for range 3 {
			fill(o, boxes, "1002")
		}
		a := o.alice().invites("510", "offer of alice")
		a.hears("480")
		o.idle()
	})
}

// A caller whom the busy phone sent to the box, and whose message was kept, is not told that it was busy.
func TestMessageAfterBusy(t *testing.T) {
	talks(t, func(o *office, boxes *voicemail.Store) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("511", "offer of alice")
		b := bob.rung()
		b.says(486, "")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.settle()
		s := o.media.of("a")
		for range 2 {
			s.finished()
			o.settle()
		}
		s.spoken.Store(int64(time.Second))
		s.presses('#')
		o.settle()
		s.finished()
		if bye := alice.oks(sip.BYE); bye.Cause() != sip.CauseNormal {
			o.Errorf("cause %d", bye.Cause())
		}
		if n := boxes.Count("1002"); n.New != 1 {
			o.Errorf("%+v", n)
		}
	})
}

// fill puts a message of a second into a box.
func fill(o *office, boxes *voicemail.Store, box string) voicemail.Message {
	o.Helper()
	d, err := boxes.Begin(box)
	if err != nil {
		o.Fatal(err)
	}
	r := &fakeRecording{session: &fakeSession{}, w: d, stop: make(chan struct{})}
	r.session.spoken.Store(int64(time.Second))
	r.Stop()
	r.Wait()
	m, err := d.Commit(voicemail.Message{From: "1003", Seconds: 1})
	if err != nil {
		o.Fatal(err)
	}
	return m
}

// Three messages: one is heard again and kept, one deleted, one only heard.
func TestListen(t *testing.T) {
	talks(t, func(o *office, boxes *voicemail.Store) {
		for range 3 {
			fill(o, boxes, "1001")
		}
		list := boxes.List("1001")
		kept, erased, heard := list[0], list[1], list[2]
		alice := o.alice()
		alice.greeted("520")
		s := o.media.of("a")
		ends := func() { s.finished(); o.settle() }
		press := func(key byte) { s.presses(key); o.settle() }
		ends() // the count
		ends() // the first message
		press('1')
		press('2')
		ends() // the sign
		press('3')
		ends()
		ends() // the third message
		o.pass(keyPatience)
		ends() // its sign
		ends() // there are no more
		alice.oks(sip.BYE)
		o.idle()
		list = boxes.List("1001")
		if len(list) != 2 || list[0].ID != kept.ID || list[1].ID != heard.ID || !list[0].Heard || !list[1].Heard {
			o.Errorf("%+v", list)
		}
		if _, err := os.Stat(boxes.Sound(erased)); err == nil {
			o.Error("the sound of a deleted message is still there")
		}
	})
	t.Run("nothing there", func(t *testing.T) {
		talks(t, func(o *office, _ *voicemail.Store) {
			alice := o.alice()
			alice.greeted("520")
			o.media.of("a").finished()
			alice.oks(sip.BYE)
		})
	})
	t.Run("a hang-up changes nothing", func(t *testing.T) {
		talks(t, func(o *office, boxes *voicemail.Store) {
			fill(o, boxes, "1001")
			a := o.alice().greeted("520")
			o.media.of("a").finished()
			o.settle()
			a.asks(sip.BYE, "")
			a.hears("200 BYE")
			o.idle()
			if n := boxes.Count("1001"); n.New != 1 {
				o.Errorf("%+v", n)
			}
		})
	})
	t.Run("somebody else's", func(t *testing.T) {
		talks(t, func(o *office, boxes *voicemail.Store) {
			fill(o, boxes, "1002")
			a := o.alice().invites("521", "offer of alice")
			a.hears("403")
		})
	})
	t.Run("the file is gone", func(t *testing.T) {
		talks(t, func(o *office, boxes *voicemail.Store) {
			m := fill(o, boxes, "1001")
			if err := os.Remove(filepath.Clean(boxes.Sound(m))); err != nil {
				o.Fatal(err)
			}
			alice := o.alice()
			alice.greeted("520")
			o.media.of("a").finished()
			o.settle()
			o.media.of("a").finished()
			alice.oks(sip.BYE)
		})
	})
}

// server is a web server in memory.
type server func(*http.Request) (*http.Response, error)

func (s server) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

const hookPlan = officePlan + `
route "hook" {
  to = "530"
  hook {
    url     = "https://crm.example.com/call"
    secret  = "key"
    timeout = "2s"
    otherwise {
      reject { status = 404 }
    }
  }
}
`

func hooks(t *testing.T, answers server, test func(o *office)) {
	t.Helper()
	inOffice(t, func(o *office) {
		o.board.hooks.Transport = answers
		test(o)
	}, func(_ *Config, s *Settings) { s.Plan = planOf(t, hookPlan) })
}

func answer(status int, body string) server {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}, Request: r}, nil
	}
}

func TestHook(t *testing.T) {
	var asked struct{ From, To, Number string }
	hooks(t, func(r *http.Request) (*http.Response, error) {
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.Method != http.MethodPost || !strings.Contains(r.Header.Get("Tandem-Signature"), "v1=") {
			t.Errorf("%v %v %v", r.Method, r.Header, err)
		}
		return answer(200, `{"steps": [{"step": "dial", "extension": "1002", "timeout": 20}]}`)(r)
	}, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("530", "offer of alice")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.hangsUp(b, a)
		if asked.From != "1001" || asked.To != "530" {
			o.Errorf("asked %+v", asked)
		}
	})
}

// Whatever is no good answer leads to what happens otherwise.
func TestHookOtherwise(t *testing.T) {
	for name, s := range map[string]server{
		"refused":    answer(500, ""),
		"elsewhere":  answer(302, ""),
		"no JSON":    answer(200, "<html>"),
		"too long":   answer(200, `{"steps": [{"step": "echo"}]`+strings.Repeat(" ", 70000)+"}"),
		"not a step": answer(200, `{"steps": [{"step": "exec"}]}`),
		"silent": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"panics": func(*http.Request) (*http.Response, error) { panic("a bug in a library") },
	} {
		t.Run(name, func(t *testing.T) {
			hooks(t, s, func(o *office) {
				if name == "panics" {
					o.panics = 1
				}
				a := o.alice().invites("530", "offer of alice")
				a.hears("404")
				if o.net.Since() > 3*time.Second {
					o.Errorf("after %v", o.net.Since())
				}
			})
		})
	}
}

// A caller who gives up while the server thinks is gone at once.
func TestHookCancelled(t *testing.T) {
	hooks(t, func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}, func(o *office) {
		a := o.alice().invites("530", "offer of alice")
		o.pass(500 * time.Millisecond)
		a.cancels()
		all := a.phone.hearsAll("200 CANCEL", "487 INVITE")
		a.acksRefusal(all["487 INVITE"])
		o.idle()
	})
}
