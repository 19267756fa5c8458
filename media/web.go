package media

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"tandem/media/ice"
	"tandem/media/relay"
	"tandem/media/sdp"
	"tandem/media/secure"
)

// ErrNoWeb says that no port for browsers is configured.
var ErrNoWeb = relay.ErrNoWeb

// maxCandidates bounds the addresses that one description names.
const maxCandidates = 8

// IsWeb tells whether a session description is that of a browser: its audio is UDP/TLS/RTP/SAVPF. A leg that it comes by is to be made with
// Options.Web.
func IsWeb(body []byte) bool { return sdp.IsWeb(body) }

// A web is the browser's part of a session, as a plain value: what both sides are known by.
type web struct {
	fingerprint string // of our certificate
	candidates  []netip.AddrPort
	ssrc        uint32
	cname       string

	own          ice.Credentials
	peer         ice.Credentials // zero: not known yet
	role         string          // ours, passive or active; empty: not agreed yet
	fingerprints []string        // the browser's
	tlsID        string
	association  int // counts the DTLS associations agreed on
}

// openWeb gives the session its place on the port for browsers.
func (s *Session) openWeb(local netip.Addr) error {
	w := &web{own: ice.NewCredentials(), fingerprint: s.engine.relay.Fingerprint().String()}
	show, err := s.engine.show(s.opts.Advertise, local)
	if err != nil {
		return err
	}
	port, bound, err := s.engine.relay.OpenWeb(s.engine.webAddresses(local), w.own, hear(s.opts.Events))
	if err != nil {
		return err
	}
	s.port, s.web = port, w
	s.shown = netip.AddrPortFrom(show, port.Local().Port())
	w.candidates = []netip.AddrPort{s.shown}
	for _, addr := range bound {
		if addr != local && len(w.candidates) < maxCandidates {
			w.candidates = append(w.candidates, netip.AddrPortFrom(addr, s.shown.Port()))
		}
	}
	w.ssrc, w.cname = port.SSRC(), port.CNAME()
	return nil
}

// webAddresses are the local addresses that a browser may reach us at: the one that its signalling came to, and behind a loopback address, which
// is a proxy or a page on this machine, those of every interface.
func (e *Engine) webAddresses(local netip.Addr) []netip.Addr {
	out := []netip.Addr{local}
	if !local.IsLoopback() {
		return out
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return out
	}
	for _, a := range list {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		addr := prefix.Addr().Unmap()
		if addr.IsGlobalUnicast() && len(out) < maxCandidates && !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	return out
}

// describe is our part of a description.
func (w *web) describe() *sdp.Web {
	return &sdp.Web{
		Ufrag: w.own.Ufrag, Pwd: w.own.Pwd, Fingerprints: []string{w.fingerprint}, Setup: w.role, Lite: true,
		Candidates: w.candidates, SSRC: w.ssrc, CNAME: w.cname,
	}
}

// offered is the state in which an offer is answered: a browser that restarts ICE gets new credentials of ours (RFC 8839 §4.4.3).
func (w web) offered(peer *sdp.Web) *web {
	if w.peer != (ice.Credentials{}) && w.peer != (ice.Credentials{Ufrag: peer.Ufrag, Pwd: peer.Pwd}) {
		w.own = ice.NewCredentials()
	}
	return &w
}

// agreed is the state after offer and answer. Another certificate, identity or role of the browser is a new DTLS association
// (RFC 8842 §4); all else goes on with the keys that are there.
func (w web) agreed(a *sdp.Agreed) (*web, *relay.WebSettings, error) {
	peer := ice.Credentials{Ufrag: a.Web.Ufrag, Pwd: a.Web.Pwd}
	if err := peer.Check(); err != nil {
		return nil, nil, err
	}
	if a.Web.Lite {
		return nil, nil, errors.New("two lite agents: nobody would send a check")
	}
	var prints []secure.Fingerprint
	var failure error
	for _, line := range a.Web.Fingerprints {
		if f, err := secure.ParseFingerprint(line); err == nil {
			prints = append(prints, f)
		} else {
			failure = err
		}
	}
	if len(prints) == 0 {
		return nil, nil, failure
	}
	moved := a.Web.TLSID != "" && w.tlsID != "" && a.Web.TLSID != w.tlsID
	if w.association == 0 || moved || a.Setup != w.role || !slices.Equal(w.fingerprints, a.Web.Fingerprints) {
		w.association++
	}
	w.peer, w.role, w.fingerprints, w.tlsID = peer, a.Setup, slices.Clone(a.Web.Fingerprints), a.Web.TLSID
	role := secure.Passive
	if a.Setup == secure.Active.String() {
		role = secure.Active
	}
	return &w, &relay.WebSettings{
		Own: w.own, Peer: peer.Ufrag, Fingerprints: prints, Role: role, Association: w.association,
	}, nil
}

// webOf is the browser's part of an offer that SetOffer has taken.
func webOf(d *sdp.Description) (*sdp.Web, error) {
	w, err := d.Web(audio(d))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotAcceptable, err)
	}
	return w, nil
}
