package browser

import (
	"context"
	"testing"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// phoneHz is the tone that phones play.
const phoneHz = 660

// within is a context for one step.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// desk is a phone of sipgo that is registered and answers with a tone.
func desk(t *testing.T, s *binary.Switch, extension string, more ...func(*phone.Config)) *phone.Phone {
	t.Helper()
	c := phone.Config{Server: s.Addr(5060), User: extension, Password: binary.Password, Insecure: true, Answer: phone.AutoAnswer("tone:660")}
	for _, m := range more {
		m(&c)
	}
	p, err := phone.New(c)
	must(t, "phone", err)
	t.Cleanup(func() { _ = p.Close() })
	must(t, "register", p.Register(within(t), 0))
	return p
}

// webrtc makes a desk a browser of pion, at the port of pages.
func webrtc(s *binary.Switch) func(*phone.Config) {
	return func(c *phone.Config) {
		c.Server, c.Transport, c.WebRTC, c.Origin = s.Addr(5066), "ws", true, "http://"+s.Addr(5066)
	}
}

// taken is the next call of a phone, once it is answered.
func taken(t *testing.T, p *phone.Phone) *phone.Call {
	t.Helper()
	c, err := p.WaitIncoming(within(t))
	must(t, "incoming call", err)
	must(t, "answer", c.WaitAnswered(within(t)))
	return c
}

// hear waits until a phone hears a tone.
func hear(t *testing.T, c *phone.Call, hz float64) {
	t.Helper()
	if sound, err := c.WaitTone(within(t), hz); err != nil {
		t.Fatalf("the phone hears %v, want %v Hz: %v", sound, hz, err)
	}
}
