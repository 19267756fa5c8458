package trunk

import (
	"math"
	"slices"
	"sync"
	"time"
)

// GroupConfig is what several trunks share: limits, and how the next one is chosen among equals. The plan says who they
// are for a call.
type GroupConfig struct {
	Name     string
	Trunks   []string // its members: each call over one of them, either way, counts against the limits
	Capacity bool     // the member with the most free channels is next; false: by weight
	Channels Limit    // calls at once over all members
	CPS      Limit    // new calls in any second over all members
}

// group is a GroupConfig at work.
type group struct {
	name string

	choosing sync.Mutex     // one choice at a time; taken before the locks of trunks
	capacity bool           // guarded by choosing
	credit   map[string]int // by trunk: what it is owed by the weights; guarded by choosing

	mu     sync.Mutex // guards limits; taken after the lock of a trunk, of several groups in the order of names
	limits limits
}

func newGroup(name string) *group { return &group{name: name, credit: map[string]int{}} }

// configure puts a configuration in force; calls in progress go on counting.
func (g *group) configure(c *GroupConfig) {
	g.choosing.Lock()
	g.capacity = c.Capacity
	clear(g.credit)
	g.choosing.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits.adopt(c.Channels, c.CPS)
	g.limits.of = " of group " + g.name
}

// Candidate is a trunk that stands for a call beside others that are as good.
type Candidate struct {
	Trunk  string
	Weight int
}

// Choose takes a channel of one of several trunks of a group: of those that admit the call each gets its share by weight,
// exactly, or the one with the most free channels is taken. One whose calls go badly comes after the others. chosen is -1
// where none admits; refusals has a reason for each that did not.
func (s *Set) Choose(now time.Time, name string, of []Candidate, must bool) (chosen int, c *Channel, refusals []string) {
	refusals = make([]string, len(of))
	g := s.table.Load().groups[name]
	if g == nil { // a reload has taken it away: the order of the plan serves
		g = newGroup(name)
	}
	g.choosing.Lock()
	defer g.choosing.Unlock()
	for {
		pool := s.admitting(now, of, must, refusals)
		if len(pool) == 0 {
			return -1, nil, refusals
		}
		i := g.next(pool)
		if c, refusals[pool[i].index] = pool[i].trunk.Admit(now, Out, must); c != nil {
			g.charge(pool, i)
			return pool[i].index, c, refusals
		}
	}
}

// contender is a candidate that admits.
type contender struct {
	Candidate
	trunk *Trunk
	index int // among the candidates
	free  int // channels
}

// admitting is the candidates that would take the call; of the others refusals says why.
func (s *Set) admitting(now time.Time, of []Candidate, must bool, refusals []string) []contender {
	var good, poor []contender
	for i, x := range of {
		if refusals[i] != "" {
			continue
		}
		t := s.Find(x.Trunk)
		if t == nil {
			refusals[i] = "no such trunk any more"
			continue
		}
		why, free, bad := t.standing(now, must)
		switch k := (contender{x, t, i, free}); {
		case why != "":
			refusals[i] = why
		case bad:
			poor = append(poor, k)
		default:
			good = append(good, k)
		}
	}
	if len(good) > 0 {
		return good
	}
	return poor
}

// next is who of the pool has the next call: by free channels, and then by what the weights owe him after this call
// (smooth weighted round robin: in every row of as many calls as the weights add up to, each has exactly its weight).
func (g *group) next(pool []contender) int {
	best := 0
	for i := 1; i < len(pool); i++ {
		if g.before(&pool[i], &pool[best]) {
			best = i
		}
	}
	return best
}

func (g *group) before(a, b *contender) bool {
	if g.capacity && a.free != b.free {
		return a.free > b.free
	}
	return g.credit[a.Trunk]+a.Weight > g.credit[b.Trunk]+b.Weight
}

// charge settles a choice. Who was not in the pool neither gains nor loses: a trunk that comes back is owed nothing.
func (g *group) charge(pool []contender, chosen int) {
	total := 0
	for _, x := range pool {
		g.credit[x.Trunk] += x.Weight
		total += x.Weight
	}
	g.credit[pool[chosen].Trunk] -= total
}

// standing tells whether one more call may go out, how many channels are free, and whether calls go badly. A refusal is
// counted.
func (t *Trunk) standing(now time.Time, must bool) (refusal string, free int, poor bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !must {
		if refusal = t.refusal(now, Out, false); refusal != "" {
			return t.refuse(Out, refusal), 0, false
		}
	}
	return "", t.limits.free(Out), t.quality.poor(now, &t.cfg.Load().Health) != ""
}

// free is the channels that are left in a direction; without a limit there is no end of them.
func (l *limits) free(d Direction) int {
	n := math.MaxInt
	if l.channels.Both > 0 {
		n = l.channels.Both - l.busy[Out] - l.busy[In]
	}
	if one := l.channels.of(d); one > 0 {
		n = min(n, one-l.busy[d])
	}
	return n
}

// take counts a call in its groups, all or none: in the order of names, so that two trunks of the same groups cannot wait
// for each other.
func take(groups []*group, now time.Time, d Direction, must bool) (refusal string) {
	for _, g := range groups {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !must && refusal == "" {
			refusal = g.limits.refuse(now, d)
		}
	}
	if refusal != "" {
		return "group " + refusal
	}
	for _, g := range groups {
		g.limits.take(now, d)
	}
	return ""
}

// wouldTake is take without taking.
func wouldTake(groups []*group, now time.Time, d Direction) (refusal string) {
	for _, g := range groups {
		g.mu.Lock()
		refusal = g.limits.refuse(now, d)
		g.mu.Unlock()
		if refusal != "" {
			return "group " + refusal
		}
	}
	return ""
}

// giveBack takes a call off its groups.
func giveBack(groups []*group, d Direction) {
	for _, g := range groups {
		g.mu.Lock()
		g.limits.release(d)
		g.mu.Unlock()
	}
}

// GroupState is a group as it is shown.
type GroupState struct {
	Group       string   `json:"group"`
	Trunks      []string `json:"trunks"`
	ChannelsOut int      `json:"channels_out"` // in use
	ChannelsIn  int      `json:"channels_in"`
	Channels    int      `json:"channels"` // the limit over both directions; 0: none
}

// Groups is every group as it is now, by name.
func (s *Set) Groups() []GroupState {
	table := s.table.Load()
	out := make([]GroupState, 0, len(table.groups))
	for _, c := range table.configs {
		g := table.groups[c.Name]
		g.mu.Lock()
		out = append(out, GroupState{c.Name, slices.Clone(c.Trunks), g.limits.busy[Out], g.limits.busy[In], c.Channels.Both})
		g.mu.Unlock()
	}
	return out
}
