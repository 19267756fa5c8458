package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Nothing that members agree on goes by the time of day. But people compare logs and call records, schedules open and close, and
// certificates and tokens begin and end by it: so each member measures how far the clocks of the others are from its own, and tells.

const (
	clockEvery  = 2 * time.Second
	clockWithin = time.Second      // an answer that takes longer says too little
	clockKept   = 10 * time.Second // how long a measurement is told
	clocksApart = time.Second      // from where it is told
	clockTopic  = "clock"
	clockRemedy = "run an NTP client on all members"
)

// Clock is how far the clock of another member is ahead of this node's.
type Clock struct {
	Ahead  time.Duration `json:"ahead"`  // negative: behind
	Within time.Duration `json:"within"` // error of that: half of the time that the question took
}

// clocks are those of the other members, as they were measured last.
type clocks struct {
	mu   sync.Mutex
	all  map[string]measured // bounded by the members
	told map[string]bool     // who was told of as apart; of the goroutine that measures
}

type measured struct {
	Clock
	at    time.Duration // BootTime
	apart bool
}

// tellClock answers a member that asks: nanoseconds since 1970.
func (e *Engine) tellClock([]byte) []byte { return strconv.AppendInt(nil, e.cfg.now().UnixNano(), 10) }

// watchClocks measures until ctx ends.
func (e *Engine) watchClocks(ctx context.Context) {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var asking sync.WaitGroup
		for _, name := range e.others() {
			asking.Go(func() { e.askClock(ctx, name) })
		}
		asking.Wait()
		e.judgeClocks(BootTime())
	}
}

func (e *Engine) askClock(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, clockWithin)
	defer cancel()
	from, own := BootTime(), e.cfg.now()
	text, err := e.Ask(ctx, name, clockTopic, nil)
	if err != nil {
		return // it is not heard, or of a version before
	}
	theirs, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return
	}
	to := BootTime()
	half := (to - from) / 2
	e.clocks.note(name, Clock{time.Unix(0, theirs).Sub(own.Round(0)) - half, half}, to)
}

// note keeps a measurement. What is nearer to the limit than it is exact changes nothing.
func (c *clocks) note(name string, x Clock, now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]measured{}
	}
	m := measured{x, now, c.all[name].apart}
	switch off := x.Ahead.Abs(); {
	case off-x.Within > clocksApart:
		m.apart = true
	case off+x.Within < clocksApart:
		m.apart = false
	}
	c.all[name] = m
}

// of is the clock of a member; nil where it has not been measured lately.
func (c *clocks) of(name string, now time.Duration) *Clock {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.all[name]
	if !ok || now-m.at > clockKept {
		return nil
	}
	return &m.Clock
}

// lately are the measurements that may be told.
func (c *clocks) lately(now time.Duration) map[string]measured {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := maps.Clone(c.all)
	maps.DeleteFunc(all, func(_ string, m measured) bool { return now-m.at > clockKept })
	return all
}

// wrongClocks is what an operator should know of them, in sentences. Where two others agree, it is this node's that is wrong.
func wrongClocks(all map[string]measured) (sentences []string) {
	var apart []string
	least, most := time.Duration(0), time.Duration(0)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if m := all[name]; m.apart {
			if len(apart) == 0 {
				least, most = m.Ahead, m.Ahead
			}
			least, most = min(least, m.Ahead), max(most, m.Ahead)
			apart = append(apart, name)
		}
	}
	if len(apart) > 1 && len(apart) == len(all) && most-least < clocksApart {
		return []string{fmt.Sprintf("the clock of this node is %s those of nodes %s: %s", ahead(-least), strings.Join(apart, " and "), clockRemedy)}
	}
	for _, name := range apart {
		sentences = append(sentences, fmt.Sprintf("the clock of node %s is %s this one's: %s", name, ahead(all[name].Ahead), clockRemedy))
	}
	return sentences
}

// ahead is by how much, in words.
func ahead(by time.Duration) string {
	exact := time.Second
	if by.Abs() < 10*time.Second {
		exact = 100 * time.Millisecond
	}
	if by < 0 {
		return fmt.Sprintf("%v behind", by.Abs().Round(exact))
	}
	return fmt.Sprintf("%v ahead of", by.Round(exact))
}

// judgeClocks tells when clocks are found to be apart, and when all that were measured are together again.
func (e *Engine) judgeClocks(now time.Duration) {
	all := e.clocks.lately(now)
	told := maps.Clone(e.clocks.told)
	if told == nil {
		told = map[string]bool{}
	}
	more := false
	for name, m := range all { // who is not heard stays as it was told
		more = more || m.apart && !told[name]
		if m.apart {
			told[name] = true
		} else {
			delete(told, name)
		}
	}
	switch before := len(e.clocks.told); {
	case more:
		e.tell(Event{Name: "clocks apart", Alarm: true, Detail: strings.Join(wrongClocks(all), "; ")})
	case before > 0 && len(told) == 0:
		e.tell(Event{Name: "clocks together", Detail: "those of all members that are heard agree to a second"})
	}
	e.clocks.told = told
}

// clockStatus is for Status.
func (e *Engine) clockStatus(now time.Duration) []string { return wrongClocks(e.clocks.lately(now)) }

// startClocks begins to answer and to measure.
func (e *Engine) startClocks(run context.Context) error {
	if err := e.Answer(clockTopic, e.tellClock); err != nil {
		return err
	}
	e.keeping.Go(func() { e.watchClocks(run) })
	return nil
}
