package call

import (
	"strings"
	"time"

	"tandem/sip"
	"tandem/sip/transaction"
)

// How long a request waits for a phone whose connection is gone, and how often its bindings are looked at: a page that is
// reloaded, or whose network has changed, is back within seconds. Somebody waits for the answer of most requests.
const (
	parkTime  = 8 * time.Second
	parkEvery = 250 * time.Millisecond
)

// parked is a request of ours inside a dialog, towards a phone without a connection.
type parked struct {
	o     *outgoing
	until time.Time
}

// park keeps a request until its phone is back; false: it cannot wait. A request waits once, and maxPending bounds those of
// a call.
func (c *Call) park(o *outgoing) bool {
	l := o.leg
	if o.raw == nil || o.parked || l.flow.Alive() || len(c.parked) >= maxPending || !c.leaveAt.IsZero() {
		return false
	}
	o.parked = true
	now := time.Now()
	c.parked = append(c.parked, parked{o, now.Add(parkTime)})
	if c.parkedNext.IsZero() {
		c.parkedNext = now.Add(parkEvery)
	}
	c.log.Debug("request waits for its phone", "leg", l.name, "method", o.method)
	return true
}

// parkAway is park for a phone of another shard, which the proxy there has no connection of at this moment: 430 Flow Failed (RFC 5626
// §11.5). The proxy is asked again.
func (c *Call) parkAway(o *outgoing) bool {
	now := time.Now()
	if o.raw == nil || !o.leg.place.IsValid() || len(c.parked) >= maxPending || !c.leaveAt.IsZero() {
		return false
	}
	if o.awayUntil.IsZero() {
		o.awayUntil = now.Add(parkTime)
	}
	if !now.Before(o.awayUntil) {
		return false
	}
	c.parked = append(c.parked, parked{o, o.awayUntil})
	if c.parkedNext.IsZero() {
		c.parkedNext = now.Add(parkEvery)
	}
	return true
}

// mayPark tells whether a request could wait at all: inside a dialog, over a connection that the phone has opened, here or at another shard.
func (o *outgoing) mayPark() bool {
	l := o.leg
	return o.purpose != forInvite && l.trunk == nil && l.flow.Valid() && (l.flow.Proto().Reliable() || l.place.IsValid())
}

// unpark sends what waited to those who are back, in the order in which it was written, and gives up what has waited long
// enough.
func (c *Call) unpark(now time.Time) {
	waiting := c.parked
	c.parked, c.parkedNext = nil, time.Time{}
	for _, p := range waiting {
		l, before := p.o.leg, p.o.leg.flow
		if !before.Alive() {
			c.refind(l)
		}
		switch {
		case p.o.cancelled:
			c.failed(p.o, transaction.TransportError)
		case l.flow.Alive():
			p.o.raw = moved(p.o, l)
			if !p.o.awayUntil.IsZero() {
				p.o.raw = asAnother(p.o.raw)
				p.o.final.Store(false)
			}
			c.send(p.o, p.o.raw)
		case !now.Before(p.until):
			c.failed(p.o, transaction.TransportError)
		default:
			c.parked = append(c.parked, p)
		}
	}
	if len(c.parked) > 0 {
		c.parkedNext = now.Add(parkEvery)
	}
}

// moved is a request as it is written for the flow that its phone is at now: another Via and Contact, if it came back to
// another listener. Its branch stays: a phone that had it already knows it again.
func moved(o *outgoing, l *Leg) []byte {
	text := strings.Replace(string(o.raw), o.via, viaOf(l), 1)
	text = strings.Replace(text, "Contact: "+o.contact+"\r\n", "Contact: "+l.contact+"\r\n", 1)
	o.via, o.contact = viaOf(l), l.contact
	return []byte(text)
}

// asAnother is a request in a transaction of its own: the one before has had its answer.
func asAnother(raw []byte) []byte {
	head, rest, _ := strings.Cut(string(raw), ";branch=")
	return []byte(head + ";branch=" + sip.NewBranch() + rest[max(strings.IndexAny(rest, ";\r"), 0):])
}

// viaOf is what a Via of ours on the leg's flow begins with.
func viaOf(l *Leg) string {
	via, _, _ := strings.Cut(l.flow.Via(""), ";branch=")
	return via
}
