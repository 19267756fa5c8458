package transaction

import "time"

// startClient enters Calling or Trying: timers A and B, or E and F.
func (m *Machine) startClient(now time.Duration) {
	m.state = Calling
	if m.kind == NonInviteClient {
		m.state = Trying
	}
	if !m.reliable {
		m.interval = m.timers.T1
		m.resend = now + m.interval
	}
	m.wait(queueGiveUp, now+m.timers.giveUp())
}

// inviteClientReceive is RFC 3261 §17.1.1.2 with the Accepted state of RFC 6026 §7.2.
func (m *Machine) inviteClientReceive(now time.Duration, status int, out []Action) []Action {
	switch m.state {
	case Calling, Proceeding:
		switch {
		case status < 200:
			return m.inviteProvisional(now, status, out)
		case status < 300:
			// Timer M: each 2xx of a fork belongs to the user, who acknowledges it.
			m.calm()
			m.state = Accepted
			m.wait(queueLinger, now+m.timers.giveUp())
			return append(out, Pass)
		}
		return m.linger(Completed, queueD, now+m.timers.D, append(out, Ack, Pass))
	case Accepted:
		if status >= 200 && status < 300 {
			return append(out, Pass)
		}
	case Completed:
		if status >= 300 {
			return append(out, Resend) // the kept ACK, at once
		}
	}
	return out
}

// inviteProvisional stops Timer A for good, even for 100: the hop that sent it has taken over
// retransmission. A CANCEL that waited for it can go now (RFC 3261 §9.1).
func (m *Machine) inviteProvisional(now time.Duration, status int, out []Action) []Action {
	first := m.state == Calling
	if first {
		m.calm()
		m.state = Proceeding
	}
	// Timer C starts over with each response above 100 (RFC 3261 §16.7 step 2).
	if m.timers.C > 0 && m.cancel != cancelSent && (first || status > 100) {
		m.wait(queueC, now+m.timers.C)
	}
	if m.cancel == cancelWanted {
		out = m.sendCancel(now, out)
	}
	return append(out, Pass)
}

// Cancel steps a client's machine when the user gives its INVITE up (RFC 3261 §9.1): the CANCEL leaves now,
// or with the first provisional response. One that is answered, or is no INVITE, is left alone.
func (m *Machine) Cancel(now time.Duration, out []Action) []Action {
	if m.kind != InviteClient || m.cancel == cancelSent {
		return out
	}
	switch m.state {
	case Calling:
		m.cancel = cancelWanted
	case Proceeding:
		return m.sendCancel(now, out)
	}
	return out
}

// sendCancel gives the peer 64*T1 to end the INVITE after the CANCEL (RFC 3261 §9.1).
func (m *Machine) sendCancel(now time.Duration, out []Action) []Action {
	m.cancel = cancelSent
	m.wait(queueGiveUp, now+m.timers.giveUp())
	return append(out, Cancel)
}

func (m *Machine) inviteClientTick(now time.Duration, out []Action) []Action {
	switch {
	case m.life == 0 || now < m.life: // Timer A doubles until the peer speaks
		m.interval *= 2
		m.resend = now + m.interval
		return append(out, Resend)
	case m.state == Proceeding && m.cancel == cancelNone: // Timer C
		return m.sendCancel(now, out)
	case m.state == Calling || m.state == Proceeding: // Timer B, or no final response to a CANCEL
		out = append(out, Fail)
	}
	return m.end(out)
}
