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
