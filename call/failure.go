package call

import (
	"tandem/dialplan"
	"tandem/sip"
)

// failure is why a branch, or a whole step, ended without a call.
type failure struct {
	status      int
	reason      string
	cause       sip.Cause
	timeout     bool // not one reply came: the status is our own
	unreachable bool // nothing was sent, or the connection failed
	ours        bool // the switch itself refused: no ports, a limit
}

// better is the one of two failures that the caller is told.
func better(a, b *failure) *failure {
	if a == nil || b != nil && b.outcome().Rank() < a.outcome().Rank() {
		return b
	}
	return a
}

// outcome is the failure as the plan ranks it.
func (f *failure) outcome() dialplan.Outcome {
	return dialplan.Outcome{Status: f.status, Silent: f.timeout, Unreachable: f.unreachable}
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
		return &sip.StatusError{Code: status, Cause: cause, Header: sip.RetryAfter(5)}
	case status == 408 && !f.timeout:
		cause = sip.CauseNoAnswer
	}
	status = dialplan.CallerStatus(status)
	return &sip.StatusError{Code: status, Cause: cause}
}

// by is who ended a call that failed so: the side that was called, or the switch.
func (f *failure) by() string {
	if f.ours || f.timeout || f.unreachable || f.status == 408 {
		return "switch"
	}
	return "callee"
}
