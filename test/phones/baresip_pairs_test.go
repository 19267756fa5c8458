package phones

import (
	"fmt"
	"testing"

	"tandem/cmd/tandem/phone"
	"tandem/test/baresip"
)

const (
	aesCM  = "AES_CM_128_HMAC_SHA1_80"
	aesGCM = "AEAD_AES_128_GCM"
)

// Two baresips call each other across transports, plain and with SRTP.
func TestBaresipCallsBaresip(t *testing.T) {
	t.Parallel()
	needBaresip(t)
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for i, c := range []struct{ from, fromSRTP, to, toSRTP string }{
			{"udp", "", "udp", ""}, {"udp", "", "tcp", ""}, {"udp", "", "tls", ""},
			{"tcp", "", "udp", ""}, {"tcp", "", "tcp", ""}, {"tcp", "", "tls", ""},
			{"tls", "", "udp", ""}, {"tls", "", "tcp", ""}, {"tls", "", "tls", ""},
			{"tls", "srtp", "udp", ""}, {"udp", "", "tls", "srtp"}, {"tls", "srtp-mand", "tls", "srtp"},
			{"tls", "srtp-mand", "tcp", ""}, {"tcp", "", "tls", "srtp-mand"},
		} {
			t.Run(fmt.Sprintf("%s%s calls %s%s", c.from, dash(c.fromSRTP), c.to, dash(c.toSRTP)), func(t *testing.T) {
				t.Parallel()
				a, from := o.softphone(t, c.from, baresip.Config{Tone: 440, SRTP: c.fromSRTP})
				b, to := o.softphone(t, c.to, baresip.Config{Tone: 660, SRTP: c.toSRTP, Answer: "auto"})
				must(t, "dial", a.Dial(within(t), to))
				event(t, a, "CALL_ESTABLISHED", 0)
				event(t, b, "CALL_ESTABLISHED", 0)
				recorded(t, a)
				recorded(t, b)
				by := "a"
				if i%2 == 0 {
					must(t, "hang up", a.Hangup(within(t)))
				} else {
					must(t, "hang up", b.Hangup(within(t)))
					by = "b1"
				}
				r := o.record(t, from, 1)
				if r.Status != 200 || r.EndedBy != by || r.Duration < 0.5 {
					t.Errorf("record: %+v", r)
				}
				carried(t, r.leg(t, from), suiteOf(c.fromSRTP, true))
				carried(t, r.leg(t, to), suiteOf(c.toSRTP, false))
				event(t, a, "CALL_CLOSED", 0)
				event(t, b, "CALL_CLOSED", 0)
				heard(t, a, 660)
				heard(t, b, 440)
			})
		}
	})
	o.Idle(patience)
}

// baresip and tandem phone call each other, whatever each speaks.
func TestBaresipAndTandemPhone(t *testing.T) {
	t.Parallel()
	needBaresip(t)
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for i, c := range []struct {
			baresip, baresipSRTP string
			tandem               string
			tandemSRTP           phone.SRTP
		}{
			{"udp", "", "udp", phone.SRTPOff},
			{"udp", "", "wss", phone.SRTPOff},
			{"tcp", "", "ws", phone.SRTPOff},
			{"tls", "", "tcp", phone.SRTPOff},
			{"udp", "", "wss", phone.SRTPRequired},
			{"tls", "srtp", "udp", phone.SRTPOff},
			{"tls", "srtp-mand", "wss", phone.SRTPOptional},
			{"tls", "srtp-mand", "tls", phone.SRTPRequired},
		} {
			for _, outgoing := range []bool{true, false} {
				name := fmt.Sprintf("%s%s calls %s %s", c.baresip, dash(c.baresipSRTP), c.tandem, c.tandemSRTP)
				if !outgoing {
					name = fmt.Sprintf("%s %s calls %s%s", c.tandem, c.tandemSRTP, c.baresip, dash(c.baresipSRTP))
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					a, softUser := o.softphone(t, c.baresip, baresip.Config{Tone: 440, SRTP: c.baresipSRTP, Answer: "auto"})
					config := o.config(o.extension(t), c.tandem)
					config.SRTP, config.Answer = c.tandemSRTP, phone.AutoAnswer("tone:660")
					b := register(t, config)
					var call *phone.Call
					from := softUser
					if outgoing {
						must(t, "dial", a.Dial(within(t), config.User))
						call = incoming(t, b)
					} else {
						from = config.User
						var err error
						call, err = b.Call(within(t), softUser, phone.CallOptions{Play: "tone:660"})
						must(t, "call", err)
					}
					event(t, a, "CALL_ESTABLISHED", 0)
					hear(t, "tandem phone", call, 440)
					recorded(t, a)
					if i%2 == 0 {
						must(t, "hang up", call.Hangup(within(t)))
					} else {
						must(t, "hang up", a.Hangup(within(t)))
						ended(t, call, phone.ByRemote)
					}
					event(t, a, "CALL_CLOSED", 0)
					heard(t, a, 660)
					r := o.record(t, from, 1)
					if byCaller := outgoing != (i%2 == 0); (r.EndedBy == "a") != byCaller || r.Status != 200 {
						t.Errorf("record: %+v", r)
					}
					agrees(t, call, r.leg(t, config.User), config)
					carried(t, r.leg(t, softUser), suiteOf(c.baresipSRTP, outgoing))
				})
			}
		}
	})
	o.Idle(patience)
}

func dash(s string) string {
	if s != "" {
		s = "-" + s
	}
	return s
}

// suiteOf is what a baresip agrees on: its own first suite when it offers, the first of the switch when it answers.
func suiteOf(srtp string, offers bool) string {
	switch {
	case srtp == "":
		return ""
	case offers:
		return aesCM
	}
	return aesGCM
}

// carried checks the media of a leg whose phone does not report.
func carried(t *testing.T, l leg, suite string) {
	t.Helper()
	if in := l.Media.In; l.Media.Suite != suite || l.Media.Codec == "" || in.Packets < 15 || 50*in.Lost > in.Packets {
		t.Errorf("leg %s: %+v, want suite %q", l.Leg, l, suite)
	}
}
