package call

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"tandem/dialplan"
)

const (
	// longestHook bounds the exchange with a hook, whatever the plan says.
	longestHook = 5 * time.Second
	// mostAnswer bounds what is read of an answer, in bytes; the plan refuses one that is longer.
	mostAnswer = 64<<10 + 1
)

// hookClient sends the requests of hooks: to the configured URL and nowhere else, so it follows no redirect and asks no
// proxy. Connections are bounded for each host; calls beyond them wait within their timeout.
func hookClient() *http.Client {
	return &http.Client{
		Timeout:       longestHook,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			MaxConnsPerHost: 64, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: longestHook, ResponseHeaderTimeout: longestHook, MaxResponseHeaderBytes: 16 << 10,
		},
	}
}

// hook asks a web server for the next steps.
func (c *Call) hook(s dialplan.Hook) {
	asked := dialplan.Asked{
		Call: c.id, From: c.facts.From, Trunk: c.facts.Trunk, Caller: c.facts.Caller, To: c.facts.To,
		Number: c.decision.Number, At: time.Now().UTC(), Plan: c.settings.Plan.Version(),
	}
	var steps []dialplan.Step
	err := errNotDone
	c.away(func(ctx context.Context) {
		var body []byte
		if body, err = c.board.ask(ctx, s, asked); err == nil {
			steps, err = c.board.readAnswer(c.settings.Plan, c.facts, body)
		}
	}, func() {
		if err != nil {
			c.log.Warn("hook did not decide", "url", s.URL, "err", err)
			steps = s.Otherwise
		}
		c.steps = steps
		c.nextStep()
	}, nil)
}

// ask is one exchange with a hook.
func (s *Switchboard) ask(ctx context.Context, h dialplan.Hook, asked dialplan.Asked) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, min(h.Timeout, longestHook))
	defer cancel()
	body, signature := h.Request(asked)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Tandem-Signature", signature)
	req.Header.Set("User-Agent", s.cfg.Product)
	resp, err := s.hooks.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
}

// readAnswer reads the answer of a hook, with the state of this moment.
func (s *Switchboard) readAnswer(plan *dialplan.Plan, facts dialplan.Facts, body []byte) ([]dialplan.Step, error) {
	s.groups.mu.RLock()
	defer s.groups.mu.RUnlock()
	facts.State, facts.Now = s.groups.state, time.Now()
	return plan.Answer(facts, body)
}
