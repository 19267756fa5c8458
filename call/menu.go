package call

import (
	"errors"
	"strings"
	"time"

	"tandem/dialplan"
)

// errNoSound says that a sound file of the plan was not loaded.
var errNoSound = errors.New("call: sound file is not loaded")

// menu is a menu step at work.
type menu struct {
	c        *Call
	plan     dialplan.Menu
	digits   strings.Builder
	tries    int
	greeting bool // it is being played, or what is said of a wrong choice
	invalid  bool // the latter
}

func (c *Call) menu(s dialplan.Menu) {
	m := &menu{c: c, plan: s}
	c.converse(m, m.greet)
}

// greet begins a try.
func (m *menu) greet() error {
	m.digits.Reset()
	m.greeting, m.invalid, m.c.talkEnds = true, false, time.Time{}
	return m.play(m.plan.Greeting)
}

func (m *menu) play(file string) error {
	clip, ok := m.c.settings.Clips[file]
	if !ok {
		m.c.log.Error("sound file is not loaded", "file", file)
		return errNoSound
	}
	return m.c.a.media.Play(clip, false)
}

// pressed collects digits: the menu decides as soon as no further digit can change anything.
func (m *menu) pressed(key byte) {
	if m.invalid || m.greeting && !m.plan.BargeIn {
		return
	}
	if m.greeting {
		m.greeting = false
		m.c.say(m.quiet)
	}
	if key == '#' {
		m.decide()
		return
	}
	m.digits.WriteByte(key)
	more, _ := m.plan.May(m.digits.String())
	if !more || m.digits.Len() >= m.plan.Digits {
		m.decide()
		return
	}
	m.c.talkEnds = time.Now().Add(m.plan.Between)
}

// quiet is what the caller hears while the menu waits: silence, so that no phone takes the line for dead.
func (m *menu) quiet() error { return m.c.a.media.Play(m.c.board.sounds().quiet, true) }

func (m *menu) played() {
	switch {
	case m.invalid:
		m.c.say(m.greet)
	case m.greeting:
		m.greeting = false
		m.c.talkEnds = time.Now().Add(m.plan.Timeout)
		m.c.say(m.quiet)
	}
}

func (m *menu) timedOut() { m.decide() }
func (m *menu) recorded() {}
func (m *menu) end()      {}

// decide goes where the digits lead, or tries again.
func (m *menu) decide() {
	c, digits := m.c, m.digits.String()
	c.talkEnds = time.Time{}
	if steps, reasons, ok := c.board.choose(c.settings.Plan, m.plan, c.facts, digits); ok {
		c.log.Debug("menu", "digits", digits, "reasons", len(reasons))
		c.goTo(steps)
		return
	}
	m.tries++
	if m.tries > m.plan.Retries {
		c.goTo(m.plan.Otherwise)
		return
	}
	if digits != "" && m.plan.Invalid != "" {
		m.greeting, m.invalid = false, true
		c.say(func() error { return m.play(m.plan.Invalid) })
		return
	}
	c.say(m.greet)
}

// goTo goes on with other steps instead of those left.
func (c *Call) goTo(steps []dialplan.Step) {
	if c.phase == phaseEnding {
		return
	}
	c.a.media.StopPlay()
	c.steps = steps
	c.nextStep()
}

// choose asks the plan where digits lead, with the state of this moment.
func (s *Switchboard) choose(plan *dialplan.Plan, m dialplan.Menu, facts dialplan.Facts, digits string) ([]dialplan.Step, []dialplan.Reason, bool) {
	s.groups.mu.RLock()
	defer s.groups.mu.RUnlock()
	facts.State, facts.Now = s.groups.state, time.Now()
	return plan.Choose(m, facts, digits)
}
