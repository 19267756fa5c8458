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
	fingerprint string           // of our certificate
	told        string           // the one that was agreed on: another process may have shown another
	candidates  []netip.AddrPort // UDP
	tcp         []netip.AddrPort // the same for TCP
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
	w := &web{own: ice.NewCredentials(), fingerprint: s.engine.print}
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
	for _, front := range bound {
		at := netip.AddrPortFrom(front.Addr, s.shown.Port())
		if front.Addr == local {
			at = s.shown
		}
		w.candidates = append(w.candidates, at)
		if front.TCP {
			w.tcp = append(w.tcp, at)
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
		Candidates: w.candidates, TCP: w.tcp, SSRC: w.ssrc, CNAME: w.cname,
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
	moved := a.Web.TLSID != "" && w.tlsID != "" && a.Web.TLSID != w.tlsID
	if w.association == 0 || moved || w.told != w.fingerprint || a.Setup != w.role || !slices.Equal(w.fingerprints, a.Web.Fingerprints) {
		w.association++
	}
	w.peer, w.role, w.fingerprints, w.tlsID, w.told = peer, a.Setup, slices.Clone(a.Web.Fingerprints), a.Web.TLSID, w.fingerprint
	set, err := w.settings()
	return &w, set, err
}

// settings is what was agreed as the relay takes it. At least one of the browser's fingerprints must be of use.
func (w *web) settings() (*relay.WebSettings, error) {
	set := &relay.WebSettings{Own: w.own, Peer: w.peer.Ufrag, Association: w.association}
	if w.role == secure.Active.String() {
		set.Role = secure.Active
	}
	var failure error
	for _, line := range w.fingerprints {
		f, err := secure.ParseFingerprint(line)
		if err == nil {
			set.Fingerprints = append(set.Fingerprints, f)
		} else {
			failure = err
		}
	}
	if len(set.Fingerprints) == 0 {
		return nil, failure
	}
	return set, nil
}

// webOf is the browser's part of an offer that SetOffer has taken.
func webOf(d *sdp.Description) (*sdp.Web, error) {
	w, err := d.Web(audio(d))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotAcceptable, err)
	}
	return w, nil
}

// A WebState is the browser's part of a State: what both sides are known by in descriptions.
type WebState struct {
	Candidates   []netip.AddrPort `json:"candidates"`
	TCP          []netip.AddrPort `json:"tcp,omitempty"`
	Own          ice.Credentials  `json:"own"`
	Peer         ice.Credentials  `json:"peer,omitzero"`
	Role         string           `json:"role,omitempty"`
	Fingerprints []string         `json:"fingerprints,omitempty"`
	TLSID        string           `json:"tls_id,omitempty"`
	Association  int              `json:"association,omitempty"`
	Told         string           `json:"told,omitempty"` // the fingerprint of ours that was agreed on
}

func (w *web) state() *WebState {
	return &WebState{
		Candidates: w.candidates, TCP: w.tcp, Own: w.own, Peer: w.peer, Role: w.role, Fingerprints: w.fingerprints, TLSID: w.tlsID, Association: w.association,
		Told: w.told,
	}
}

// resumeWeb is the browser's part of a session that another process has made. Our certificate is that of this process: should it be another one, the next
// offer or answer says so, and the browser begins a new DTLS association (RFC 8842 §5.5).
func (e *Engine) resumeWeb(s *WebState, port relay.State) *web {
	return &web{
		fingerprint: e.print, candidates: s.Candidates, tcp: s.TCP, ssrc: port.Out.SSRC, cname: port.CName,
		own: s.Own, peer: s.Peer, role: s.Role, fingerprints: s.Fingerprints, tlsID: s.TLSID, association: s.Association,
		told: s.Told,
	}
}
