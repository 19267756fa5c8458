package relay

import (
	"math"
	"time"
)

// A look says when a port has to be looked at again, if nothing happens to it before: since began, and never where there is nothing to wait for.
// A loop keeps those of its ports in one array, so that it finds the few that are due among thousands without going to each of them.
type look struct {
	after time.Duration // for lookAfter
	note  time.Duration // for stale
}

const never = time.Duration(math.MaxInt64)

// soon has the port looked at the next time, whatever for. It is called where anything changes that its looks were reckoned from: by every command,
// and by the packets that bring more than the next number of a stream. Once too often costs a look; once too little would be a promise broken.
func (p *Port) soon() { p.loop.looks[p.index] = look{} }

// since is an instant as a look has it.
func since(t time.Time) time.Duration { return t.Sub(began) }

// nextLook is when lookAfter has something to do, as things are.
func (p *Port) nextLook() time.Duration {
	if p.web != nil || p.rtp.paused || p.rtcp.paused {
		return 0
	}
	at := never
	if d := p.presses.Deadline(); !d.IsZero() {
		at = since(d)
	}
	if limit := p.set.SilenceIn; limit > 0 && !p.told[0] {
		at = min(at, since(p.lastIn)+limit)
	}
	if limit := p.set.SilenceOut; limit > 0 && !p.told[1] && p.fed() {
		at = min(at, since(p.lastOut)+limit)
	}
	if p.hearsReports() {
		at = min(at, since(p.nextRTCP))
	}
	return at
}

// nextNote is when stale may say yes, as things are.
func (p *Port) nextNote() time.Duration {
	n, now := &p.noted, p.loop.now
	switch {
	case n.at.IsZero():
		return never
	case p.stale(n.at):
		return 0
	case now.Sub(n.at) >= noteEvery: // a quiet one: nobody says when it begins to flow
		return since(now) + noteEvery
	}
	return since(n.at) + noteEvery
}

// chores looks after the ports that have something to be looked after.
func (l *Loop) chores() {
	now := since(l.now)
	for i := 0; i < len(l.ports); i++ {
		if l.looks[i].after <= now {
			l.lookAfter(l.ports[i])
		}
	}
}

// lookAfter looks after one port. A panic ends this look, and the next one comes with the next chores.
func (l *Loop) lookAfter(p *Port) {
	defer func() {
		if r := recover(); r != nil {
			l.survived(r)
		}
	}()
	p.lookAfter()
	l.looks[p.index].after = p.nextLook()
}

// notes gives take the ports that are stale, from one on, until it has looked at so many; next is where to go on, which is behind the last at
// the end.
func (l *Loop) notes(from, most int, take func(*Port, State)) (next int) {
	now := since(l.now)
	for ; from < len(l.ports) && most > 0; from++ {
		if l.looks[from].note > now {
			continue
		}
		most--
		p := l.ports[from]
		if p.stale(l.now) {
			take(p, p.note(l.now))
		}
		l.looks[from].note = p.nextNote()
	}
	return from
}
