package trunk

import (
	"strconv"
	"strings"

	"tandem/sip"
)

// Diversion is somebody who has sent a call on.
type Diversion struct {
	Number string // E.164; empty: one that the public network does not know
	Why    Reason
}

// Reason is why a call was sent on.
type Reason string

// The reasons, as the dialplan names them.
const (
	Always      Reason = "always"
	Busy        Reason = "busy"
	NoAnswer    Reason = "no_answer"
	Unreachable Reason = "unreachable"
	Unknown     Reason = ""
)

// reasons are the words of RFC 5806 §4 and the causes of RFC 4458 §2 for each.
var reasons = map[Reason]struct {
	word  string
	cause int
}{
	Always: {"unconditional", 302}, Busy: {"user-busy", 486}, NoAnswer: {"no-answer", 408}, Unreachable: {"unavailable", 503}, Unknown: {"unknown", 404},
}

// mostDiversions bounds those that are read of a request and written into one.
const mostDiversions = 10

// WriteDiversions says who has diverted a call that goes to number now, the first first. One without a number outside is the
// trunk's own; without that it is left out, for inside numbers are nobody's business.
func (c *Config) WriteDiversions(w *sip.Writer, all []Diversion, number string, home Home) {
	var known []Diversion
	for _, d := range all {
		if d.Number == "" {
			d.Number = c.CallerID
		}
		if strings.HasPrefix(d.Number, "+") && len(known) < mostDiversions {
			known = append(known, d)
		}
	}
	if len(known) == 0 {
		return
	}
	if c.Diversion {
		for i := len(known) - 1; i >= 0; i-- { // the last is on top (RFC 5806 §5)
			w.Add("Diversion", "<"+c.address(known[i].Number, home)+">;reason="+reasons[known[i].Why].word)
		}
	}
	if c.History {
		c.writeHistory(w, known, number, home)
	}
}

// writeHistory writes the numbers that a call has been for, each below the one before (RFC 7044 §5.1), and in each URI why
// the call came to it (RFC 4458).
func (c *Config) writeHistory(w *sip.Writer, known []Diversion, number string, home Home) {
	index := "1"
	w.Add("History-Info", "<"+c.address(known[0].Number, home)+">;index="+index)
	for i, d := range known {
		next := c.RequestURI(number, home)
		if i+1 < len(known) {
			next = c.address(known[i+1].Number, home)
		}
		before := index
		index += ".1"
		w.Add("History-Info", "<"+next+";cause="+strconv.Itoa(reasons[d.Why].cause)+">;index="+index+";mp="+before)
	}
}

// Diversions is who has diverted a call before the carrier gave it to us, the first first, and how many they are, for one
// header may count several (RFC 5806 §4).
func (c *Config) Diversions(m *sip.Message, home Home) (all []Diversion, count int) {
	for e := range m.Elements(sip.HeaderDiversion) {
		a, err := sip.ParseNameAddr(e)
		if err != nil || a.Star {
			continue
		}
		n := 1
		if text, ok := a.Params.Get("counter"); ok {
			if more, ok := sip.Digits(text); ok && more > 1 {
				n = int(min(more, 1000))
			}
		}
		if count += n; len(all) < mostDiversions {
			word, _ := a.Params.Get("reason")
			d := Diversion{Number: c.Inward(userOf(a.URI), home), Why: reasonOf(word)}
			all = append([]Diversion{d}, all...)
		}
	}
	if history := c.retargets(m); history > count {
		count = history
	}
	return all, count
}

// retargets is how often a call has been sent on, by the deepest index of its History-Info.
func (c *Config) retargets(m *sip.Message) (deepest int) {
	for e := range m.Elements(sip.HeaderHistoryInfo) {
		if a, err := sip.ParseNameAddr(e); err == nil {
			index, _ := a.Params.Get("index")
			deepest = max(deepest, min(strings.Count(index, "."), 1000))
		}
	}
	return deepest
}

func reasonOf(word string) Reason {
	for r, x := range reasons {
		if sip.EqualFold(x.word, word) {
			return r
		}
	}
	return Unknown
}
