package phones

import (
	"context"
	"sync"
	"testing"

	"tandem/cmd/tandem/phone"
	"tandem/test/baresip"
)

// A talk is an answered call between two tandem phones: the caller sends 440 Hz, the callee 660 Hz.
type talk struct {
	caller, callee *phone.Call
	from           string // extension of the caller
}

// connect makes a talk. The configurations are those of the caller and the callee.
func (o *office) connect(t *testing.T, from, to phone.Config) talk {
	t.Helper()
	to.Answer = phone.AutoAnswer("tone:660")
	a, b := register(t, from), register(t, to)
	call, err := a.Call(within(t), to.User, phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	k := talk{call, incoming(t, b), from.User}
	must(t, "answered", k.callee.WaitAnswered(within(t)))
	k.hear(t, "at first")
	return k
}

// hear checks both ways.
func (k talk) hear(t *testing.T, when string) {
	t.Helper()
	hear(t, "caller "+when, k.caller, 660)
	hear(t, "callee "+when, k.callee, 440)
}

// silent checks that nothing is heard either way.
func (k talk) silent(t *testing.T, when string) {
	t.Helper()
	quiet(t, "caller "+when, k.caller)
	quiet(t, "callee "+when, k.callee)
}

// direction waits until a side has been told a direction.
func direction(t *testing.T, c *phone.Call, want phone.Direction) {
	t.Helper()
	until(t, "told "+string(want), func() bool { return c.Report().Direction == want })
}

// hangUp ends the talk by the callee.
func (k talk) hangUp(t *testing.T) {
	t.Helper()
	must(t, "hang up", k.callee.Hangup(within(t)))
	ended(t, k.caller, phone.ByRemote)
}

// Hold and resume from each side, as phones do it: by re-INVITE, by UPDATE, and by the address 0.0.0.0.
func TestHoldAndResume(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for _, c := range []struct {
			name, from, to string
			srtp           phone.SRTP
			hold           func(context.Context, *phone.Call) error
			resume         func(context.Context, *phone.Call) error
		}{
			{"re-INVITE", "udp", "wss", phone.SRTPOff,
				func(ctx context.Context, c *phone.Call) error { return c.Hold(ctx) },
				func(ctx context.Context, c *phone.Call) error { return c.Resume(ctx) }},
			{"re-INVITE with SRTP", "tls", "wss", phone.SRTPRequired,
				func(ctx context.Context, c *phone.Call) error { return c.Hold(ctx) },
				func(ctx context.Context, c *phone.Call) error { return c.Resume(ctx) }},
			{"UPDATE", "tcp", "udp", phone.SRTPOff,
				func(ctx context.Context, c *phone.Call) error {
					return c.Update(ctx, phone.Change{Direction: phone.SendOnly})
				},
				func(ctx context.Context, c *phone.Call) error { return c.Update(ctx, phone.Change{}) }},
			{"0.0.0.0", "ws", "tls", phone.SRTPOff,
				func(ctx context.Context, c *phone.Call) error {
					return c.Reinvite(ctx, phone.Change{Direction: phone.SendOnly, Blackhole: true})
				},
				func(ctx context.Context, c *phone.Call) error { return c.Resume(ctx) }},
			{"inactive", "udp", "udp", phone.SRTPOff,
				func(ctx context.Context, c *phone.Call) error {
					return c.Reinvite(ctx, phone.Change{Direction: phone.Inactive})
				},
				func(ctx context.Context, c *phone.Call) error { return c.Resume(ctx) }},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				from, to := o.config(o.extension(t), c.from), o.config(o.extension(t), c.to)
				from.SRTP, to.SRTP = c.srtp, c.srtp
				k := o.connect(t, from, to)
				for _, side := range []struct {
					name             string
					holder, listener *phone.Call
				}{{"caller", k.caller, k.callee}, {"callee", k.callee, k.caller}} {
					must(t, side.name+" holds", c.hold(within(t), side.holder))
					want := phone.RecvOnly
					if c.name == "inactive" {
						want = phone.Inactive
					}
					direction(t, side.listener, want)
					k.silent(t, "held by the "+side.name)
					must(t, side.name+" resumes", c.resume(within(t), side.holder))
					direction(t, side.listener, phone.SendRecv)
					k.hear(t, "resumed by the "+side.name)
				}
				k.hangUp(t)
				if r := o.record(t, k.from, 1); r.Status != 200 || r.EndedBy != "b1" {
					t.Errorf("record: %+v", r)
				}
			})
		}
	})
	o.Idle(patience)
}

// Both sides hold, one after the other; each must resume before there is sound again.
func TestHoldFromBothSides(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	k := o.connect(t, o.config(o.extension(t), "udp"), o.config(o.extension(t), "tcp"))
	must(t, "caller holds", k.caller.Hold(within(t)))
	must(t, "callee holds", k.callee.Reinvite(within(t), phone.Change{Direction: phone.Inactive}))
	k.silent(t, "held by both")
	must(t, "caller resumes", k.caller.Resume(within(t)))
	k.silent(t, "held by the callee")
	must(t, "callee resumes", k.callee.Resume(within(t)))
	direction(t, k.caller, phone.SendRecv)
	k.hear(t, "resumed by both")
	k.hangUp(t)
	o.Idle(patience)
}

// Both sides renegotiate at the same instant: one is told 491 and tries again.
func TestGlare(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	k := o.connect(t, o.config(o.extension(t), "udp"), o.config(o.extension(t), "ws"))
	var both sync.WaitGroup
	for _, c := range []*phone.Call{k.caller, k.callee} {
		both.Go(func() {
			if err := c.Reinvite(within(t), phone.Change{Direction: phone.SendOnly}); err != nil {
				t.Errorf("re-INVITE: %v", err)
			}
		})
	}
	both.Wait()
	k.silent(t, "held by both")
	must(t, "caller resumes", k.caller.Resume(within(t)))
	must(t, "callee resumes", k.callee.Resume(within(t)))
	k.hear(t, "resumed")
	k.hangUp(t)
	o.Idle(patience)
}

// Renegotiations that change nothing must disturb nothing: refreshes, a re-INVITE without an offer, an UPDATE without SDP.
func TestRefreshes(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	k := o.connect(t, o.config(o.extension(t), "tcp"), o.config(o.extension(t), "udp"))
	for name, c := range map[string]*phone.Call{"caller": k.caller, "callee": k.callee} {
		must(t, name+": re-INVITE", c.Reinvite(within(t), phone.Change{}))
		must(t, name+": re-INVITE without an offer", c.Reinvite(within(t), phone.Change{LateOffer: true}))
		must(t, name+": UPDATE", c.Update(within(t), phone.Change{}))
		must(t, name+": UPDATE without SDP", c.Update(within(t), phone.Change{LateOffer: true}))
		k.hear(t, "refreshed by the "+name)
	}
	for who, c := range map[string]*phone.Call{"caller": k.caller, "callee": k.callee} {
		if r := c.Report(); r.SSRCChanges > 0 || r.LossPercent > 2 || r.Rejected > 0 {
			t.Errorf("%s: %d new SSRCs, %.1f%% lost, %d rejected", who, r.SSRCChanges, r.LossPercent, r.Rejected)
		}
	}
	k.hangUp(t)
	o.Idle(patience)
}

// baresip holds and is held. It records nothing more once it was held, with and without a switch; that it is reached
// again is told by a key.
func TestBaresipHoldsAndResumes(t *testing.T) {
	t.Parallel()
	needBaresip(t)
	o := open(t, "")
	a, _ := o.desk(t, "wss")
	b, to := o.softphone(t, "udp", baresip.Config{Tone: 660, Answer: "auto"})
	call, err := a.Call(within(t), to, phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	hear(t, "at first", call, 660)
	recorded(t, b)
	reached := func() {
		t.Helper()
		after := len(b.Events())
		must(t, "key", call.SendDTMF(within(t), "5"))
		event(t, b, "CALL_DTMF_START", after)
	}
	must(t, "baresip holds", b.Hold(within(t)))
	direction(t, call, phone.RecvOnly)
	quiet(t, "held by baresip", call)
	must(t, "baresip resumes", b.Resume(within(t)))
	direction(t, call, phone.SendRecv)
	hear(t, "resumed by baresip", call, 660)
	reached()
	must(t, "hold", call.Hold(within(t)))
	quiet(t, "held", call)
	must(t, "resume", call.Resume(within(t)))
	hear(t, "resumed", call, 660)
	reached()
	must(t, "hang up", call.Hangup(within(t)))
	event(t, b, "CALL_CLOSED", 0)
	heard(t, b, 440)
	o.Idle(patience)
}

// One phone speaks A-law only, the other µ-law only.
func TestLaws(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for _, c := range []struct{ from, to []string }{
			{[]string{"PCMA"}, []string{"PCMU"}},
			{[]string{"PCMU"}, []string{"PCMA"}},
			{[]string{"PCMU", "PCMA"}, []string{"PCMA", "PCMU"}},
			{[]string{"PCMU"}, []string{"PCMU"}},
		} {
			t.Run(c.from[0]+" calls "+c.to[0], func(t *testing.T) {
				t.Parallel()
				from, to := o.config(o.extension(t), "udp"), o.config(o.extension(t), "tls")
				from.Codecs, to.Codecs = c.from, c.to
				k := o.connect(t, from, to)
				for who, call := range map[string]*phone.Call{"caller": k.caller, "callee": k.callee} {
					// Twice through a law a tone keeps its level to a tenth of a decibel.
					if s := call.Report().Heard; s.Purity < 0.99 || s.Level < -10.5 || s.Level > -9.5 {
						t.Errorf("%s heard %v, purity %.3f; sent at -10 dBm0", who, s, s.Purity)
					}
				}
				k.hangUp(t)
				r := o.record(t, k.from, 1)
				agrees(t, k.caller, r.leg(t, from.User), from)
				agrees(t, k.callee, r.leg(t, to.User), to)
				if got := k.caller.Report().Codec; got != c.from[0] {
					t.Errorf("the caller sends %s, offered %v", got, c.from)
				}
			})
		}
	})
	o.Idle(patience)
}

// Keys go through as telephone-events, and those that come by INFO leave as telephone-events.
func TestDTMF(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	k := o.connect(t, o.config(o.extension(t), "udp"), o.config(o.extension(t), "wss"))
	must(t, "events from the caller", k.caller.SendDTMF(within(t), "0123456789*#"))
	must(t, "callee", k.callee.WaitDTMF(within(t), "0123456789*#"))
	must(t, "events from the callee", k.callee.SendDTMF(within(t), "#55AD"))
	must(t, "caller", k.caller.WaitDTMF(within(t), "#55AD"))
	k.hear(t, "after the keys")
	must(t, "INFO from the caller", k.caller.SendInfo(within(t), "42#"))
	must(t, "callee", k.callee.WaitDTMF(within(t), "42#"))
	k.hear(t, "after INFO")
	k.hangUp(t)
	if got := k.callee.Report().DTMF; got != "0123456789*#42#" {
		t.Errorf("the callee heard %q", got)
	}
	if got := k.caller.Report().DTMF; got != "#55AD" {
		t.Errorf("the caller heard %q", got)
	}
	o.Idle(patience)
}

// baresip's keys, and keys for baresip: as events and by INFO.
func TestBaresipDTMF(t *testing.T) {
	t.Parallel()
	needBaresip(t)
	o := open(t, "")
	a, _ := o.desk(t, "tls")
	b, to := o.softphone(t, "tcp", baresip.Config{Tone: 660, Answer: "auto"})
	call, err := a.Call(within(t), to, phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	hear(t, "at first", call, 660)
	must(t, "baresip's keys", b.DTMF(within(t), "7"))
	must(t, "tandem phone", call.WaitDTMF(within(t), "7"))
	after := len(b.Events())
	must(t, "events", call.SendDTMF(within(t), "5"))
	if e := event(t, b, "CALL_DTMF_START", after); e.Text != "5" {
		t.Errorf("baresip heard %q, want 5", e.Text)
	}
	event(t, b, "CALL_DTMF_END", after)
	after = len(b.Events())
	must(t, "INFO", call.SendInfo(within(t), "9"))
	if e := event(t, b, "CALL_DTMF_START", after); e.Text != "9" {
		t.Errorf("baresip heard %q, want 9", e.Text)
	}
	must(t, "hang up", b.Hangup(within(t)))
	ended(t, call, phone.ByRemote)
	o.Idle(patience)
}
