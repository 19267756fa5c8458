package transaction

import "time"

// nonInviteClientReceive is RFC 3261 §17.1.2.2.
func (m *Machine) nonInviteClientReceive(now time.Duration, status int, out []Action) []Action {
	if m.state != Trying && m.state != Proceeding {
		return out
	}
	if status < 200 {
		m.state = Proceeding // Timer E runs on: only a final response stops a non-INVITE request
		return append(out, Pass)
	}
	return m.linger(Completed, queueT4, now+m.timers.T4, append(out, Pass)) // Timer K
}

func (m *Machine) nonInviteClientTick(now time.Duration, out []Action) []Action {
	switch {
	case now < m.life: // Timer E: doubles up to T2; every T2 once the peer has spoken
		m.interval = min(2*m.interval, m.timers.T2)
		if m.state == Proceeding {
			m.interval = m.timers.T2
		}
		m.resend = now + m.interval
		return append(out, Resend)
	case m.state != Completed: // Timer F
		out = append(out, Fail)
	}
	return m.end(out)
}
