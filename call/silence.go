package call

import (
	"time"

	"tandem/media"
	"tandem/sip"
)

// probeEvery is how often a peer that stays silent is asked whether it lives.
const probeEvery = time.Minute

// mediaHeard takes what the media room reports of a leg.
func (c *Call) mediaHeard(l *Leg, ev media.Event) {
	switch {
	case ev.Kind == media.Silence && ev.Inbound:
		c.legSilent(l)
	case ev.Kind == media.Lost:
		c.browserLost(l)
	case ev.Kind == media.PlayDone:
		c.playDone(l)
	case ev.Kind == media.DTMF:
		c.keyPressed(l, ev.Digit, false)
		if o := c.other(l); o != nil && c.phase == phaseUp {
			c.passKey(o, ev.Digit, ev.Duration)
		}
	case ev.Kind == media.RecordDone && l == c.a && c.talk != nil:
		c.talk.recorded()
	}
}

// legSilent is the watchdog's word that a peer which should be heard is not. When both sides are silent the call
// is over (the `silence` of the configuration), unless they hold each other; one side alone may have muted, so it is
// asked whether it lives.
func (c *Call) legSilent(l *Leg) {
	if l.state != legUp || l.farewell != nil || l.media == nil || c.phase == phaseEnding || len(c.ringing) > 0 {
		return
	}
	l.silent, l.heard = true, l.media.Stats().In.Packets
	o := c.other(l)
	if o != nil && o.stillSilent() && (l.media.RemoteDirection().Sends() || o.media.RemoteDirection().Sends()) {
		c.hangUp("switch", sip.CauseOutOfOrder, "No media from either side")
		return
	}
	c.probe(l)
}

// browserLost ends the leg of a page that was closed, or reloaded and has not taken its call back: it sends nothing, and its connection is gone too. One
// whose connection stands may have lost its network, and is asked as any other.
func (c *Call) browserLost(l *Leg) {
	if l.state != legUp || l.farewell != nil || c.phase == phaseEnding || l.flow.Alive() {
		return
	}
	c.hangUp(l.name, sip.CauseOutOfOrder, "Page is gone")
}

// stillSilent tells whether nothing was heard of the peer since the watchdog's report.
func (l *Leg) stillSilent() bool {
	return l.silent && l.media != nil && l.media.Stats().In.Packets == l.heard
}

// probe asks a peer whether it still lives, by OPTIONS inside the dialog.
func (c *Call) probe(l *Leg) {
	l.probeAt = time.Now().Add(probeEvery)
	if l.probing || l.asking != nil {
		return
	}
	l.probing = true
	w := sip.NewWriter(make([]byte, 0, 512))
	seq := c.beginRequest(l, w, sip.OPTIONS, maxHops)
	w.Finish("", nil)
	raw, _ := w.Bytes()
	c.send(&outgoing{leg: l, purpose: forProbe, method: sip.OPTIONS, seq: seq}, raw)
}

// probeAgain goes on asking until the peer is heard.
func (c *Call) probeAgain(l *Leg) {
	if !l.stillSilent() {
		l.silent, l.probeAt = false, time.Time{}
		return
	}
	c.probe(l)
}

// probeAnswered judges the answer of a silent peer: nothing, or a dialog unknown to it, means that it is gone
// (RFC 3261 §12.2.1.2).
func (c *Call) probeAnswered(l *Leg, status int) {
	if status < 200 {
		return
	}
	mute := l.mayBeMute
	l.probing, l.mayBeMute = false, false
	unanswered := status == 408 || status == 503
	if status != 481 && (mute || !unanswered) {
		return
	}
	by := l.name
	if c.orphan {
		by = endedByOrphan
		c.record.end(by, 0, sip.CauseOutOfOrder, c.lastSign) // nobody has spoken since
	}
	c.hangUp(by, sip.CauseOutOfOrder, "Peer is gone")
}
