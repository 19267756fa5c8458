package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// phone is one phone in the phones' namespace, registered at the virtual address.
func (p *Pair) phone(user string) *wire.Phone {
	p.t.Helper()
	var line *wire.Line
	p.inside("phones", func() { line = wire.UDP(p.t, phoneHost, 0, virtual+":5060") })
	phone := wire.NewPhone(line, user, binary.Password)
	phone.Register()
	return phone
}

// talk is a call between two phones, 50 packets a second each way.
type talk struct {
	p      *Pair
	a, b   *wire.Call
	am, bm *wire.Media
}

func (p *Pair) connect(alice, bob *wire.Phone, n int) *talk {
	p.t.Helper()
	c := &talk{p: p}
	p.inside("phones", func() {
		c.am, c.bm = wire.NewMedia(p.t, phoneHost, fmt.Sprintf("A%03d", n)), wire.NewMedia(p.t, phoneHost, fmt.Sprintf("B%03d", n))
	})
	c.a = alice.Invite(bob.User, c.am.SDP())
	c.b = bob.Rung()
	c.b.Respond(200, c.bm.Answer(c.b.Asked.Body))
	c.bm.Start(p.t, c.b.Asked.Body)
	m := c.a.Final(5 * time.Second)
	if m.Status() != 200 {
		p.t.Fatalf("INVITE: %s", m.Raw)
	}
	c.a.Ack()
	c.b.Acked()
	c.am.Start(p.t, m.Body)
	c.goesOn(5 * time.Second)
	return c
}

// goesOn waits until each side has heard ten more packets of the other.
func (c *talk) goesOn(limit time.Duration) {
	c.p.t.Helper()
	a, _ := c.am.Heard(c.bm.Mark)
	b, _ := c.bm.Heard(c.am.Mark)
	c.p.eventually(limit, "media both ways of "+c.am.Mark, func() bool {
		a2, _ := c.am.Heard(c.bm.Mark)
		b2, _ := c.bm.Heard(c.am.Mark)
		return a2 >= a+10 && b2 >= b+10
	})
}

// gap is the longest time in which one of the two heard nothing.
func (c *talk) gap() (longest time.Duration) {
	for me, other := range map[*wire.Media]*wire.Media{c.am: c.bm, c.bm: c.am} {
		run, last := 0, uint32(0)
		for _, n := range me.Missing(other.Mark) {
			if run++; n != last+1 {
				run = 1
			}
			last = n
			longest = max(longest, time.Duration(run+1)*20*time.Millisecond)
		}
	}
	return longest
}

// hold has one side hold the call and take it up again.
func (c *talk) hold(from, to *wire.Call, fm, tm *wire.Media) {
	c.p.t.Helper()
	for _, want := range []string{"sendonly", "sendrecv"} {
		answer := map[string]string{"sendonly": "recvonly", "sendrecv": "sendrecv"}[want]
		from.Phone.Send(from.Phone.Text(from.Next("INVITE", fm.SDP(want))))
		asked := to.Phone.Request(5*time.Second, "INVITE")
		to.Phone.Reply(asked, 200, wire.Reply{Contact: to.Phone.Contact(), Body: tm.Answer(asked.Body, answer)})
		to.Acked()
		from.AckTo(from.Phone.Await(5*time.Second, "200 to re-INVITE", func(m wire.Message) bool {
			_, method := m.CSeq()
			return m.Status() == 200 && method == "INVITE" && m.Get("call-id") == from.ID
		}))
	}
}

// bye hangs up from one side and waits for the other's BYE.
func (c *talk) bye(from, to *wire.Call) {
	c.p.t.Helper()
	from.Phone.Send(from.Phone.Text(from.Next("BYE", "")))
	to.Ended(5 * time.Second)
	from.Phone.Await(5*time.Second, "200 to BYE", func(m wire.Message) bool {
		_, method := m.CSeq()
		return m.Status() == 200 && method == "BYE" && m.Get("call-id") == from.ID
	})
	c.am.Stop()
	c.bm.Stop()
}

// records counts the call records of answered calls on both nodes, by id.
func (p *Pair) records() map[string]int {
	p.t.Helper()
	all := map[string]int{}
	for _, name := range []string{"a", "b"} {
		f, err := os.Open(filepath.Join(p.dir, name, "state", "cdr.jsonl"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			p.t.Fatal(err)
		}
		for d := json.NewDecoder(f); ; {
			var r struct {
				Call     string
				Answered *time.Time
			}
			if err := d.Decode(&r); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				p.t.Fatal(err)
			}
			if r.Answered != nil && !r.Answered.IsZero() {
				all[r.Call]++
			}
		}
		_ = f.Close()
	}
	return all
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
