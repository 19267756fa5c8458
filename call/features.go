package call

import (
	"fmt"
	"maps"
	"time"

	"tandem/dialplan"
)

// What people set at their phones, and operators by the command line. It is state: the configuration's files stay as
// they are, and what is set here stands before them.

// Features is what an extension does with calls for it now. It fails where there is no such extension.
func (s *Switchboard) Features(extension string) (dialplan.Features, error) {
	x, ok := s.settings.Load().Plan.Extension(extension)
	if !ok {
		return dialplan.Features{}, fmt.Errorf("there is no extension %q", extension)
	}
	s.groups.mu.RLock()
	defer s.groups.mu.RUnlock()
	if f, set := s.groups.state.Features[extension]; set {
		return f, nil
	}
	return x.Features, nil
}

// Set does what somebody has asked for in an extension's name; for a schedule the extension does not matter. It fails
// where the configuration has no such extension or schedule, and with ErrDeposed where another node serves.
func (s *Switchboard) Set(extension string, set dialplan.Set) error {
	plan := s.settings.Load().Plan
	if set.Schedule != "" {
		return s.setSchedule(plan, set)
	}
	x, ok := plan.Extension(extension)
	if !ok {
		return fmt.Errorf("there is no extension %q", extension)
	}
	g := &s.groups
	g.mu.Lock()
	f, there := g.state.Features[extension]
	if !there {
		f = x.Features
	}
	f = set.Apply(f)
	if f == x.Features { // what the file says: and what it will say after a reload
		delete(g.state.Features, extension)
	} else {
		if g.state.Features == nil {
			g.state.Features = map[string]dialplan.Features{}
		}
		g.state.Features[extension] = f
	}
	g.mu.Unlock()
	if err := g.hold(keyFeatures+extension, &s.stats); err != nil {
		return err
	}
	s.log.Info("set", "extension", extension, "what", set.String())
	return nil
}

func (s *Switchboard) setSchedule(plan *dialplan.Plan, set dialplan.Set) error {
	if _, ok := plan.Schedule(set.Schedule); !ok {
		return fmt.Errorf("there is no schedule %q", set.Schedule)
	}
	g := &s.groups
	g.mu.Lock()
	if set.State == dialplan.ByHours {
		delete(g.state.Switches, set.Schedule)
	} else {
		if g.state.Switches == nil {
			g.state.Switches = map[string]bool{}
		}
		g.state.Switches[set.Schedule] = set.State == dialplan.OpenByHand
	}
	g.mu.Unlock()
	if err := g.hold(keySwitch+set.Schedule, &s.stats); err != nil {
		return err
	}
	s.log.Info("set", "schedule", set.Schedule, "what", set.String())
	return nil
}

// Switches is the schedules that are open (true) or closed by hand.
func (s *Switchboard) Switches() map[string]bool {
	s.groups.mu.RLock()
	defer s.groups.mu.RUnlock()
	return maps.Clone(s.groups.state.Switches)
}

// set does what a code was dialled for, and lets the caller hear that it is done.
func (c *Call) set(step dialplan.Set) {
	tone := c.board.sounds().done
	if err := c.board.Set(c.facts.From, step); err != nil {
		c.log.Warn("code not obeyed", "what", step.String(), "err", err)
		tone = c.board.sounds().failed
	}
	c.current = dialplan.Play{Answer: true} // the call ends after the tone, as after any notice
	c.local(func() error { return c.a.media.Play(tone, false) })
}

// alarm says aloud what a person should hear of.
func (c *Call) alarm(alarms []dialplan.Alarm) {
	for _, a := range alarms {
		c.board.stats.Alarms.Add(1)
		c.log.Error("alarm", "rule", a.Rule, "why", a.Why, "from", c.facts.From, "number", printable(c.decision.Number))
	}
	if c.decision.Emergency {
		c.board.stats.Emergencies.Add(1)
		c.log.Error("emergency call", "from", c.facts.From, "number", printable(c.decision.Number), "caller_id", c.decision.CallerID.Number)
		c.tellOfEmergency(time.Now())
	}
}

// MayForward gives a number as it is kept; it fails where the extension could not call it.
func (s *Switchboard) MayForward(extension, number string) (string, error) {
	plan := s.settings.Load().Plan
	s.groups.mu.RLock()
	defer s.groups.mu.RUnlock()
	return plan.MayForward(dialplan.Facts{State: s.groups.state, Now: time.Now()}, extension, number)
}
