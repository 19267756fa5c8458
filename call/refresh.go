package call

import (
	"time"

	"tandem/sip"
	"tandem/sip/dialog"
)

// writeTimer writes the session timer agreed with a peer that asked for one (RFC 4028 §9).
func (l *Leg) writeTimer(w *sip.Writer) {
	w.Set(sip.HeaderSupported, "timer")
	if l.timer.Interval == 0 {
		return
	}
	if !l.timer.Refresher {
		w.Set(sip.HeaderRequire, "timer")
	}
	w.Set(sip.HeaderSessionExpires, l.timer.Header())
}

// renewFor takes what a request of the peer, which we accept, says of the session timer. One that says nothing but
// knows of timers leaves it as it is.
func (l *Leg) renewFor(m *sip.Message) {
	now := time.Now()
	t, fail := dialog.OfferedBy(now, m)
	switch {
	case fail == nil && t.Interval > 0:
		l.timer = t
	case m.Lists(sip.HeaderSupported, "timer"):
		l.timer.Due = now
	default:
		l.timer = dialog.SessionTimer{}
	}
}

// renewBy takes what a 2xx to a request of ours says of it. A peer that says nothing has been refreshed all the same.
func (l *Leg) renewBy(m *sip.Message) {
	now := time.Now()
	if t := dialog.AgreedBy(now, m); t.Interval > 0 {
		l.timer = t
	} else {
		l.timer.Due = now
	}
}

// refresh keeps the session alive by an UPDATE where the peer takes it, else by a re-INVITE with what is agreed
// already (RFC 4028 §7.4).
func (c *Call) refresh(l *Leg) {
	method, body := sip.UPDATE, []byte(nil)
	if !lists(l.allows, sip.UPDATE) {
		method = sip.INVITE
		var err error
		if body, err = l.media.CreateOffer(sessionOf(c.other(l))); err != nil {
			c.log.Warn("session not refreshed", "leg", l.name, "err", err)
			l.retryAt = time.Now().Add(10 * time.Second)
			return
		}
	}
	c.ask(l, forRefresh, method, body, nil)
}
