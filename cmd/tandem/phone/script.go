package phone

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// scriptPatience is how long a step waits that names no time of its own.
const scriptPatience = 10 * time.Second

// scriptHelp lists the steps of a script; it is what `tandem phone --help` shows.
const scriptHelp = `A script has one step a line; # starts a comment. The first step that fails ends it.
  register [EXPIRES]                     unregister
  header NAME: VALUE                     for the calls to come
  call TARGET                            dial; does not wait
  call TARGET late                       the same without SDP in the INVITE
  wait ringing|answered|ended|incoming|file [DURATION]
  expect status CODE [DURATION]          the call ends with this status
  answer      ring      early            for an incoming call
  reject CODE
  play tone HZ | play FILE | play silence
  record FILE
  hear HZ [within DURATION]
  quiet DURATION [within DURATION]
  dtmf DIGITS [info]
  expect dtmf DIGITS [within DURATION]
  hold     resume     update     ice-restart
  transfer TARGET                        blind
  transfer consulted                     the call before the present one, to who is in the present one
  cancel   hangup
  sleep DURATION
  report                                 print the report of the present call`

// A script runs steps against one phone and its present call, the last one dialled or fetched.
type script struct {
	phone   *Phone
	out     io.Writer
	json    bool
	call    *Call
	before  *Call // the call before it
	options CallOptions
	file    <-chan struct{} // end of what is being played
}

// run reads steps until the input ends or one fails; the error names the line.
func (s *script) run(ctx context.Context, in io.Reader) error {
	lines := bufio.NewScanner(in)
	for number := 1; lines.Scan(); number++ {
		text, _, _ := strings.Cut(lines.Text(), " #")
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if err := s.step(ctx, text); err != nil {
			return fmt.Errorf("line %d: %s: %w", number, text, err)
		}
	}
	return lines.Err()
}

var errUsage = errors.New("no such step, or words missing (tandem phone --help lists them)")

func (s *script) step(ctx context.Context, text string) error {
	words := strings.Fields(text)
	rest := strings.TrimSpace(strings.TrimPrefix(text, words[0]))
	words = append(words, "", "", "", "") // so that a missing word reads as empty
	switch words[0] {
	case "register":
		expires, err := duration(words[1], time.Hour)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, giveUpTime)
		defer cancel()
		return s.phone.Register(ctx, expires)
	case "unregister":
		ctx, cancel := context.WithTimeout(ctx, scriptPatience)
		defer cancel()
		return s.phone.Unregister(ctx)
	case "header":
		name, value, ok := strings.Cut(rest, ":")
		if !ok {
			return errUsage
		}
		s.options.Headers = append(s.options.Headers, Header{strings.TrimSpace(name), strings.TrimSpace(value)})
		return nil
	case "call":
		return s.dial(ctx, words[1], words[2])
	case "sleep":
		wait, err := duration(words[1], 0)
		if err != nil {
			return err
		}
		return pause(ctx, wait)
	case "wait":
		return s.wait(ctx, words[1], words[2])
	}
	if s.call == nil {
		return fmt.Errorf("there is no call yet")
	}
	return s.callStep(ctx, words, rest)
}

func (s *script) callStep(ctx context.Context, words []string, rest string) error {
	c := s.call
	bounded, cancel := context.WithTimeout(ctx, scriptPatience)
	defer cancel()
	switch words[0] {
	case "answer":
		return c.Accept()
	case "ring":
		return c.Ring()
	case "early":
		return c.Progress()
	case "reject":
		code, err := strconv.Atoi(words[1])
		if err != nil {
			return errUsage
		}
		return c.Reject(code, phrase(code))
	case "play":
		return s.play(words, rest)
	case "record":
		if rest == "" {
			return errUsage
		}
		return c.Record(rest)
	case "hear", "quiet", "expect":
		return s.expect(ctx, words)
	case "dtmf":
		if words[2] == "info" {
			return c.SendInfo(bounded, words[1])
		}
		return c.SendDTMF(bounded, words[1])
	case "hold":
		return c.Hold(bounded)
	case "resume":
		return c.Resume(bounded)
	case "transfer":
		return s.transfer(ctx, words[1])
	case "ice-restart":
		return c.RestartICE(bounded)
	case "update":
		return c.Update(bounded, Change{})
	case "cancel", "hangup":
		return c.Hangup(bounded)
	case "report":
		return printReport(s.out, c.Report(), s.json)
	}
	return errUsage
}

func (s *script) dial(ctx context.Context, target, late string) error {
	if target == "" || late != "" && late != "late" {
		return errUsage
	}
	o := s.options
	o.LateOffer = late != ""
	c, err := s.phone.Dial(ctx, target, o)
	if err == nil {
		s.before, s.call = s.call, c
	}
	return err
}

func (s *script) transfer(ctx context.Context, target string) error {
	ctx, cancel := context.WithTimeout(ctx, giveUpTime)
	defer cancel()
	switch {
	case target == "":
		return errUsage
	case target != "consulted":
		return s.call.Transfer(ctx, target)
	case s.before == nil:
		return errors.New("there was no call before this one")
	}
	return s.before.TransferTo(ctx, s.call)
}

func (s *script) play(words []string, rest string) error {
	sound := rest
	if words[1] == "tone" {
		sound = "tone:" + words[2]
	}
	if sound == "" {
		return errUsage
	}
	end, err := s.call.Play(sound)
	if err == nil {
		s.file = end
	}
	return err
}

func (s *script) wait(ctx context.Context, what, text string) error {
	limit, err := duration(text, scriptPatience)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if what == "incoming" {
		c, err := s.phone.WaitIncoming(ctx)
		if err == nil {
			s.call = c
		}
		return err
	}
	switch {
	case s.call == nil:
		return fmt.Errorf("there is no call yet")
	case what == "ringing":
		return s.call.WaitRinging(ctx)
	case what == "answered":
		return s.call.WaitAnswered(ctx)
	case what == "ended":
		_, err := s.call.Wait(ctx)
		return err
	case what == "file" && s.file != nil:
		select {
		case <-s.file:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("still playing: %w", ctx.Err())
		}
	}
	return errUsage
}

// expect runs the steps that check something within a time.
func (s *script) expect(ctx context.Context, words []string) error {
	limitAt := 2
	if words[0] == "expect" {
		limitAt = 3
	}
	text := words[limitAt]
	if text == "within" {
		text = words[limitAt+1]
	}
	limit, err := duration(text, scriptPatience)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	switch {
	case words[0] == "hear":
		hz, err := strconv.ParseFloat(words[1], 64)
		if err != nil {
			return errUsage
		}
		_, err = s.call.WaitTone(ctx, hz)
		return err
	case words[0] == "quiet":
		quiet, err := duration(words[1], time.Second)
		if err != nil {
			return err
		}
		return s.call.WaitQuiet(ctx, quiet)
	case words[1] == "dtmf":
		return s.call.WaitDTMF(ctx, words[2])
	case words[1] == "status":
		e, err := s.call.Wait(ctx)
		if err == nil && strconv.Itoa(e.Status) != words[2] {
			err = fmt.Errorf("ended by %s with %d %s", e.By, e.Status, e.Reason)
		}
		return err
	}
	return errUsage
}

// duration reads "5s", "200ms" or plain seconds; empty is the fallback.
func duration(text string, fallback time.Duration) (time.Duration, error) {
	if text == "" {
		return fallback, nil
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 && n < 1e6 {
		return time.Duration(n * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration (5s, 200ms)", text)
	}
	return d, nil
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
