package relay

import "time"

// The beat of everything that is sent by our own clock: frame is the packet time, and ports are spread over phases of it, so that a
// thousand players do not send in one burst.
const (
	frame  = 20 * time.Millisecond
	phases = 20
	step   = frame / phases
	// maxLag is how far the clock lets itself fall behind (a stopped machine, a debugger) before it gives frames up.
	maxLag = 5 * frame
	// choresEvery is how often a loop looks after the ports that need it: watchdogs, RTCP of our own, paused sockets.
	choresEvery = 100 * time.Millisecond
)

// A clock tells which ports must act when. Deadlines are absolute, start + n*step, so they do not drift.
type clock struct {
	start time.Time
	done  int64           // steps that are behind us
	due   [phases][]*Port // each port knows its phase and place
	busy  int             // ports in due
	chore time.Time       // next round of chores
}

func (c *clock) init(now time.Time) { c.start, c.chore = now, now.Add(choresEvery) }

// enter takes up a port that came from another loop.
func (c *clock) enter(p *Port, now time.Time) {
	if p.beating {
		p.beating = false
		c.beat(p, now)
	}
}

// leave forgets a port but not that it was beating.
func (c *clock) leave(p *Port) {
	if p.beating {
		c.rest(p)
		p.beating = true
	}
}

// beat has p.beat called every frame from now on, at the phase that has least to do.
func (c *clock) beat(p *Port, now time.Time) {
	if p.beating {
		return
	}
	if c.busy == 0 {
		c.done = int64(now.Sub(c.start) / step) // nobody was waiting for the steps since
	}
	p.beating = true
	for i := range c.due {
		if len(c.due[i]) < len(c.due[p.phase]) {
			p.phase = i
		}
	}
	p.place = len(c.due[p.phase])
	c.due[p.phase] = append(c.due[p.phase], p)
	c.busy++
}

// rest stops that.
func (c *clock) rest(p *Port) {
	if !p.beating {
		return
	}
	p.beating = false
	due := c.due[p.phase]
	last := due[len(due)-1]
	due[p.place], last.place = last, p.place
	due[len(due)-1] = nil
	c.due[p.phase] = due[:len(due)-1]
	c.busy--
}

// next is when tick must be called next; zero if there is nothing to wait for.
func (c *clock) next(ports int) time.Time {
	if ports == 0 {
		return time.Time{}
	}
	at := c.chore
	if c.busy > 0 {
		for n := c.done + 1; n <= c.done+phases; n++ {
			if len(c.due[n%phases]) > 0 {
				if t := c.start.Add(time.Duration(n) * step); t.Before(at) {
					at = t
				}
				break
			}
		}
	}
	return at
}

// tick calls beat for each port whose deadline is behind us, each deadline once and in order, and then the chores if they are due.
func (l *Loop) tick() {
	l.now = time.Now()
	c := &l.clock
	if !l.serves() {
		c.done = int64(l.now.Sub(c.start) / step)
		if !l.now.Before(c.chore) {
			c.chore = l.now.Add(choresEvery)
		}
		return
	}
	reached := int64(l.now.Sub(c.start) / step)
	if c.busy == 0 || reached-c.done > int64(maxLag/step) {
		c.done = max(c.done, reached-phases)
	}
	for c.done < reached {
		c.done++
		due := c.due[c.done%phases]
		for i := len(due) - 1; i >= 0; i-- { // downwards: a port may leave in its beat
			l.beat(due[i])
		}
	}
	if l.now.Before(c.chore) {
		return
	}
	c.chore = l.now.Add(choresEvery)
	if l.sweep != nil {
		l.sweep()
	}
	l.chores()
}

func (l *Loop) beat(p *Port) {
	defer func() {
		if r := recover(); r != nil {
			l.survived(r)
			l.clock.rest(p) // what panicked once would do it fifty times a second
		}
	}()
	p.beat()
}
