package dialplan

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

// Hook asks a web server what to do with the call: a POST of the call as JSON, signed, answered with steps as JSON. What
// happens without an answer is always said. The room of the calls sends it; Request and Plan.Answer are all that it
// needs, and are pure.
type Hook struct {
	URL       string
	Timeout   time.Duration // of the whole exchange
	Otherwise []Step        // without an answer, or after a wrong one

	key string // of the signature
}

var hookSchema = block.Schema("url secret timeout", "otherwise")

func (c *compiler) hook(b *hcl.Block) Step {
	r := c.open(b.Body, hookSchema)
	r.Require("url", "secret")
	h := Hook{URL: r.Text("url", ""), Timeout: r.Duration("timeout", 2*time.Second, 100*time.Millisecond, 5*time.Second)}
	if u, err := url.Parse(h.URL); r.Has("url") && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
		c.fail(r.Range("url"), "not a URL", "Write a URL such as \"https://crm.example.com/call\".")
	}
	if e := r.Expr("secret"); e != nil && c.Secret != nil {
		key, d := c.Secret(e)
		c.diags = append(c.diags, d...)
		h.key = key
	}
	if len(r.Blocks) == 0 && !r.Meant("otherwise") {
		c.fail(r.Missing, "missing otherwise", "Say what happens when nobody answers: otherwise { … }.")
	}
	c.hooks = append(c.hooks, h.URL)
	for i, inner := range r.Blocks {
		if i > 0 {
			c.fail(inner.DefRange, "declared twice", "What happens otherwise is said already.")
			continue
		}
		h.Otherwise = c.steps(c.open(inner.Body, stepsSchema), inner.DefRange)
	}
	return h
}

// Asked is the body of a hook's request.
type Asked struct {
	Call   string    `json:"call"` // its id
	From   string    `json:"from,omitempty"`
	Trunk  string    `json:"trunk,omitempty"`
	Caller string    `json:"caller,omitempty"`
	To     string    `json:"to"` // as it was dialled
	Number string    `json:"number"`
	At     time.Time `json:"at"`
	Plan   string    `json:"plan"`
}

// Request is the body of the request, and the value of its header Tandem-Signature: "t=SECONDS,v1=HEX", where HEX is the
// HMAC-SHA256 of "SECONDS.BODY" with the hook's secret. Who receives it checks the hash and that the time is near.
func (h Hook) Request(a Asked) (body []byte, signed string) {
	body, _ = json.Marshal(a) // texts and a time: it cannot fail
	return body, signature(h.key, a.At, body)
}

// signature is the value of Tandem-Signature for a body that is sent at an instant.
func signature(key string, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// longestAnswer bounds what is read of an answer, in bytes, and mostAnswered its steps.
const (
	longestAnswer = 64 << 10
	mostAnswered  = 16
)

// answered is one step of an answer.
type answered struct {
	Step       string   `json:"step"`
	Extension  string   `json:"extension"`
	Extensions []string `json:"extensions"`
	Trunks     []string `json:"trunks"`
	Number     string   `json:"number"` // over trunks; absent: what was dialled
	Group      string   `json:"group"`
	File       string   `json:"file"` // absolute; one that the configuration plays somewhere
	Answer     *bool    `json:"answer"`
	Status     int      `json:"status"`
	Reason     string   `json:"reason"`
	To         string   `json:"to"`
	Timeout    float64  `json:"timeout"` // seconds
}

// Answer reads the answer of a hook: {"steps": [{"step": "dial", "extension": "1001", "timeout": 20}, …]}. Only what the
// plan has may be named, and a caller who may not dial a number may not be connected to it by a hook either.
func (p *Plan) Answer(f Facts, body []byte) ([]Step, error) {
	if len(body) > longestAnswer {
		return nil, fmt.Errorf("the answer has more than %d bytes", longestAnswer)
	}
	var in struct{ Steps []answered }
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("the answer is not the JSON that was asked for: %w", err)
	}
	if len(in.Steps) == 0 || len(in.Steps) > mostAnswered {
		return nil, fmt.Errorf("the answer has %d steps, and 1 to %d were asked for", len(in.Steps), mostAnswered)
	}
	e, decision := env{plan: p, facts: &f}, Decision{}
	if !p.identify(&e, &decision) || !p.number(&e, &decision) {
		return nil, fmt.Errorf("the call is nobody's")
	}
	var steps []Step
	for i, a := range in.Steps {
		s, err := e.answered(a)
		if err == nil && i > 0 && ends(steps[len(steps)-1]) {
			err = fmt.Errorf("nothing can follow the step before")
		}
		if err != nil {
			return nil, fmt.Errorf("step %d, %q: %w", i+1, a.Step, err)
		}
		steps = s.resolve(&e, steps)
	}
	return steps, nil
}

// answered is a step of an answer as a step of the plan.
func (e *env) answered(a answered) (Step, error) {
	timeout := defaultRing
	if a.Timeout > 0 {
		timeout = min(time.Duration(a.Timeout*float64(time.Second)), maxRing)
	}
	switch a.Step {
	case "dial":
		return e.answeredDial(a, timeout)
	case "ring":
		g := e.plan.groups[a.Group]
		if g == nil {
			return nil, fmt.Errorf("there is no ring group %q", a.Group)
		}
		return Ring{Group: g.Name, Strategy: g.Strategy, Members: g.Members, Each: g.Each, Timeout: g.Timeout}, nil
	case "play":
		if !slices.Contains(e.plan.Sounds(), a.File) {
			return nil, fmt.Errorf("the configuration has no sound %q", a.File)
		}
		return Play{File: a.File, Answer: a.Answer == nil || *a.Answer}, nil
	case "echo":
		return Echo{}, nil
	case "reject":
		if a.Status < 400 || a.Status > 699 || strings.ContainsAny(a.Reason, "\r\n\x00") || len(a.Reason) > 128 {
			return nil, fmt.Errorf("%d %q is no refusal", a.Status, a.Reason)
		}
		return Reject{Status: a.Status, Reason: a.Reason}, nil
	case "redirect":
		if a.To == "" || strings.ContainsAny(a.To, " \t\r\n<>\"") {
			return nil, fmt.Errorf("%q is no address", a.To)
		}
		return Redirect{Status: 302, Contact: a.To, to: &expression{constant: &a.To}}, nil
	}
	return nil, fmt.Errorf("there is no such step")
}

func (e *env) answeredDial(a answered, timeout time.Duration) (Step, error) {
	d := Dial{Timeout: timeout}
	for _, number := range append(slices.Clone(a.Extensions), a.Extension) {
		if number == "" && len(a.Extensions)+len(a.Trunks) > 0 {
			continue
		}
		if e.plan.extensions[number] == nil {
			return nil, fmt.Errorf("there is no extension %q", number)
		}
		d.Targets = append(d.Targets, Target{Extension: number})
	}
	if len(a.Trunks) == 0 {
		return d, nil
	}
	if len(d.Targets) > 0 {
		return nil, fmt.Errorf("a dial has extensions or trunks, not both")
	}
	if a.Number != "" {
		e.facts.To = a.Number
		var refused Decision
		if !e.plan.number(e, &refused) {
			return nil, fmt.Errorf("%q is no number", a.Number)
		}
	}
	var refused Decision
	if !e.plan.permit(e, &refused) || !e.plan.limit(e, &refused) || !e.plan.blocked(e, &refused) {
		return nil, fmt.Errorf("the caller may not dial %s", e.number)
	}
	d.Failover.FirstReply = firstReply
	for _, name := range a.Trunks {
		target, ok := e.plan.named(name)
		if !ok {
			return nil, fmt.Errorf("there is no trunk %q", name)
		}
		d.Targets = append(d.Targets, target)
	}
	return d, nil
}

func (h Hook) resolve(e *env, to []Step) []Step {
	h.Otherwise = resolveSteps(e, h.Otherwise)
	return append(to, h)
}

func (h Hook) moving() bool { return movingSteps(h.Otherwise) }

func (h Hook) describe(b *strings.Builder) {
	sum := sha256.Sum256([]byte(h.key))
	fmt.Fprintf(b, "ask %s (key %x) for %v; otherwise {%s}", h.URL, sum[:4], h.Timeout, DescribeSteps(h.Otherwise))
}

// MarshalJSON writes {"step": "hook", …}; times are in seconds. The key stays out.
func (h Hook) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Step      string  `json:"step"`
		URL       string  `json:"url"`
		Timeout   float64 `json:"timeout"`
		Otherwise []Step  `json:"otherwise"`
	}{"hook", h.URL, h.Timeout.Seconds(), h.Otherwise})
}
