//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"time"
)

// build is one binary of the switch.
type build struct {
	name, binary string
	host         netip.Addr
}

// comparison is two builds of the switch side by side: what did a change bring?
type comparison struct {
	*lab
	builds []build
}

// each has both builds up, makes a subject of each and measures them in turn.
func (c *comparison) each(title, unit string, make func(p *peer) (*subject, func(), error)) (*section, error) {
	s := &section{Title: title, Unit: unit, Aims: []*aim{{Ours: c.builds[0].name, Theirs: c.builds[1].name}}}
	for _, b := range c.builds {
		p, err := startTandem(c.dir, c.core, b.binary, b.host)
		if p != nil {
			defer p.stop()
		}
		if err != nil {
			return s, err
		}
		x, end, err := make(p)
		if err != nil {
			return s, fmt.Errorf("%s: %w\n%s", b.name, err, p.tail())
		}
		defer end()
		x.Name, x.Does, x.cpu = b.name, b.binary, p.cpu
		s.Subjects = append(s.Subjects, x)
	}
	return s, s.measure(c.rounds, c.length)
}

func (c *comparison) registrations() (*section, error) {
	return c.each("CPU per REGISTER, cached nonce", "registrations", func(p *peer) (*subject, func(), error) {
		sock, err := p.listen()
		if err != nil {
			return nil, nil, err
		}
		o := newOffice(sock, realm, "MD5", cached, firstPhone, phones/3)
		return &subject{round: o.round}, sock.close, o.run(time.Now().Add(5*time.Second), 1)
	})
}

func (c *comparison) calls() (*section, error) {
	return c.each("CPU per call", "calls", func(p *peer) (*subject, func(), error) {
		x, err := newExchange(p, realm, true, firstDesk, window)
		if err != nil {
			return nil, nil, err
		}
		_, _, err = x.round(warmUp)
		return &subject{round: x.round}, x.close, err
	})
}

func (c *comparison) packets() (*section, error) {
	return c.each("CPU per relayed RTP packet", "packets", func(p *peer) (*subject, func(), error) {
		e, hangUp, err := c.throughTandem(p)
		if err != nil {
			return nil, nil, err
		}
		_, _, err = e.round(warmUp)
		return &subject{round: e.round}, func() { _ = hangUp(); e.close() }, err
	})
}
