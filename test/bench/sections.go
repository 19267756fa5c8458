//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// warmUp is how long each subject works before it is measured.
const warmUp = 700 * time.Millisecond

// lab is where the servers are: their core, their folder and the binary measured.
type lab struct {
	dir, binary string
	core        int
	rounds      int
	length      time.Duration
	calls       int // held while packets are measured
}

// signalling is the SIP servers: the switch, kamailio as Debian ships it, and kamailio with its fast allocator.
type signalling struct{ tandem, kamailio, fast *peer }

// withServers runs work while they are up.
func (l *lab) withServers(work func(s *signalling) error) (err error) {
	var s signalling
	for _, x := range []struct {
		at    **peer
		begin func() (*peer, error)
	}{
		{&s.tandem, func() (*peer, error) { return startTandem(l.dir, l.core, l.binary, servers) }},
		{&s.kamailio, func() (*peer, error) { return startKamailio(l.dir, l.core, false) }},
		{&s.fast, func() (*peer, error) { return startKamailio(l.dir, l.core, true) }},
	} {
		if *x.at, err = x.begin(); *x.at != nil {
			defer (*x.at).stop()
		}
		if err != nil {
			return err
		}
	}
	if err = work(&s); err != nil {
		err = fmt.Errorf("%w\ntandem: %s\nkamailio: %s%s", err, s.tandem.tail(), s.kamailio.tail(), s.fast.tail())
	}
	return err
}

// What is done for a REGISTER.
const (
	doesTandem   = "MD5 digest with qop, signed stateless nonce, nonce count, who may register what, binding, 200"
	doesKamailio = "MD5 digest with qop (pv_www_authenticate), nonce_count, save(), 200"
)

// registrations measures a REGISTER.
func (l *lab) registrations() (*section, error) {
	s := &section{Title: "CPU per REGISTER", Unit: "registrations", Aims: []*aim{
		{Ours: "tandem, cached nonce", Theirs: "kamailio, cached nonce", Most: 0.6},
		{Ours: "tandem, 401 round", Theirs: "kamailio, 401 round", Most: 0.6},
		{Ours: "tandem, cached nonce", Theirs: "kamailio fm, cached nonce"},
		{Ours: "tandem, 401 round", Theirs: "kamailio fm, 401 round"},
		{Ours: "tandem, cached nonce", Theirs: "kamailio, no password"},
	}}
	return s, l.withServers(func(p *signalling) error {
		for _, x := range []struct {
			name, does, algorithm, domain string
			peer                          *peer
			how                           manner
			office                        int
		}{
			{"tandem, cached nonce", doesTandem, "MD5", realm, p.tandem, cached, 0},
			{"kamailio, cached nonce", doesKamailio, "MD5", realm, p.kamailio, cached, 0},
			{"kamailio fm, cached nonce", "the same with its fast allocator (-x fm -X fm)", "MD5", realm, p.fast, cached, 0},
			{"tandem, 401 round", "a 401 that offers SHA-256 and MD5, then the same as cached", "MD5", realm, p.tandem, challenged, 1},
			{"kamailio, 401 round", "a 401 that offers MD5, then the same as cached", "MD5", realm, p.kamailio, challenged, 1},
			{"kamailio fm, 401 round", "the same with its fast allocator", "MD5", realm, p.fast, challenged, 1},
			{"tandem, cached, SHA-256", "as cached, with SHA-256 for MD5", "SHA-256", realm, p.tandem, cached, 2},
			{"kamailio, no password", "save() and 200, nothing is proven: the lower line, which the switch does not offer", "", openDomain,
				p.kamailio, open, 2},
		} {
			sock, err := x.peer.listen()
			if err != nil {
				return err
			}
			defer sock.close()
			o := newOffice(sock, x.domain, x.algorithm, x.how, firstPhone+x.office*phones/3, phones/3)
			if err := o.run(time.Now().Add(5*time.Second), 1); err != nil {
				return fmt.Errorf("%s: %w", x.name, err)
			}
			s.Subjects = append(s.Subjects, &subject{Name: x.name, Does: x.does, cpu: x.peer.cpu, round: o.round})
		}
		return s.measure(l.rounds, l.length)
	})
}

// round is one round of registrations.
func (o *office) round(d time.Duration) (units, lost int, err error) {
	done, stale, repeats := o.Done, o.Stale, o.Repeats
	err = o.run(time.Now().Add(d), 0)
	units = o.Done - done
	o.settle()
	if o.Stale-stale > units/50 {
		err = errors.Join(err, fmt.Errorf("%d of %d nonces were not taken", o.Stale-stale, units))
	}
	return units, o.Repeats - repeats, err
}

// callSection measures a whole call, with a window of lines that call at once.
func (l *lab) callSection() (*section, error) {
	s := &section{Title: "CPU per call (INVITE, 180, 200, ACK, BYE, 200)", Unit: "calls", Aims: []*aim{
		{Ours: "tandem, B2BUA", Theirs: "kamailio, proxy", Most: 1.5},
		{Ours: "tandem, B2BUA", Theirs: "kamailio fm, proxy"},
		{Ours: "tandem, B2BUA", Theirs: "kamailio, proxy, no password"},
	}}
	const does = "digest, lookup(), record_route(), t_relay(): one dialog passes through, no SDP, no media, no CDR"
	return s, l.withServers(func(p *signalling) error {
		for _, x := range []struct {
			name, does, domain string
			peer               *peer
			secure             bool
			first              int // desk; kamailio would ring both who have the same
		}{
			{"tandem, B2BUA", "digest, plan, two dialogs, new SDP on each leg, four media ports bound and joined, CDR", realm, p.tandem, true,
				firstDesk},
			{"kamailio, proxy", does, realm, p.kamailio, true, firstDesk},
			{"kamailio fm, proxy", "the same with its fast allocator (-x fm -X fm)", realm, p.fast, true, firstDesk},
			{"kamailio, proxy, no password", "the same as kamailio, proxy without digest", openDomain, p.kamailio, false, firstDesk + window},
		} {
			e, err := newExchange(x.peer, x.domain, x.secure, x.first, window)
			if err != nil {
				return fmt.Errorf("%s: %w", x.name, err)
			}
			defer e.close()
			if _, _, err := e.round(warmUp); err != nil {
				return fmt.Errorf("%s: %w", x.name, err)
			}
			s.Subjects = append(s.Subjects, &subject{Name: x.name, Does: x.does, cpu: x.peer.cpu, round: e.round})
		}
		return s.measure(l.rounds, l.length)
	})
}

// round is one round of calls, the last of which have ended.
func (x *exchange) round(d time.Duration) (units, lost int, err error) {
	c := x.callers
	done, failed, repeats := c.Done, c.Failed, x.desks.Repeats
	if err = x.run(time.Now().Add(d)); err == nil {
		err = x.settle()
	}
	return c.Done - done, c.Failed - failed + x.desks.Repeats - repeats, err
}

// packets measures a relayed RTP packet: calls set up by SIP through the binary, and the same through rtpengine's ng port.
func (l *lab) packets() (*section, error) {
	s := &section{Title: fmt.Sprintf("CPU per relayed RTP packet (%d calls, 50 packets/s each way, G.711)", l.calls), Unit: "packets", Aims: []*aim{
		{Ours: "tandem", Theirs: "rtpengine", Most: 0.9},
	}}
	t, err := startTandem(l.dir, l.core, l.binary, servers)
	if t != nil {
		defer t.stop()
	}
	if err != nil {
		return s, err
	}
	e, err := startEngine(l.dir, l.core)
	if e != nil {
		defer e.stop()
	}
	if err != nil {
		return s, err
	}
	ours, hangUp, err := l.throughTandem(t)
	if err != nil {
		return s, err
	}
	defer ours.close()
	theirs, err := l.throughEngine(e)
	if err != nil {
		return s, err
	}
	defer theirs.close()
	s.Subjects = []*subject{
		{Name: "tandem", Does: "strict source, header checked, loss and jitter counted, payload numbers mapped; one event loop", cpu: t.cpu, round: ours.round},
		{Name: "rtpengine", Does: "userspace (--table=-1), one thread, trust-address, no SRTP, no ICE", cpu: e.cpu, round: theirs.round},
	}
	for _, x := range s.Subjects {
		if _, _, err := x.round(warmUp); err != nil {
			return s, fmt.Errorf("%s: %w", x.Name, err)
		}
	}
	// Longer rounds: the CPU of a second of packets is some twenty ticks of the clock that it is read by.
	if err := s.measure(l.rounds, 3*l.length/2); err != nil {
		return s, err
	}
	return s, hangUp()
}

// throughTandem sets up the calls by SIP.
func (l *lab) throughTandem(t *peer) (e *ends, hangUp func() error, err error) {
	if e, err = newEnds(l.calls); err != nil {
		return nil, nil, err
	}
	x, err := newExchange(t, realm, true, firstDesk, l.calls)
	if err != nil {
		return nil, nil, err
	}
	x.callers.hold = true
	for i, line := range x.callers.lines {
		line.port = e.ports[2*i]
		x.desks.ports = append(x.desks.ports, e.ports[2*i+1])
	}
	if err := x.run(time.Now().Add(10 * time.Second)); err != nil {
		return nil, nil, err
	}
	x.step() // the last ACK
	for i, line := range x.callers.lines {
		a := netip.AddrPortFrom(t.sip.Addr(), uint16(line.relay))
		b := netip.AddrPortFrom(t.sip.Addr(), uint16(x.desks.relay[i]))
		if err := errors.Join(e.connect(2*i, a), e.connect(2*i+1, b)); err != nil {
			return nil, nil, err
		}
	}
	return e, func() error { defer x.close(); return x.hangUp() }, nil
}

// throughEngine sets the calls up through the ng port.
func (l *lab) throughEngine(eng *engine) (*ends, error) {
	e, err := newEnds(l.calls)
	if err != nil {
		return nil, err
	}
	for i := range l.calls {
		a, b, err := eng.call(i, e.ports[2*i], e.ports[2*i+1])
		if err != nil {
			return nil, err
		}
		err = errors.Join(e.connect(2*i, netip.AddrPortFrom(servers, uint16(a))), e.connect(2*i+1, netip.AddrPortFrom(servers, uint16(b))))
		if err != nil {
			return nil, err
		}
	}
	return e, nil
}

// round is one round of packets.
func (e *ends) round(d time.Duration) (units, lost int, err error) {
	sent, got, strange := e.Sent, e.Got, e.Strange
	e.run(d)
	if e.Strange > strange {
		err = fmt.Errorf("%d packets came out at the wrong end", e.Strange-strange)
	}
	return e.Got - got, e.Sent - sent - (e.Got - got), err
}
