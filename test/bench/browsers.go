//go:build linux

package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A relay is one of the two, as a process under load.
type relay struct {
	*process
	in   io.WriteCloser
	out  *bufio.Scanner
	legs []int
}

// startRelay runs this program once more as a relay on the servers' core.
func (l *lab) startRelay(kind string) (*relay, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, in, out, err := startTalking(l.dir, l.core, "relay-"+kind, self, "-serve", kind)
	if err != nil {
		return nil, err
	}
	r := &relay{process: p, in: in, out: bufio.NewScanner(out)}
	r.out.Buffer(nil, 1<<20)
	return r, nil
}

func (r *relay) ask(q question) (a reply, err error) {
	if err = json.NewEncoder(r.in).Encode(q); err != nil {
		return a, err
	}
	if !r.out.Scan() {
		return a, errors.Join(fmt.Errorf("%s is gone: %s", r.name, r.tail()), r.out.Err())
	}
	if err = json.Unmarshal(r.out.Bytes(), &a); err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return a, err
}

// browsers are the ends of browser legs.
type browsers struct {
	*ends
	relay *relay
	legs  []*leg
	next  time.Time // of the checks that keep the consent alive
}

// open sets up calls of two browser legs each.
func (r *relay) open(calls int, c *tls.Certificate) (*browsers, error) {
	e, err := newEnds(calls)
	if err != nil {
		return nil, err
	}
	b := &browsers{ends: e, relay: r}
	for i := range 2 * calls {
		l := newLeg(c)
		if err := r.connect(l, e.fds[i]); err != nil {
			e.close()
			return nil, fmt.Errorf("%s: leg %d: %w", r.name, i, err)
		}
		b.legs = append(b.legs, l)
		if i%2 == 1 {
			if _, err := r.ask(question{Do: "join", A: r.legs[len(r.legs)-2], B: r.legs[len(r.legs)-1]}); err != nil {
				e.close()
				return nil, err
			}
		}
	}
	e.seal = func(i int, p []byte) []byte {
		out, err := b.legs[i].seal.EncryptRTP(nil, p, nil)
		if err != nil {
			return nil
		}
		return out
	}
	e.unseal = func(i int, p []byte) []byte {
		if p[0]>>6 != 2 || p[1] >= 192 && p[1] <= 223 { // an answer to a check, a flight that came again, a report
			return nil
		}
		out, err := b.legs[i].open.DecryptRTP(nil, p, nil)
		if err != nil {
			e.Strange++
			return nil
		}
		return out
	}
	return b, nil
}

// connect brings one leg up.
func (r *relay) connect(l *leg, fd int) error {
	a, err := r.ask(question{Do: "leg", SDP: l.offer()})
	if err != nil {
		return err
	}
	r.legs = append(r.legs, a.Leg)
	if err := l.answered(a.SDP); err != nil {
		return err
	}
	to := &unix.SockaddrInet4{Addr: l.relay.Addr().As4(), Port: int(l.relay.Port())}
	if err := unix.Connect(fd, to); err != nil {
		return err
	}
	return l.connect(fd)
}

// round is one round of packets, with a check of each leg before it.
func (b *browsers) round(d time.Duration) (units, lost int, err error) {
	if now := time.Now(); now.After(b.next) {
		b.next = now.Add(4 * time.Second)
		for i, l := range b.legs {
			check, err := l.check()
			if err != nil {
				return 0, 0, err
			}
			_, _ = unix.Write(b.fds[i], check)
		}
	}
	return b.ends.round(d)
}

// browserPackets measures a packet that is relayed between two browsers, and what a leg holds.
func (l *lab) browserPackets() (*section, error) {
	const legs = 200
	s := &section{Title: fmt.Sprintf("CPU per relayed packet between browsers (%d legs, 50 packets/s each, DTLS-SRTP)", legs), Unit: "packets", Aims: []*aim{
		{Ours: "tandem", Theirs: "PeerConnection", Most: 0.45},
	}}
	c, err := legCertificate()
	if err != nil {
		return s, err
	}
	for _, x := range []struct{ name, kind, does string }{
		{"tandem", "media", "one port, ICE-lite, AES-GCM opened, counted, numbered anew and sealed; one event loop"},
		{"PeerConnection", "pion", "pion/webrtc as it comes, ICE-lite; ReadRTP of one leg, WriteRTP of the other"},
	} {
		r, err := l.startRelay(x.kind)
		if err != nil {
			return s, err
		}
		defer r.stop()
		defer r.in.Close()
		// What the first leg brings along (tables, a certificate, code that runs once) is no leg's.
		if _, err := r.open(1, c); err != nil {
			return s, err
		}
		before, err := r.ask(question{Do: "stats"})
		if err != nil {
			return s, err
		}
		b, err := r.open(legs/2, c)
		if err != nil {
			return s, err
		}
		defer b.close()
		if _, _, err := b.round(warmUp); err != nil {
			return s, fmt.Errorf("%s: %w", x.name, err)
		}
		settled := time.Now().Add(9 * time.Second) // a last flight is kept for some seconds
		for time.Now().Before(settled) {
			if _, _, err := b.round(time.Second); err != nil {
				return s, fmt.Errorf("%s: %w", x.name, err)
			}
		}
		after, err := r.ask(question{Do: "stats"})
		if err != nil {
			return s, err
		}
		s.Notes = append(s.Notes, fmt.Sprintf("%s: %.1f KB and %.2f goroutines a leg", x.name,
			float64(int64(after.Memory)-int64(before.Memory))/legs/1024, float64(after.Goroutines-before.Goroutines)/legs))
		s.Subjects = append(s.Subjects, &subject{Name: x.name, Does: x.does, cpu: r.cpu, round: b.round})
	}
	return s, s.measure(l.rounds, 3*l.length/2)
}

// setups measures the way to the first packet: description, ICE check, DTLS handshake, keys, end.
func (l *lab) setups() (*section, error) {
	s := &section{Title: "CPU per browser leg set up (offer, answer, ICE check, DTLS handshake, keys, closed)", Unit: "set-ups", Aims: []*aim{
		{Ours: "tandem", Theirs: "PeerConnection"},
	}}
	c, err := legCertificate()
	if err != nil {
		return s, err
	}
	for _, x := range []struct{ name, kind string }{{"tandem", "media"}, {"PeerConnection", "pion"}} {
		r, err := l.startRelay(x.kind)
		if err != nil {
			return s, err
		}
		defer r.stop()
		defer r.in.Close()
		u := &setup{relay: r, certificate: c}
		if _, _, err := u.round(warmUp); err != nil {
			return s, fmt.Errorf("%s: %w", x.name, err)
		}
		s.Subjects = append(s.Subjects, &subject{Name: x.name, Does: "a load of four at once, which share the other core", cpu: r.cpu, round: u.round})
	}
	if err := s.measure(l.rounds, l.length); err != nil {
		return s, err
	}
	for _, x := range s.Subjects {
		s.Notes = append(s.Notes, fmt.Sprintf("%s: %s set-ups a second and core", x.Name, strconv.Itoa(int(1e6/x.Median))))
	}
	return s, nil
}

// setup brings legs up and down.
type setup struct {
	relay       *relay
	certificate *tls.Certificate
	mu          sync.Mutex // one question at a time
}

func (u *setup) round(d time.Duration) (units, lost int, err error) {
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 4 {
		wg.Go(func() {
			for time.Now().Before(end) {
				failed := u.one()
				mu.Lock()
				if failed == nil {
					units++
				} else {
					lost, err = lost+1, failed
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if lost <= units/50 { // a lost datagram costs a try, and says nothing about the rest
		err = nil
	}
	return units, lost, err
}

func (u *setup) ask(q question) (reply, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.relay.ask(q)
}

func (u *setup) one() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: generator.As4()}); err != nil {
		return err
	}
	l := newLeg(u.certificate)
	a, err := u.ask(question{Do: "leg", SDP: l.offer()})
	if err != nil {
		return err
	}
	defer func() { _, _ = u.ask(question{Do: "close", A: a.Leg}) }()
	if err := l.answered(a.SDP); err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: l.relay.Addr().As4(), Port: int(l.relay.Port())}); err != nil {
		return err
	}
	return l.connect(fd)
}
