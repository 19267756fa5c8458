package phones

import (
	"context"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
)

// browser is the configuration of a phone that is a browser.
func (o *office) browser(user, transport string) phone.Config {
	c := o.config(user, transport)
	c.WebRTC, c.Outbound, c.Codecs = true, true, []string{"PCMU", "PCMA"}
	return c
}

// A browser over ws and wss calls a phone over each transport and is called by it, and another browser: tones both ways, keys
// both ways by either means, hold and resume from both sides, and an ICE restart.
func TestBrowsersAndPhones(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for i, transport := range transports {
			web := []string{"ws", "wss"}[i%2]
			t.Run(web+" calls "+transport, func(t *testing.T) {
				t.Parallel()
				o.everything(t, o.browser(o.extension(t), web), o.config(o.extension(t), transport))
			})
			t.Run(transport+" calls "+web, func(t *testing.T) {
				t.Parallel()
				o.everything(t, o.config(o.extension(t), transport), o.browser(o.extension(t), web))
			})
		}
		t.Run("browser calls browser", func(t *testing.T) {
			t.Parallel()
			o.everything(t, o.browser(o.extension(t), "wss"), o.browser(o.extension(t), "ws"))
		})
	})
	o.Idle(patience)
}

func (o *office) everything(t *testing.T, from, to phone.Config) {
	to.Answer = phone.AutoAnswer("tone:660")
	a, b := register(t, from), register(t, to)
	call, err := a.Call(within(t), to.User, phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	other := incoming(t, b)
	hear(t, "caller", call, 660)
	hear(t, "callee", other, 440)
	sides := map[*phone.Call]*phone.Call{call: other, other: call}
	for one, far := range sides {
		must(t, "keys as events", one.SendDTMF(within(t), "15#"))
		must(t, "keys as events", far.WaitDTMF(within(t), "15#"))
		must(t, "keys by INFO", one.SendInfo(within(t), "9"))
		must(t, "keys by INFO", far.WaitDTMF(within(t), "9"))
		must(t, "hold", one.Hold(within(t)))
		quiet(t, "held", far)
		must(t, "resume", one.Resume(within(t)))
		hear(t, "caller", call, 660)
		hear(t, "callee", other, 440)
	}
	for who, c := range map[string]*phone.Call{"caller": call, "callee": other} { // before a restart, at which pion is deaf for a moment
		if r := c.Report(); r.LossPercent > 2 || r.Rejected > 0 || r.MOS < 3 {
			t.Errorf("%s: %+v", who, r)
		}
	}
	for one, c := range map[*phone.Call]phone.Config{call: from, other: to} {
		if c.WebRTC {
			must(t, "ICE restart", one.RestartICE(within(t)))
			hear(t, "caller", call, 660)
			hear(t, "callee", other, 440)
		}
	}
	must(t, "hang up", call.Hangup(within(t)))
	ended(t, other, phone.ByRemote)
}

// Opus passes between two browsers that both want it; a phone among them means G.711.
func TestBrowsersAndOpus(t *testing.T) {
	t.Parallel()
	o := openWith(t, nil, "")
	opus := func(transport string) phone.Config {
		c := o.browser(o.extension(t), transport)
		c.Codecs = []string{"OPUS", "PCMU"}
		return c
	}
	for name, x := range map[string]struct {
		to    phone.Config
		codec string
	}{"browser": {opus("ws"), "OPUS"}, "phone": {o.config(o.extension(t), "udp"), "PCMU"}} {
		t.Run(name, func(t *testing.T) {
			x.to.Answer = phone.AutoAnswer("tone:660")
			a, b := register(t, opus("wss")), register(t, x.to)
			call, err := a.Call(within(t), x.to.User, phone.CallOptions{Play: "../../cmd/tandem/phone/testdata/tone-600.opus"})
			must(t, "call", err)
			other := incoming(t, b)
			hear(t, "callee", other, 600)
			if r := call.Report(); r.Codec != x.codec {
				t.Errorf("codec %s", r.Codec)
			}
			must(t, "hang up", call.Hangup(within(t)))
			ended(t, other, phone.ByRemote)
		})
	}
	o.Idle(patience)
}

// The WebSocket of a browser is cut for five seconds during a call: audio goes on, and what the other side does meanwhile
// reaches the browser when it is back.
func TestBrowserLosesItsWebSocket(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("browsers", func(t *testing.T) {
		for _, transport := range []string{"ws", "wss"} {
			for _, does := range []string{"hold", "hang up"} {
				t.Run(transport+" "+does, func(t *testing.T) {
					t.Parallel()
					line := newLine(t, o.Addr(ports[transport]))
					c := o.browser(o.extension(t), transport)
					c.Domain, c.ServerName, c.Server = o.Host, o.Host, line.address()
					c.KeepAlive, c.Answer = 100*time.Millisecond, phone.AutoAnswer("tone:660")
					a, _ := o.desk(t, "udp")
					b := register(t, c)
					call, err := a.Call(within(t), c.User, phone.CallOptions{Play: "tone:440"})
					must(t, "call", err)
					other := incoming(t, b)
					hear(t, "caller", call, 660)
					before := b.Registration().Count
					mend := line.cutFor()
					done := make(chan error, 1)
					go func() {
						ctx, cancel := context.WithTimeout(context.Background(), patience)
						defer cancel()
						if does == "hold" {
							done <- call.Hold(ctx)
						} else {
							done <- call.Hangup(ctx)
						}
					}()
					if does == "hold" {
						hear(t, "caller during the cut", call, 660)
					}
					pause := time.NewTimer(5 * time.Second)
					defer pause.Stop()
					<-pause.C
					mend()
					until(t, "registered over a new connection", func() bool { return b.Registration().Count > before })
					must(t, does, <-done)
					if does == "hold" {
						quiet(t, "held", other)
						must(t, "resume", call.Resume(within(t)))
						hear(t, "callee", other, 440)
						must(t, "hang up", other.Hangup(within(t)))
						ended(t, call, phone.ByRemote)
						return
					}
					ended(t, other, phone.ByRemote)
				})
			}
		}
	})
	o.Idle(patience)
}
