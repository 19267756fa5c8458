package phones

import (
	"testing"

	"tandem/cmd/tandem/phone"
	"tandem/test/baresip"
)

// A call between a phone of ours and a baresip goes on after its switch was killed and started again: both hear each other, keys pass, either
// side holds and resumes, either side hangs up.
func TestCallsOfBaresipSurviveAKill(t *testing.T) {
	needBaresip(t)
	t.Parallel()
	for name, srtp := range map[string]string{"plain over udp": "", "srtp over tls": "srtp-mand"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := open(t, "")
			transport := "udp"
			if srtp != "" {
				transport = "tls"
			}
			b, to := o.softphone(t, transport, baresip.Config{Answer: "auto", Tone: 700, SRTP: srtp})
			a, _ := o.desk(t, "udp")
			call, err := a.Call(within(t), to, phone.CallOptions{Play: "tone:440"})
			must(t, "call", err)
			hears := func(when string) {
				t.Helper()
				if _, err := call.WaitTone(within(t), 700); err != nil {
					t.Fatalf("%s: %v", when, err)
				}
			}
			hears("before")
			o.Kill()
			o.Again()
			hears("after the kill")
			recorded(t, b)
			after := len(b.Events())
			must(t, "key", call.SendDTMF(within(t), "5"))
			if e := event(t, b, "CALL_DTMF_START", after); e.Text != "5" {
				t.Errorf("baresip heard key %q", e.Text)
			}
			if srtp == "" { // over TLS it registers again when its registration ends
				must(t, "hold", call.Hold(within(t)))
				quiet(t, "held", call)
				must(t, "resume", call.Resume(within(t)))
				hears("after a hold")
				must(t, "baresip holds", b.Hold(within(t)))
				direction(t, call, phone.RecvOnly)
				must(t, "baresip resumes", b.Resume(within(t)))
				direction(t, call, phone.SendRecv)
				hears("after a hold by baresip")
			}
			o.Kill()
			o.Again()
			hears("after another kill")
			must(t, "baresip hangs up", b.Hangup(within(t))) // over TLS by a new connection
			ended(t, call, phone.ByRemote)
			heard(t, b, 440)
			o.Idle(patience)
			if all := o.Records(); len(all) != 1 || all[0]["answered"] == nil {
				t.Errorf("records %v", all)
			}
		})
	}
}
