package call

import "tandem/sip"

// failure is why a branch, or a whole step, ended without a call.
type failure struct {
	status      int
	reason      string
	cause       sip.Cause
	timeout     bool // not one reply came: the status is our own
	unreachable bool // nothing was sent, or the connection failed
	ours        bool // the switch itself refused: no ports, a limit
}

// better is the one of two failures that the caller is told: a 6xx speaks for everybody (RFC 3261 §16.7), then a
// busy phone tells more than an absent one, then what a person decided, then the rest in order.
func better(a, b *failure) *failure {
	if a == nil || rank(b) < rank(a) {
		return b
	}
	return a
}

func rank(f *failure) int {
	switch {
	case f == nil:
		return 9
	case f.status >= 600:
		return 0
	case f.status == 486:
		return 1
	case f.unreachable:
		return 7
	case f.timeout:
		return 6
	case f.status == 408:
		return 3
	case f.status >= 500:
		return 5
	case f.status == 480:
		return 4
	}
	return 2
}

// status480 is what the caller is told of a failure: nothing of our insides, and no status that would make its
// phone do something to its own registration or credentials.
func (f *failure) status480() *sip.StatusError {
	status, cause := f.status, f.cause
	if cause == 0 {
		cause = sip.CauseOf(status)
	}
	switch {
	case f.ours && status == 503:
		return &sip.StatusError{Code: status, Cause: cause, Header: "Retry-After: 5"}
	case status == 408 && !f.timeout:
		status, cause = 480, sip.CauseNoAnswer
	case status == 401 || status == 407 || status == 430 || status == 408 || status < 400 ||
		status == 503 || status == 481 || status == 482 || status == 483 || status == 420:
		status = 480
	}
	return &sip.StatusError{Code: status, Cause: cause}
}

// by is who ended a call that failed so: the side that was called, or the switch.
func (f *failure) by() string {
	if f.ours || f.timeout || f.unreachable || f.status == 408 {
		return "switch"
	}
	return "callee"
}
