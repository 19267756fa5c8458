package transaction

import (
	"tandem/sip"
	"time"
)

// inviteServerReceive takes the INVITE again, its ACK or its CANCEL (RFC 3261 §17.2.1, §9.2, RFC 6026 §7.1).
func (m *Machine) inviteServerReceive(now time.Duration, method string, out []Action) []Action {
	switch method {
	case sip.ACK:
		switch m.state {
		case Accepted: // it acknowledges a 2xx: the dialog's affair
			return append(out, Pass)
		case Completed:
			return m.linger(Confirmed, queueT4, now+m.timers.T4, out) // Timer I
		}
	case sip.CANCEL:
		// Once a final response is out a CANCEL has no effect (RFC 3261 §9.2).
		if m.state == Proceeding && m.cancel == cancelNone {
			m.cancel = cancelSent
			return append(out, Cancel)
		}
	default:
		// In Accepted the user repeats the 2xx, not the transaction (RFC 6026 §7.1).
		if m.state == Proceeding || m.state == Completed {
			return append(out, Resend)
		}
	}
	return out
}

func (m *Machine) inviteServerRespond(now time.Duration, status int, out []Action) ([]Action, error) {
	switch {
	case m.state == Accepted && status >= 200 && status < 300: // repeated by the user, or of another fork
	case m.state != Proceeding:
		return out, ErrFinal
	case status < 200:
		m.calm() // the user has spoken: no 100 of ours
	case status < 300:
		m.calm()
		m.state = Accepted
		m.wait(queueLinger, now+m.timers.giveUp()) // Timer L
	default:
		m.calm()
		m.state = Completed
		if !m.reliable {
			m.interval = m.timers.T1 // Timer G
			m.resend = now + m.interval
		}
		m.wait(queueGiveUp, now+m.timers.giveUp()) // Timer H
	}
	return append(out, Send), nil
}

func (m *Machine) inviteServerTick(now time.Duration, out []Action) []Action {
	switch {
	case m.life == 0 || now < m.life: // Timer G
		m.interval = min(2*m.interval, m.timers.T2)
		m.resend = now + m.interval
		return append(out, Resend)
	case m.state == Proceeding:
		m.calm()
		return append(out, Hundred)
	case m.state == Completed: // Timer H: the ACK never came
		out = append(out, Fail)
	}
	return m.end(out) // after L or I
}
