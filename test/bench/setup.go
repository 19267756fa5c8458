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
	in  io.WriteCloser
	out *bufio.Scanner
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
