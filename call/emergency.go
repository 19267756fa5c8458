package call

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	// mostTold bounds the messages about emergency calls that are under way: a web server that hangs holds each for
	// longestTold. What comes beyond them is in the log, as everything else is.
	mostTold    = 64
	longestTold = 5 * time.Second
)

// emergencyNotice is what the URLs of an emergency block are told, as JSON.
type emergencyNotice struct {
	Event    string    `json:"event"` // "emergency"
	Call     string    `json:"call"`
	From     string    `json:"from"` // extension
	Name     string    `json:"name,omitempty"`
	CallerID string    `json:"caller_id,omitempty"`
	Number   string    `json:"number"`
	Peer     string    `json:"peer"` // address that the phone signalled from
	At       time.Time `json:"at"`
	Plan     string    `json:"plan"`
}

// tellOfEmergency posts the call to whom the plan names. The call does not wait for it.
func (c *Call) tellOfEmergency(now time.Time) {
	s := c.board
	body, err := json.Marshal(emergencyNotice{
		Event: "emergency", Call: c.id, From: c.facts.From, Name: c.decision.CallerID.Name, CallerID: c.decision.CallerID.Number,
		Number: c.decision.Number, Peer: c.a.peer(), At: now.UTC(), Plan: c.decision.Plan,
	})
	if err != nil {
		c.log.Error("emergency call not told", "err", err)
		return
	}
	log, signature := c.log, c.settings.Plan.SignNotice(now, body)
	for _, url := range c.decision.Notify {
		failed := func(err error) {
			s.stats.Untold.Add(1)
			log.Error("emergency call not told", "url", url, "err", err)
		}
		if s.telling.Add(1) > mostTold {
			s.telling.Add(-1)
			failed(fmt.Errorf("%d such messages are under way", mostTold))
			continue
		}
		s.spawn(func(ctx context.Context) {
			defer s.telling.Add(-1)
			if err := s.tell(ctx, url, body, signature); err != nil {
				failed(err)
				return
			}
			log.Info("emergency call told", "url", url)
		}, func() { failed(errPanic) })
	}
}

// tell is one message to the URL that the plan names, and to no other; signed as hooks are, where the plan has a secret.
func (s *Switchboard) tell(ctx context.Context, url string, body []byte, signature string) error {
	ctx, cancel := context.WithTimeout(ctx, longestTold)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.cfg.Product)
	if signature != "" {
		req.Header.Set("Tandem-Signature", signature)
	}
	resp, err := s.hooks.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the answer is %s", resp.Status)
	}
	return nil
}
