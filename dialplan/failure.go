package dialplan

import "strconv"

// Failure is why a step ended without a call: a class that a person thinks in.
type Failure string

// The classes. A status that is in none of them can still be named by its code or as "4xx", "5xx", "6xx".
const (
	Busy        Failure = "busy"
	NoAnswer    Failure = "no_answer"
	Declined    Failure = "declined"
	Unreachable Failure = "unreachable"
	Timeout     Failure = "timeout" // not even a first reply came
)

var failures = []string{string(Busy), string(NoAnswer), string(Declined), string(Unreachable), string(Timeout)}

// ClassOf names the failure that a final status of an INVITE means (RFC 3261 §21), or is empty. silent: the far end
// never sent any reply, so the status (408 or 503) is our own. A ring timeout of ours counts as 408 and is not silent;
// a phone that is not registered counts as 480.
func ClassOf(status int, silent bool) Failure {
	if silent {
		return Timeout
	}
	switch status {
	case 486, 600:
		return Busy
	case 408, 487:
		return NoAnswer
	case 401, 403, 407, 603, 606, 607, 608:
		return Declined
	case 404, 410, 430, 480, 484, 502, 503, 504, 604:
		return Unreachable
	}
	return ""
}

// Handler is the steps that follow a failure.
type Handler struct {
	Classes []string `json:"on"` // busy, no_answer, …, "4xx" or a code such as "486"
	Steps   []Step   `json:"steps"`
}

// Handles tells whether the handler is for a final status; silent as in ClassOf.
func (h *Handler) Handles(status int, silent bool) bool {
	class := ClassOf(status, silent)
	for _, c := range h.Classes {
		if c == string(class) && class != "" {
			return true
		}
		if !silent && len(c) == 3 && (c[0]-'0') == byte(status/100) && (c[1:] == "xx" || c == strconv.Itoa(status)) {
			return true
		}
	}
	return false
}

// HandlerFor is the first handler for a final status, or nil.
func HandlerFor(on []Handler, status int, silent bool) *Handler {
	for i := range on {
		if on[i].Handles(status, silent) {
			return &on[i]
		}
	}
	return nil
}

// movesOn tells whether a trial tries the next trunk.
func (s Dial) movesOn(o Outcome) bool { return s.Failover.MovesOn(o.Status, o.Silent, o.Unreachable) }

// isFailure tells whether a word may label an on block.
func isFailure(word string) bool {
	for _, f := range failures {
		if f == word {
			return true
		}
	}
	if len(word) != 3 || word[0] < '4' || word[0] > '6' {
		return false
	}
	return word[1:] == "xx" || allDigits(word[1:])
}

// better is the one of two failures that the caller is told.
func better(a, b *Outcome) *Outcome {
	if a == nil || b.Rank() < a.Rank() {
		return b
	}
	return a
}

// Rank is how much an outcome says, the least the most: an answer, then a 6xx, which speaks for everybody (RFC 3261 §16.7);
// a busy phone tells more than an absent one, and what a person decided more than what a machine met. It is the one table
// for live calls and for trials.
func (o Outcome) Rank() int {
	switch {
	case o.Status < 300:
		return -1
	case o.Status >= 600:
		return 0
	case o.Status == 486:
		return 1
	case o.Unreachable:
		return 7
	case o.Silent:
		return 6
	case o.Status == 408:
		return 3
	case o.Status >= 500:
		return 5
	case o.Status == 480:
		return 4
	}
	return 2
}

// CallerStatus is what a caller is told of a failure of the last step: nothing of our insides, and no status that its
// phone would take for a word about its own credentials, registration or request.
func CallerStatus(status int) int {
	switch status {
	case 401, 407, 408, 420, 430, 481, 482, 483, 503:
		return 480
	}
	if status < 400 {
		return 480
	}
	return status
}
