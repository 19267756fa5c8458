package call

import (
	"fmt"
	"time"

	"tandem/media"
	"tandem/sip"
	"tandem/trunk"
)

// soundedKey is how long a key sounds in-band: long enough for every receiver (ITU-T Q.24: 40 ms), and over before the next.
const soundedKey = 100 * time.Millisecond

// wayOfKeys is how a leg whose peer takes no telephone-events is told of keys: INFO where it takes that, or its trunk says so;
// else tones; or nothing where its trunk wants events only. DTMFAuto: it has not said what it takes.
func (l *Leg) wayOfKeys() trunk.DTMF {
	if l.trunk != nil {
		switch way := l.trunk.Config().DTMF; way {
		case trunk.DTMFEvents, trunk.DTMFInfo, trunk.DTMFInband:
			return way
		}
	}
	switch {
	case lists(l.allows, sip.INFO):
		return trunk.DTMFInfo
	case l.allows == "":
		return trunk.DTMFAuto
	}
	return trunk.DTMFInband
}

// passKey tells the other leg of a key that came as a telephone-event, where the media room could not pass it on.
func (c *Call) passKey(o *Leg, digit byte, length time.Duration) {
	if o.media == nil || o.state != legUp || o.media.TakesDTMF() {
		return
	}
	switch o.wayOfKeys() {
	case trunk.DTMFInfo:
		c.informKey(o, digit, length)
	case trunk.DTMFInband, trunk.DTMFAuto:
		c.soundKey(o, digit)
	}
}

// informKey tells a leg of a key by INFO, in the form that most understand.
func (c *Call) informKey(o *Leg, digit byte, length time.Duration) {
	if len(c.pending) >= maxPending {
		return
	}
	if length <= 0 {
		length = dtmfLength
	}
	w := sip.NewWriter(make([]byte, 0, 512))
	seq := c.beginRequest(o, w, sip.INFO, maxHops)
	w.Finish("application/dtmf-relay", fmt.Appendf(nil, "Signal=%c\r\nDuration=%d\r\n", digit, length.Milliseconds()))
	if raw, err := w.Bytes(); err == nil {
		c.send(&outgoing{leg: o, purpose: forKey, method: sip.INFO, seq: seq}, raw)
	}
}

// soundKey lets a leg hear a key.
func (c *Call) soundKey(o *Leg, digit byte) {
	clip, ok := media.Key(digit, soundedKey)
	if !ok || o.media == nil {
		return
	}
	if err := o.media.Play(clip, false); err != nil {
		c.log.Debug("key not heard", "leg", o.name, "err", err)
	}
}
