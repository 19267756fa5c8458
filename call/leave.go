package call

import (
	"context"
	"errors"
	"time"

	"tandem/dialplan"
	"tandem/media"
	"tandem/voicemail"
)

// errNotDone says that blocking work came to no end.
var errNotDone = errors.New("call: work was given up")

// shortest is the sound that makes a message: less is somebody who hung up, or a click.
const shortest = 500 * time.Millisecond

// leaving is a voicemail step that takes a message: greeting, beep, the message, and a sign that it was kept.
type leaving struct {
	c     *Call
	plan  dialplan.Voicemail
	stage leaveStage
	greet media.Clip
	draft *voicemail.Draft
	rec   Recording
}

type leaveStage uint8

const (
	leaveGreeting leaveStage = iota
	leaveBeep
	leaveMessage
	leaveKeeping // the file is completed
	leaveKept    // the caller is told
)

func (c *Call) voicemail(s dialplan.Voicemail) {
	switch {
	case c.board.voicemail == nil:
		c.stepFailed()
	case s.Listen:
		c.listen(s)
	default:
		c.takeMessage(s)
	}
}

// stepFailed goes on after a step that could not be begun.
func (c *Call) stepFailed() {
	c.last = &failure{status: 480}
	c.nextStep()
}

// takeMessage makes room in the box before anybody is answered: a full box does not take the call.
func (c *Call) takeMessage(s dialplan.Voicemail) {
	v := &leaving{c: c, plan: s, greet: c.board.sounds().greeting}
	if clip, ok := c.settings.Clips[s.Greeting]; ok {
		v.greet = clip
	}
	err := errNotDone
	c.away(func(context.Context) {
		if v.draft, err = c.board.voicemail.Begin(s.Box); err != nil {
			return
		}
		if file := c.board.voicemail.Greeting(s.Box); file != "" && s.Greeting == "" {
			if clip, err := media.LoadWAV(file); err == nil {
				v.greet = clip
			} else {
				c.log.Warn("greeting not playable", "box", s.Box, "err", err)
			}
		}
	}, func() {
		if err != nil {
			c.log.Warn("no message can be left", "box", s.Box, "err", err)
			c.stepFailed()
			return
		}
		c.converse(v, func() error { return c.a.media.Play(v.greet, false) })
	}, func() {
		if v.draft != nil {
			v.draft.Discard()
		}
	})
}

// pressed: # ends the message; before it, any key ends the greeting.
func (v *leaving) pressed(key byte) {
	switch {
	case v.stage == leaveGreeting:
		v.played()
	case v.stage == leaveMessage && key == '#':
		v.keep()
	}
}

func (v *leaving) played() {
	c := v.c
	switch v.stage {
	case leaveGreeting:
		v.stage = leaveBeep
		c.say(func() error { return c.a.media.Play(c.board.sounds().beep, false) })
	case leaveBeep:
		v.stage = leaveMessage
		c.say(v.record)
	case leaveKept:
		c.nextStep()
	}
}

// record begins the message. The caller hears silence, for a phone that hears nothing at all may hang up.
func (v *leaving) record() (err error) {
	limits := media.RecordLimits{Longest: v.plan.Longest, Quiet: v.plan.Silence}
	if v.rec, err = v.c.a.media.Record(v.draft, limits); err != nil {
		return err
	}
	return v.c.a.media.Play(v.c.board.sounds().quiet, true)
}

func (v *leaving) timedOut() {}

func (v *leaving) recorded() {
	if v.stage == leaveMessage {
		v.keep()
	}
}

// end comes with the caller's hang-up, the usual end of a message.
func (v *leaving) end() { v.keep() }

// keep completes the message, once. The call waits for it: its record names the message.
func (v *leaving) keep() {
	c, draft, rec := v.c, v.draft, v.rec
	v.draft, v.rec, v.stage = nil, nil, leaveKeeping
	if draft == nil {
		return
	}
	if rec == nil {
		c.board.spawn(func(context.Context) { draft.Discard() }, func() {})
		return
	}
	rec.Stop()
	m := voicemail.Message{Call: c.id, From: c.facts.From, Caller: printable(c.facts.Caller)}
	if c.shown != nil {
		m.From = c.shown.Number
	}
	c.storing++
	c.board.spawn(func(context.Context) {
		m, err := store(draft, rec, m)
		c.postOnce(storedEvent{v, m, err})
	}, func() { c.postOnce(storedEvent{v: v, err: errNotDone}) })
}

// store commits a message that has something to say. An ID of "" says that it had not.
func store(draft *voicemail.Draft, rec Recording, m voicemail.Message) (voicemail.Message, error) {
	defer draft.Discard()
	got := rec.Wait()
	if got.Err != nil || got.Spoken < shortest {
		return voicemail.Message{}, got.Err
	}
	m.Seconds = got.Length.Seconds()
	return draft.Commit(m)
}

// storedEvent says what became of a message.
type storedEvent struct {
	v   *leaving
	m   voicemail.Message
	err error
}

// stored notes a message in the call's record and tells a caller who still listens.
func (c *Call) stored(e storedEvent) {
	c.storing--
	sound := c.board.sounds().done
	switch {
	case e.err != nil:
		c.log.Error("message lost", "box", e.v.plan.Box, "err", e.err)
		sound = c.board.sounds().failed
	case e.m.ID == "":
		c.log.Info("message without a sound", "box", e.v.plan.Box)
	default:
		c.record.Voicemail = &VoicemailEntry{Box: e.m.Box, Message: e.m.ID, Seconds: e.m.Seconds}
	}
	if c.talk == e.v && c.phase == phaseRouting {
		e.v.stage = leaveKept
		c.say(func() error { return c.a.media.Play(sound, false) })
	}
}
