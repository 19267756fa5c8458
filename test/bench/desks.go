//go:build linux

package main

import (
	"bytes"
	"fmt"
	"time"
)

// desks are the called side: every INVITE rings and is answered at once.
type desks struct {
	socket *socket
	first  int   // number of the first
	ports  []int // media port of each desk; a missing one is 42000
	relay  map[int]int
	err    error

	Repeats int // INVITEs of a dialog that was answered before
	seen    map[string]bool
}

func newDesks(s *socket, first int) *desks {
	return &desks{socket: s, first: first, relay: map[int]int{}, seen: map[string]bool{}}
}

// take answers what reaches the called side.
func (d *desks) take(m []byte) {
	method, rest, _ := bytes.Cut(m, []byte(" "))
	switch string(method) {
	case "INVITE":
		id := string(header(m, "Call-ID"))
		if d.seen[id] {
			d.Repeats++
		}
		d.seen[id] = true
		_, user, _ := bytes.Cut(rest[:bytes.IndexByte(rest, ' ')], []byte(":"))
		i := number(user) - d.first
		d.relay[i] = mediaPort(m)
		b := d.answer(m, "180 Ringing")
		d.socket.queue(append(b, "Content-Length: 0\r\n\r\n"...))
		port := 42000
		if i >= 0 && i < len(d.ports) {
			port = d.ports[i]
		}
		d.socket.queue(appendBody(d.answer(m, "200 OK"), d.socket.addr.Addr(), port))
	case "BYE":
		delete(d.seen, string(header(m, "Call-ID")))
		d.socket.queue(append(d.answer(m, "200 OK"), "Content-Length: 0\r\n\r\n"...))
	case "ACK":
	default:
		if status(m) == 0 {
			d.err = fmt.Errorf("an unexpected request to the called: %.120q", m)
		}
	}
}

// answer writes the head of a response with what RFC 3261 §8.2.6 has it copy, and the record of the route.
func (d *desks) answer(m []byte, text string) []byte {
	b := append(append(d.socket.room(), "SIP/2.0 "...), text...)
	b = append(b, "\r\n"...)
	for line := range lines(m) {
		switch {
		case hasName(line, "To"):
			b = append(b, line...)
			if !bytes.Contains(line, []byte(";tag=")) {
				b = append(b, ";tag=d1"...)
			}
		case hasName(line, "Via"), hasName(line, "From"), hasName(line, "Call-ID"), hasName(line, "CSeq"), hasName(line, "Record-Route"):
			b = append(b, line...)
		default:
			continue
		}
		b = append(b, "\r\n"...)
	}
	b = append(append(append(b, "Contact: <sip:desk@"...), d.socket.addr.String()...), ">\r\n"...)
	return b
}

// exchange is both sides of the calls.
type exchange struct {
	callers *callers
	desks   *desks
}

// newExchange binds both sides, and registers as many desks as there are lines, with numbers from first on.
func newExchange(p *peer, domain string, secure bool, first, lines int) (*exchange, error) {
	near, err := p.listen()
	if err != nil {
		return nil, err
	}
	far, err := p.listen()
	if err != nil {
		near.close()
		return nil, err
	}
	x := &exchange{newCallers(near, domain, secure, first, lines), newDesks(far, first)}
	how := open
	if secure {
		how = cached
	}
	if err := newOffice(far, domain, "MD5", how, first, lines).run(time.Now().Add(5*time.Second), 1); err != nil {
		x.close()
		return nil, fmt.Errorf("register the desks: %w", err)
	}
	return x, nil
}

func (x *exchange) close() {
	x.callers.socket.close()
	x.desks.socket.close()
}

// run has calls made: until the end, each line one after the other, or, with hold, one call for each line.
func (x *exchange) run(end time.Time) error {
	c, last := x.callers, time.Now()
	for ; ; last = time.Now() {
		if last.After(end) {
			return nil
		}
		idlers := 0
		for i, l := range c.lines {
			if l.state == idle && (!c.hold || idlers < window && c.busy() < window) {
				c.begin(i)
				idlers++
			}
		}
		x.step()
		if err := x.failed(); err != nil {
			return err
		}
		if c.hold && c.Done >= len(c.lines) {
			return nil
		}
		c.giveUp(last)
	}
}

func (x *exchange) failed() error {
	if x.callers.err != nil {
		return x.callers.err
	}
	return x.desks.err
}

// step moves what waits, or waits for it.
func (x *exchange) step() {
	near, far := x.callers.socket, x.desks.socket
	near.flush()
	far.flush()
	n := far.receive(x.desks.take)
	far.flush()
	n += near.receive(x.callers.take)
	near.flush()
	if n == 0 {
		wait(20*time.Millisecond, near, far)
	}
}

// settle lets the calls in the air end, without beginning new ones.
func (x *exchange) settle() error {
	for end := time.Now().Add(3 * time.Second); x.callers.busy() > 0; x.step() {
		if time.Now().After(end) {
			return fmt.Errorf("%d calls did not end", x.callers.busy())
		}
	}
	return x.failed()
}

// hangUp ends the calls that are held.
func (x *exchange) hangUp() error {
	for i, l := range x.callers.lines {
		if l.state == talking {
			x.callers.hangUp(i)
			if i%16 == 15 {
				x.step()
			}
		}
	}
	return x.settle()
}
