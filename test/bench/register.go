//go:build linux

package main

import (
	"fmt"
	"strconv"
	"time"
)

// window is how many phones wait for an answer at any time.
const window = 64

// manner is how the phones refresh their registrations.
type manner int

const (
	open       manner = iota // without credentials, where a server takes that
	cached                   // with the nonce of the last challenge, counted up
	challenged               // a request without credentials, 401, and the request with them
)

// phone is one registered phone.
type phone struct {
	credentials *credentials
	cseq        int
	waits       bool // for an answer
	proven      bool // its request in the air has credentials
}

// office is a number of phones that refresh their registrations, a window of them at a time.
type office struct {
	socket *socket
	domain string
	first  int // number of the first phone; offices at one server have phones of their own
	manner manner
	// each request has another User-Agent, so that its binding changes
	changes bool
	phones  []*phone
	next    int
	air     int
	err     error

	Done    int // registrations confirmed
	Stale   int // cached nonces that the server did not take any more
	Repeats int // windows sent again after silence
}

// Numbers of the first phone that registers or calls, and of the first that is called.
const (
	firstPhone = 100000
	firstDesk  = 200000
)

// newOffice makes phones with numbers from first on, whose contact is the socket.
func newOffice(s *socket, domain, algorithm string, how manner, first, count int) *office {
	o := &office{socket: s, domain: domain, first: first, manner: how}
	for i := range count {
		o.phones = append(o.phones, &phone{credentials: newCredentials(strconv.Itoa(first+i), algorithm, "sip:"+domain)})
	}
	return o
}

// send writes the next REGISTER of a phone.
func (o *office) send(i int) {
	p := o.phones[i]
	p.cseq++
	p.waits = true
	user, cseq, at := p.credentials.user, strconv.Itoa(p.cseq), o.socket.addr.String()
	b := o.socket.room()
	b = append(append(b, "REGISTER sip:"...), o.domain...)
	b = append(append(b, " SIP/2.0\r\nVia: SIP/2.0/UDP "...), at...)
	b = append(append(append(append(b, ";branch=z9hG4bK"...), user...), 'x'), cseq...)
	b = append(append(b, ";rport\r\nMax-Forwards: 70\r\nFrom: \"Phone\" <sip:"...), user...)
	b = append(append(append(append(b, '@'), o.domain...), ">;tag=t"...), user...)
	b = append(append(append(append(b, "\r\nTo: <sip:"...), user...), '@'), o.domain...)
	b = append(append(append(append(b, ">\r\nCall-ID: "...), user...), "@"...), o.socket.addr.Addr().String()...)
	b = append(append(append(b, "\r\nCSeq: "...), cseq...), " REGISTER\r\nContact: <sip:"...)
	b = append(append(append(append(b, user...), '@'), at...), ">\r\n"...)
	if p.proven = o.manner != open && p.credentials.nonce != ""; p.proven {
		b = p.credentials.appendHeader(b, "REGISTER")
	}
	b = append(b, "Expires: 3600\r\nUser-Agent: ExamplePhone 5.4.1"...)
	if o.changes {
		b = append(b, cseq...)
	}
	b = append(b, "\r\nSupported: path, outbound\r\n"+
		"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE\r\nContent-Length: 0\r\n\r\n"...)
	o.socket.queue(b)
}

// take reads an answer: the phone is found by its Call-ID.
func (o *office) take(m []byte) {
	i := number(header(m, "Call-ID")) - o.first
	if i < 0 || i >= len(o.phones) || !o.phones[i].waits || number(header(m, "CSeq")) != o.phones[i].cseq {
		return
	}
	p := o.phones[i]
	switch status(m) {
	case 200:
		p.waits = false
		o.air--
		o.Done++
		if o.manner == challenged {
			p.credentials.nonce = ""
		}
	case 401:
		if p.proven {
			o.Stale++
		}
		if err := p.credentials.challenged(m); err != nil {
			o.err = err
		}
		o.send(i)
	default:
		o.err = fmt.Errorf("REGISTER refused: %.120q", m)
	}
}

// run keeps the window full until the end, or until every phone has registered limit times when limit is not 0.
func (o *office) run(end time.Time, limit int) error {
	target := len(o.phones) * limit
	last := time.Now()
	for o.err == nil && (limit == 0 || o.Done < target) {
		now := time.Now()
		if now.After(end) {
			break
		}
		for o.air < min(window, len(o.phones)) && (limit == 0 || o.Done+o.air < target) {
			for o.phones[o.next].waits {
				o.next = (o.next + 1) % len(o.phones)
			}
			o.send(o.next)
			o.next = (o.next + 1) % len(o.phones)
			o.air++
		}
		o.socket.flush()
		if o.socket.receive(o.take) > 0 {
			last = now
			continue
		}
		if now.Sub(last) > time.Second {
			o.again()
			last = now
		}
		wait(50*time.Millisecond, o.socket)
	}
	return o.err
}

// again sends what had no answer once more, as new requests.
func (o *office) again() {
	o.Repeats++
	for i, p := range o.phones {
		if p.waits {
			o.send(i)
		}
	}
}

// settle waits until nothing is in the air, so that the next subject has the machine for itself.
func (o *office) settle() {
	for end := time.Now().Add(time.Second); o.air > 0 && time.Now().Before(end); {
		o.socket.flush()
		o.socket.receive(func(m []byte) {
			i := number(header(m, "Call-ID")) - o.first
			if i >= 0 && i < len(o.phones) && o.phones[i].waits {
				o.phones[i].waits = false
				o.air--
			}
		})
		wait(20*time.Millisecond, o.socket)
	}
	o.air = 0
	for _, p := range o.phones {
		p.waits = false
	}
}
