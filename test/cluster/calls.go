package cluster

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tandem/console"
	"tandem/test/binary"
	"tandem/test/wire"
)

// phone is one phone in the phones' namespace, registered at the virtual address.
func (p *Pair) phone(user string) *wire.Phone {
	p.t.Helper()
	var line *wire.Line
	p.inside("phones", func() { line = wire.UDP(p.t, phoneHost, 0, virtual+":5060") })
	line.Again, line.Knows = true, true
	phone := wire.NewPhone(line, user, binary.Password)
	phone.Register()
	return phone
}

// line registers the phones for so many calls, and one to transfer them to.
func (p *Pair) line(calls int) {
	p.t.Helper()
	for n := range 2 * calls {
		p.phones = append(p.phones, p.phone(fmt.Sprint(1000+n)))
	}
	p.spare = p.phone(fmt.Sprint(1000 + 2*calls))
}

// talk is a call between two phones, 50 packets a second each way.
type talk struct {
	p      *Pair
	a, b   *wire.Call
	am, bm *wire.Media
}

func (p *Pair) connect(alice, bob *wire.Phone, n int) *talk {
	p.t.Helper()
	c := p.place(alice, bob, n)
	c.goesOn(5 * time.Second)
	return c
}

// place is connect that waits for no packet.
func (p *Pair) place(alice, bob *wire.Phone, n int) *talk {
	p.t.Helper()
	c := &talk{p: p}
	p.inside("phones", func() {
		c.am, c.bm = wire.NewMedia(p.t, phoneHost, fmt.Sprintf("A%03d", n)), wire.NewMedia(p.t, phoneHost, fmt.Sprintf("B%03d", n))
	})
	c.a = alice.Invite(bob.User, c.am.SDP())
	c.b = p.rung(c.a, bob)
	c.b.Respond(200, c.bm.Answer(c.b.Asked.Body))
	c.bm.Start(p.t, c.b.Asked.Body)
	m := c.a.Final(5 * time.Second)
	if m.Status() != 200 {
		p.t.Fatalf("INVITE: %s", m.Raw)
	}
	p.ledger.add(c.a.ID)
	c.a.Ack()
	c.b.Acked()
	c.am.Start(p.t, m.Body)
	return c
}

// goesOn waits until each side has heard ten more packets of the other.
func (c *talk) goesOn(limit time.Duration) {
	c.p.t.Helper()
	c.p.goOn([]*talk{c}, limit)
}

// goOn is goesOn of many calls at a time.
func (p *Pair) goOn(talks []*talk, limit time.Duration) {
	p.t.Helper()
	type heard struct {
		c    *talk
		a, b int
	}
	waits := make([]heard, len(talks))
	for i, c := range talks {
		waits[i].c = c
		waits[i].a, waits[i].b = c.heard()
	}
	p.eventually(limit, fmt.Sprintf("media both ways of %d calls", len(talks)), func() bool {
		waits = slices.DeleteFunc(waits, func(w heard) bool {
			a, b := w.c.heard()
			return a >= w.a+10 && b >= w.b+10
		})
		return len(waits) == 0
	})
}

// sides are the two of a call, the called one first if so wanted, and their media.
func (c *talk) sides(called bool) (from, to *wire.Call, fm, tm *wire.Media) {
	if called {
		return c.b, c.a, c.bm, c.am
	}
	return c.a, c.b, c.am, c.bm
}

// heard is how many packets of the other each side has heard.
func (c *talk) heard() (a, b int) {
	a, _ = c.am.Heard(c.bm.Mark)
	b, _ = c.bm.Heard(c.am.Mark)
	return a, b
}

// rung waits until a call of one phone rings at another; the INVITE is repeated as UDP wants.
func (p *Pair) rung(call *wire.Call, at *wire.Phone) *wire.Call {
	p.t.Helper()
	for wait := 500 * time.Millisecond; wait <= 4*time.Second; wait *= 2 {
		if m, ok := at.Poll(wait, func(m wire.Message) bool { return m.Method() == "INVITE" && wire.Tag(m.Get("to")) == "" }); ok {
			return at.RungBy(m)
		}
		call.Phone.Send(call.Phone.Text(call.Invite))
	}
	p.t.Fatalf("a call of %s does not ring at %s", call.Phone.User, at.User)
	return nil
}

// hold has one side hold the call and take it up again.
func (c *talk) hold(from, to *wire.Call, fm, tm *wire.Media) {
	c.p.t.Helper()
	for _, want := range []string{"sendonly", "sendrecv"} {
		answer := map[string]string{"sendonly": "recvonly", "sendrecv": "sendrecv"}[want]
		m, ok := c.ask(from, to, from.Next("INVITE", fm.SDP(want)), tm, answer)
		if !ok || m.Status() != 200 {
			c.p.t.Fatalf("re-INVITE with %s: %v %s", want, ok, m.Raw)
		}
		from.AckTo(m)
	}
}

// refresh has one side refresh the session (RFC 4028).
func (c *talk) refresh(from *wire.Call) {
	c.p.t.Helper()
	r := from.Next("UPDATE", "")
	r.Extra = []string{"Supported: timer", "Session-Expires: 1800;refresher=uac"}
	if m := from.Phone.Do(r); m.Status() != 200 {
		c.p.t.Errorf("UPDATE that refreshes the session: %s", m.Raw)
	}
}

// reoffered answers a re-INVITE if there is one.
func reoffered(c *wire.Call, media *wire.Media, direction ...string) bool {
	m, ok := c.Phone.Poll(time.Millisecond, func(m wire.Message) bool { return m.Method() == "INVITE" && m.Get("call-id") == c.ID })
	if ok {
		c.Phone.Reply(m, 200, wire.Reply{Contact: c.Phone.Contact(), Body: media.Answer(m.Body, direction...)})
		media.Start(c.Phone.T, m.Body)
	}
	return ok
}

// transfer has one side send the other to carol, and leave. The call that comes of it is between the two that stay.
func (c *talk) transfer(by, stays *wire.Call, sm *wire.Media, carol *wire.Phone, n int) *talk {
	c.p.t.Helper()
	var cm *wire.Media
	c.p.inside("phones", func() { cm = wire.NewMedia(c.p.t, phoneHost, fmt.Sprintf("C%03d", n)) })
	r := by.Next("REFER", "")
	r.Contact, r.Extra = by.Phone.Contact(), []string{"Refer-To: <" + by.Phone.URI(carol.User) + ">"}
	if m := by.Phone.Do(r); m.Status() != 202 {
		c.p.t.Fatalf("REFER: %s", m.Raw)
	}
	c.p.eventually(5*time.Second, "who stays is offered anew", func() bool { return reoffered(stays, sm) })
	b := carol.Rung()
	b.Respond(200, cm.Answer(b.Asked.Body))
	b.Acked()
	cm.Start(c.p.t, b.Asked.Body)
	told := false
	c.p.eventually(10*time.Second, "the transfer is done", func() bool {
		if m, ok := by.Phone.Poll(time.Millisecond, func(m wire.Message) bool { return m.Method() == "NOTIFY" }); ok {
			by.Phone.Reply(m, 200, wire.Reply{})
			told = told || strings.HasPrefix(m.Body, "SIP/2.0 200")
		}
		reoffered(stays, sm)
		reoffered(b, cm)
		x, _ := sm.Heard(cm.Mark)
		y, _ := cm.Heard(sm.Mark)
		return told && x > 10 && y > 10
	})
	by.Ended(5 * time.Second)
	return &talk{p: c.p, a: stays, b: b, am: sm, bm: cm}
}

// bye hangs up from one side; the other must be told.
func (c *talk) bye(from, to *wire.Call) {
	c.p.t.Helper()
	if m, ok := c.ask(from, to, from.Next("BYE", ""), c.bm); !ok || m.Status() != 200 {
		c.p.t.Fatalf("BYE: %v %s", ok, m.Raw)
	}
	c.am.Stop()
	c.bm.Stop()
}

// ask sends a request from one side, repeats it as UDP wants, and answers what comes of it on the other.
func (c *talk) ask(from, to *wire.Call, r wire.Request, media *wire.Media, direction ...string) (m wire.Message, ok bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		m, ok = from.Phone.Try(r, 5*time.Second)
	}()
	ended := r.Method != "BYE"
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	for answered := false; !answered || !ended; {
		select {
		case <-done:
			answered, done = true, nil
			ended = ended || !ok
		case <-limit.C:
			c.p.t.Errorf("%s was answered, and nobody told the other side", r.Method)
			ended = true
		default:
		}
		reoffered(to, media, direction...)
		if bye, heard := to.Phone.Poll(time.Millisecond, func(m wire.Message) bool { return m.Method() == "BYE" && m.Get("call-id") == to.ID }); heard {
			to.Phone.Reply(bye, 200, wire.Reply{})
			ended = true
		}
	}
	return m, ok
}

// gauges are the counts of a node that calls must not leave changed.
func (p *Pair) gauges(name string) (s console.Status) {
	p.t.Helper()
	s, err := console.Dial(filepath.Join(p.dir, name, "state", "admin.sock")).Status()
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// idle waits until a node has nothing of calls left.
func (p *Pair) idle(name string) {
	p.t.Helper()
	p.eventually(60*time.Second, "nothing of calls left on "+name, func() bool {
		s := p.gauges(name)
		return s.Calls == 0 && s.Dialogs == 0 && s.MediaSessions == 0 && s.PortsInUse == 0
	})
}

// quiet is what the node that serves has, and the other one, before there were calls.
func (p *Pair) quiet() [2]console.Status {
	p.t.Helper()
	serves := p.serving()
	return [2]console.Status{p.gauges(serves), p.gauges(other(serves))}
}

// back waits until both hold no more than then. The last transaction ends after 32 s (RFC 3261 §17.2.2).
func (p *Pair) back(quiet [2]console.Status) {
	p.t.Helper()
	serves := p.serving()
	for n, name := range []string{serves, other(serves)} {
		var s console.Status
		defer func() {
			p.t.Logf("%s: %d calls, %d dialogs, %d transactions, %d sessions, %d ports, %d goroutines; before the first call %d",
				name, s.Calls, s.Dialogs, s.Transactions, s.MediaSessions, s.PortsInUse, s.Goroutines, quiet[n].Goroutines)
		}()
		p.eventually(90*time.Second, "as before the first call: "+name, func() bool {
			s = p.gauges(name)
			left := uint64(s.Calls) + uint64(s.Dialogs) + uint64(s.Transactions) + uint64(s.MediaSessions) + uint64(s.PortsInUse) + uint64(s.RecordsWait)
			return left == 0 && s.Goroutines <= quiet[n].Goroutines+5
		})
	}
}

// load is what a node says of itself to the others.
func (p *Pair) load(name string) (calls, registrations int) {
	s, _ := p.status(name)
	for _, m := range s.Members {
		var r struct{ Calls, Registrations int }
		if m.Node == name && json.Unmarshal(m.Report, &r) == nil {
			return r.Calls, r.Registrations
		}
	}
	return -1, -1
}
