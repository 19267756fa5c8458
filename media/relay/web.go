package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"

	"tandem/media/ice"
	"tandem/media/rtp"
	"tandem/media/secure"
)

// ErrNoWeb says that no port for browsers is configured.
var ErrNoWeb = errors.New("relay: no port for browser legs")

// WebConfig says where browsers send media.
type WebConfig struct {
	Port        uint16           // UDP, one for all browser legs; 0: none
	TCP         bool             // the same number for TCP (RFC 6544), where it can be had
	Certificate *tls.Certificate // shown to browsers; nil: made anew
}

// A web is what the legs of browsers have in common: one UDP port on each local address, and who is where. Legs are told apart by the username
// fragment of their ICE checks and then by the address that a verified check came from. It belongs to one loop, and so do all its legs; a
// phone that is joined to one of them comes over.
type web struct {
	relay *Relay
	loop  *Loop
	port  uint16
	tcp   bool
	cert  tls.Certificate

	fronts    map[netip.Addr]*socket // by local address; bounded by maxAddresses
	listeners map[netip.Addr]*socket // the same for TCP, where it could be had
	streams   map[*socket]struct{}   // connections; maxStrangers, and maxPaths for a leg
	ufrags    map[string]*Port       // two for a leg at most
	places    map[place]*Port        // maxPaths for a leg at most
	responder ice.Responder

	shaking    atomic.Int32 // handshakes under way
	handshakes sync.WaitGroup
}

// A place is where a browser was checked: its address, and which of our sockets it speaks to.
type place struct {
	via  *socket
	addr netip.AddrPort
}

func (r *Relay) newWeb(c WebConfig) error {
	if c.Certificate == nil {
		cert, err := secure.NewCertificate()
		if err != nil {
			return fmt.Errorf("relay: certificate: %w", err)
		}
		c.Certificate = &cert
	}
	r.web = &web{
		relay: r, loop: r.loops[0], port: c.Port, tcp: c.TCP, cert: *c.Certificate,
		listeners: make(map[netip.Addr]*socket), streams: make(map[*socket]struct{}),
		fronts: make(map[netip.Addr]*socket), ufrags: make(map[string]*Port), places: make(map[place]*Port),
	}
	r.web.loop.sweep = r.web.sweep
	return nil
}

// A Front is where browsers reach us on one address.
type Front struct {
	Addr netip.Addr
	TCP  bool // by TCP too
}

// Fingerprint is that of the certificate that we show to browsers.
func (r *Relay) Fingerprint() secure.Fingerprint {
	return secure.FingerprintOf(r.web.cert.Certificate[0])
}

// OpenWeb opens a leg for a browser on the port for browsers of each local address; the first is the one that its packets come from until a
// check says otherwise, and must be there; bound are those that are. own are the credentials in the first description. ErrNoWeb, and what the kernel says.
func (r *Relay) OpenWeb(locals []netip.Addr, own ice.Credentials, events func(Event)) (p *Port, bound []Front, err error) {
	w := r.web
	if w.port == 0 || len(locals) == 0 {
		return nil, nil, ErrNoWeb
	}
	p = r.newPort(netip.AddrPortFrom(locals[0], w.port), events, rand.Uint32(), cname())
	p.mu.Lock()
	defer p.mu.Unlock()
	w.loop.do(func() {
		for _, local := range locals {
			if failed := w.listen(local, false); failed == nil {
				bound = append(bound, Front{local, w.listeners[local] != nil})
			} else if len(bound) == 0 {
				err = failed
				return
			}
		}
		p.web = newBrowser(w, own, w.loop.now)
		if err = w.loop.adopt(p); err == nil {
			w.ufrags[own.Ufrag] = p
		}
	})
	if err != nil {
		p.closed = true
		return nil, nil, err
	}
	return p, bound, nil
}

// listen opens the port on an address, once and for good: browsers come again. away: the address need not be one of this machine yet.
func (w *web) listen(local netip.Addr, away bool) error {
	if w.fronts[local] != nil {
		return nil
	}
	if len(w.fronts) >= maxAddresses {
		return fmt.Errorf("relay: more than %d local addresses", maxAddresses)
	}
	addr := netip.AddrPortFrom(local, w.port)
	s, err := bind(addr, browserUDP, away)
	if err != nil {
		return fmt.Errorf("relay: bind %s for browsers: %w", addr, err)
	}
	s.web, s.local = w, addr
	s.widen()
	if err := w.loop.watch(s); err != nil {
		s.close()
		return err
	}
	w.fronts[local] = s
	w.listenTCP(addr, away)
	return nil
}

// listenTCP opens the TCP port beside it. Without it browsers go without: another program may have it.
func (w *web) listenTCP(addr netip.AddrPort, away bool) {
	if !w.tcp {
		return
	}
	s, err := listenTCP(addr, away)
	if err == nil {
		s.web = w
		if err = w.loop.watch(s); err != nil {
			s.close()
		}
	}
	if err != nil {
		w.relay.log.Warn("browsers cannot reach us by TCP", "address", addr, "err", err)
		return
	}
	w.listeners[addr.Addr()] = s
}

// shut closes the ports; the legs are closed before. Called when the loops have ended.
func (w *web) shut() {
	for _, s := range w.fronts {
		w.loop.unwatch(s)
		s.close()
	}
	for _, s := range w.listeners {
		w.loop.unwatch(s)
		s.close()
	}
	for s := range w.streams {
		w.hangUp(s)
	}
	clear(w.fronts)
	clear(w.listeners)
}

// receive takes a datagram of n bytes, which lies in buf, on a port for browsers.
func (w *web) receive(s *socket, buf []byte, n int, from netip.AddrPort) {
	l := w.loop
	l.total.PacketsIn++
	l.total.BytesIn += uint64(n)
	if n > rtp.MaxPacket {
		l.total.Drops[DropOversize]++
		return
	}
	b := buf[:n]
	kind := rtp.Demux(b)
	if kind == rtp.KindSTUN {
		w.check(b, s, from)
		return
	}
	p := w.places[place{s, from}]
	if p == nil { // nobody who was checked: neither RTP nor a ClientHello is looked at
		l.total.Drops[DropSource]++
		return
	}
	switch kind {
	case rtp.KindRTP:
		p.receiveWeb(b, place{s, from})
	case rtp.KindRTCP:
		p.receiveRTCP(b, from)
	case rtp.KindDTLS:
		p.web.receiveDTLS(p, b)
	default:
		p.drop(DropNotMedia)
	}
}

// check answers a connectivity check. What does not verify is met with silence and changes nothing.
func (w *web) check(b []byte, s *socket, from netip.AddrPort) {
	l := w.loop
	ufrag, ok := w.responder.Open(b)
	p := w.ufrags[string(ufrag)]
	if !ok || p == nil {
		l.total.Drops[DropCheck]++
		return
	}
	own, peer := p.web.credentials(ufrag)
	check, verdict, answer := w.responder.Answer(from, own, peer)
	if verdict == ice.Silent {
		p.drop(DropCheck)
		return
	}
	if !p.web.checks.allow(l.now) {
		p.drop(DropRate)
		return
	}
	to := makeEndpoint(s.local.Addr(), from)
	if l.send(s, answer, &to) {
		l.total.PacketsOut++
		l.total.BytesOut += uint64(len(answer))
	}
	if verdict == ice.Accepted {
		p.web.checked(p, check, place{s, from}, to, own)
	}
}

// claim notes that a leg was checked from a place. One that another leg has proved to be its own by authentic media stays that leg's: a check
// can be sent from a forged address by anybody who has a leg.
func (w *web) claim(p *Port, at place) bool {
	if q := w.places[at]; q != nil && q != p {
		if q.web.holds(at, w.loop.now) {
			return false
		}
		q.web.leave(at)
	}
	w.places[at] = p
	return true
}

// forget removes a leg that is closed.
func (w *web) forget(p *Port) {
	b := p.web
	for _, c := range []ice.Credentials{b.own, b.before} {
		if w.ufrags[c.Ufrag] == p {
			delete(w.ufrags, c.Ufrag)
		}
	}
	for i := range b.paths {
		if w.places[b.paths[i].at] == p {
			delete(w.places, b.paths[i].at)
		}
	}
	paths := b.paths
	b.paths, b.at = nil, -1
	for i := range paths {
		if s := paths[i].at.via; s.stream != nil && s.stream.owner == p {
			w.hangUp(s)
		}
	}
	b.abandon()
}

// Browsers is how many username fragments and checked places are known, for tests and metrics.
func (r *Relay) Browsers() (ufrags, places int) {
	r.web.loop.do(func() { ufrags, places = len(r.web.ufrags), len(r.web.places) })
	return ufrags, places
}
