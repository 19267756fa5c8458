package transaction

import "time"

// nonInviteServerReceive takes the request again (RFC 3261 §17.2.2).
func (m *Machine) nonInviteServerReceive(out []Action) []Action {
	if m.state == Proceeding || m.state == Completed {
		return append(out, Resend)
	}
	return out
}

func (m *Machine) nonInviteServerRespond(now time.Duration, status int, out []Action) ([]Action, error) {
	switch {
	case m.state == Completed:
		return out, ErrFinal
	case status < 200:
		m.state = Proceeding
		return append(out, Send), nil
	}
	return m.linger(Completed, queueLinger, now+m.timers.giveUp(), append(out, Send)), nil // Timer J
}

func (m *Machine) nonInviteServerTick(out []Action) []Action {
	if m.state != Completed {
		out = append(out, Fail)
	}
	return m.end(out)
}
