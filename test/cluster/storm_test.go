package cluster

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/test/wire"
)

// How the storm's users are numbered: phones on UDP, those that are called all along, and the clients with a connection.
const (
	stormPhones  = 1000
	stormTraffic = 1900
	stormGuests  = 2000
)

// T9: TANDEM_CLIENTS clients (2000) over TLS and WSS, half each, with a keep-alive of 15 s, lose their connections with the node that
// serves: once it is killed, and its kernel tells them all at once, once its cable is cut, and nobody does but the other node. 95 of 100
// are registered again within ten seconds of the fault, with their TLS sessions resumed, and can be called. Meanwhile TANDEM_CALLS calls (100), some of them
// theirs, go on with no more than the takeover's silence, and each 100 ms another one is set up.
func TestSoakT9Storm(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	s := newStorm(t, number("TANDEM_CLIENTS", 2000), number("TANDEM_CALLS", 100))
	s.round("kill -9", func(serves string) { s.p.kill(serves) }, func(serves string) { s.p.start(serves) })
	s.deafen(len(s.guests) / 40)
	s.round("cable cut", s.p.cut, s.p.plug)
	s.end()
}

// storm is the rig of T9.
type storm struct {
	t      *testing.T
	p      *Pair
	guests []*guest
	deaf   map[*guest]bool // do not hear that their connection is gone
	talks  []*talk
	theirs int // talks that are between a guest and a phone; they come first
	pairs  [][2]*wire.Phone
	stop   context.CancelFunc
	runs   sync.WaitGroup
}

func newStorm(t *testing.T, clients, calls int) *storm {
	// Each of the clients is called once, a thousand a second, and what such a call had rests.
	many := strings.Replace(soakConfiguration(), `"20000-23999"`, `"20000-31999"`, 1)
	p := newRig(t, hosts, many+connections, func(p *Pair) {
		var b strings.Builder
		b.WriteString("extension,name,password,class\n")
		for n := stormPhones; n < stormGuests+clients; n++ {
			fmt.Fprintf(&b, "%d,Phone %d,file:password,office\n", n, n)
		}
		for name := range p.nodes {
			p.write(name, "phones.csv", b.String())
		}
	})
	p.eventually(60*time.Second, "pair whole", p.whole)
	s := &storm{t: t, p: p, guests: p.newGuests(clients, stormGuests), theirs: min(calls/2, clients)}
	for n := range calls {
		to := p.phone(fmt.Sprint(stormPhones + 2*n))
		if n < s.theirs {
			s.talks = append(s.talks, p.place(s.guests[n].line, to, n))
		} else {
			s.talks = append(s.talks, p.place(p.phone(fmt.Sprint(stormPhones+2*n+1)), to, n))
		}
	}
	p.goOn(s.talks, 20*time.Second)
	s.pairs = p.pairs(50, stormTraffic) // a call that begins with the fault is set up by the third INVITE
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = sync.OnceFunc(func() { cancel(); s.runs.Wait() })
	t.Cleanup(s.stop)
	for _, g := range s.guests {
		s.runs.Go(func() { g.run(ctx) })
	}
	return s
}

// deafen has the network lose what tells some clients that their connection is gone: they learn it from the answer to their keep-alive.
func (s *storm) deafen(count int) {
	s.deaf = map[*guest]bool{}
	var ports []string
	for n := range count {
		g := s.guests[len(s.guests)-1-n]
		s.deaf[g] = true
		ports = append(ports, fmt.Sprint(g.state().port))
	}
	// The segment that wakes them has an acknowledgement of zero, as no other has.
	s.p.nft("phones", "add table inet lost { chain in { type filter hook input priority 0; "+
		"tcp flags ack tcp sequence 0 tcp ackseq 0 tcp dport { "+strings.Join(ports, ", ")+" } drop; }; }")
}

// round is a fault, and what comes of it.
func (s *storm) round(name string, begin, end func(serves string)) {
	t, p := s.t, s.p
	t.Helper()
	for _, g := range s.guests {
		g.forget()
	}
	since := said(s.talks)
	flow := p.traffic(100*time.Millisecond, s.pairs)
	time.Sleep(2 * time.Second) // of calls before the fault, to compare with
	from := p.serving()
	fault := time.Now()
	begin(from)
	p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(from), virtual) })
	t.Logf("%s: the other node serves after %v", name, time.Since(fault))
	p.eventually(90*time.Second, "all clients back", func() bool {
		return !slices.ContainsFunc(s.guests, func(g *guest) bool { return g.state().back.IsZero() })
	})
	over := time.Now()
	p.goOn(s.talks, 10*time.Second)
	tries := flow.end()
	s.came(name, fault)
	s.undisturbed(name, since)
	before, _ := spread(tries, time.Time{}, fault)
	during, failed := spread(tries, fault, over)
	t.Logf("%s: %d calls before it, set up in %v (median), %v (99 of 100); %d in the storm, %v, %v, worst %v; %d failed", name, len(before), of(before, 500), of(before, 990),
		len(during), of(during, 500), of(during, 990), of(during, 1000), len(failed))
	if len(failed) > 0 {
		t.Errorf("%s: %d calls failed in the storm, the first by %v", name, len(failed), failed[0])
	}
	s.called(name)
	end(from)
	p.eventually(90*time.Second, "whole again", p.whole)
}

// came tells when the clients were back.
func (s *storm) came(name string, fault time.Time) {
	t := s.t
	t.Helper()
	var told, back, blind []time.Duration
	trials, later, resumed := 0, 0, 0
	for _, g := range s.guests {
		x := g.state()
		told, back = append(told, x.gone.Sub(fault)), append(back, x.back.Sub(fault))
		if s.deaf[g] {
			blind = append(blind, x.gone.Sub(fault))
		}
		trials, later = trials+x.trial, later+x.later
		if x.back.Sub(fault) >= 10*time.Second {
			t.Logf("client %s over %s, port %d: learned it after %v, back after %v: %q", g.user, g.kind, x.port, x.gone.Sub(fault), x.back.Sub(fault), x.why)
		}
		if x.resumed {
			resumed++
		}
	}
	slices.Sort(told)
	slices.Sort(back)
	slices.Sort(blind)
	t.Logf("T9 %s: %d clients learned it after %v (median), %v (95 of 100), %v (last); registered again after %v, %v, %v; %d sessions resumed, %d tries failed, %d told to come later",
		name, len(back), of(told, 500), of(told, 950), of(told, 1000), of(back, 500), of(back, 950), of(back, 1000), resumed, trials, later)
	if of(back, 950) >= 10*time.Second {
		t.Errorf("T9 promises that 95 of 100 are back within 10 s, and after %s it took %v", name, of(back, 950))
	}
	if resumed < len(back)*95/100 {
		t.Errorf("%d of %d clients had their TLS session resumed by the other node", resumed, len(back))
	}
	if len(blind) > 0 {
		t.Logf("T9 %s: %d clients that heard nothing learned it by their keep-alive after %v (median), %v (last)", name, len(blind), of(blind, 500), of(blind, 1000))
		if last := of(blind, 1000); last > keepAlive+2*time.Second {
			t.Errorf("a client with a keep-alive of %v was blind for %v", keepAlive, last)
		}
	}
}

// undisturbed tells how silent the calls were since the packets that are named, and what they lost besides.
func (s *storm) undisturbed(name string, since [][2]uint32) {
	t := s.t
	t.Helper()
	gaps, lost, sent := silences(s.talks, since)
	t.Logf("T9 %s: %d calls, %d of them with a client; silence %v (median), %v (longest); %d of %d packets lost besides", name, len(gaps), s.theirs,
		of(gaps, 500), of(gaps, 1000), lost, sent)
	if of(gaps, 1000) >= time.Second && timers() == soakElection {
		t.Errorf("a call was silent for %v", of(gaps, 1000))
	}
	if lost > sent/1000 {
		t.Errorf("%d of %d packets were lost while clients came back", lost, sent)
	}
}

// called has every client rung once.
func (s *storm) called(name string) {
	t := s.t
	t.Helper()
	const callers = 16
	work := make(chan *guest)
	var all sync.WaitGroup
	for n := range callers {
		phone := s.pairs[n][0]
		all.Go(func() {
			for g := range work {
				r := phone.New("INVITE", g.user)
				r.Body = s.talks[0].am.SDP()
				m, ok := phone.Try(r, callLimit)
				if ok && m.Status() == 401 {
					m, ok = phone.Try(phone.Sign(r, m), callLimit)
				}
				if !ok || m.Status() != 486 {
					t.Errorf("%s: call to %s over %s: %v %q", name, g.user, g.kind, ok, m.Start)
				}
			}
		})
	}
	for _, g := range s.guests {
		work <- g
	}
	close(work)
	all.Wait()
	rung := 0
	for _, g := range s.guests {
		if g.state().rung == 1 {
			rung++
		}
	}
	t.Logf("%s: %d of %d clients were rung, once each", name, rung, len(s.guests))
	if rung != len(s.guests) {
		t.Errorf("%s: %d of %d clients were rung once", name, rung, len(s.guests))
	}
}

// end hangs up; clients are told over the connection that they have come back on.
func (s *storm) end() {
	t, p := s.t, s.p
	t.Helper()
	for n, c := range s.talks {
		if m, ok := c.b.Phone.Try(c.b.Next("BYE", ""), callLimit); !ok || m.Status() != 200 {
			t.Errorf("BYE of call %d: %v %q", n, ok, m.Start)
		}
		if n >= s.theirs {
			c.a.Phone.Reply(c.a.Phone.Request(5*time.Second, "BYE"), 200, wire.Reply{})
		}
		c.am.Stop()
		c.bm.Stop()
	}
	p.idle(p.serving())
	for n := range s.theirs {
		g := s.guests[n]
		g.mu.Lock()
		if !slices.ContainsFunc(g.asked, func(m wire.Message) bool { return m.Method() == "BYE" }) {
			t.Errorf("client %d was not told that its call has ended", n)
		}
		g.mu.Unlock()
	}
	s.stop()
}
