package relay

import (
	"fmt"
	"net/netip"

	"tandem/media/ice"
	"tandem/media/secure"
)

// A WebState is the browser's part of a State, as plain values: what it knows us by, where it is, and the keys.
type WebState struct {
	Before    ice.Credentials `json:"before,omitzero"` // from before an ICE restart that is not through
	Via       netip.AddrPort  `json:"via,omitzero"`    // the address of ours that it speaks to
	Place     netip.AddrPort  `json:"place,omitzero"`  // where it was checked and chosen
	Nominated bool            `json:"nominated,omitempty"`

	Association int    `json:"association,omitempty"` // of the keys; 0: none yet
	Local       string `json:"local,omitempty"`       // our key, as the value of an a=crypto line
	Remote      string `json:"remote,omitempty"`      // the browser's
}

// state notes the browser.
func (b *browser) state() *WebState {
	s := &WebState{Before: b.before, Nominated: b.nominated, Association: b.association}
	if b.at >= 0 {
		s.Via, s.Place = b.paths[b.at].at.via.local, b.paths[b.at].at.addr
	}
	if b.association != 0 {
		s.Local, s.Remote = b.keys.Local.Crypto(), b.keys.Remote.Crypto()
	}
	return s
}

// adoptWeb is Adopt for the leg of a browser: on the port for browsers, which need not have been open, with the keys of the handshake that another
// process has made.
func (r *Relay) adoptWeb(s State, set Settings, events func(Event)) (*Port, error) {
	w := r.web
	if s.Local.Port() != w.port || w.port == 0 {
		return nil, fmt.Errorf("%w: port %d of the session is not that of this switch", ErrNoWeb, s.Local.Port())
	}
	if set.Web == nil {
		return nil, fmt.Errorf("%w: the session has agreed on nothing", ErrNoWeb)
	}
	p := r.newPort(s.Local, events, s.Out.SSRC, s.CName)
	p.rtcpIn, p.rtcpOut = s.ReportsIn, s.ReportsOut
	var err error
	p.mu.Lock()
	w.loop.do(func() {
		if err = w.listen(s.Local.Addr(), true); err != nil {
			return
		}
		p.web = newBrowser(w, set.Web.Own, w.loop.now)
		if err = w.loop.adopt(p); err == nil {
			w.ufrags[set.Web.Own.Ufrag] = p
		}
	})
	p.closed = err != nil
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := p.Configure(set); err != nil {
		return nil, err
	}
	if err := p.Resume(s); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// follow brings a browser's leg to where it is in another process. Called in the loop.
func (b *browser) follow(p *Port, s *WebState) error {
	if s == nil {
		return nil
	}
	if s.Association != b.association || s.Local != "" && b.keys.Local.Crypto() != s.Local {
		if err := b.install(p, s); err != nil {
			return err
		}
	}
	if s.Before != b.before {
		delete(b.web.ufrags, b.before.Ufrag)
		if b.before = s.Before; b.before.Ufrag != "" {
			b.web.ufrags[b.before.Ufrag] = p
		}
	}
	now := b.web.loop.now
	b.nominated = s.Nominated
	// Its checks come every few seconds; the first one decides, and until then it is believed to be where it was.
	b.heard, b.begun = now, now.Sub(began)
	if !s.Place.IsValid() {
		return nil
	}
	if err := b.web.listen(s.Via.Addr(), true); err != nil {
		return err
	}
	at := place{b.web.fronts[s.Via.Addr()], s.Place}
	if !b.web.claim(p, at) {
		return nil
	}
	i := b.index(at)
	if i < 0 {
		i = b.add(path{at: at, to: makeEndpoint(s.Via.Addr(), s.Place)})
	}
	b.paths[i].seen, b.at = now, i
	return nil
}

// install takes the keys of an association that another process has made.
func (b *browser) install(p *Port, s *WebState) error {
	if s.Association == 0 {
		return nil
	}
	local, err := secure.ParseCrypto(s.Local)
	if err != nil {
		return err
	}
	remote, err := secure.ParseCrypto(s.Remote)
	if err != nil {
		return err
	}
	return b.use(p, s.Association, Keys{local, remote})
}

// use makes the contexts of new keys and puts them into force.
func (b *browser) use(p *Port, association int, k Keys) error {
	protect, err := secure.NewContext(k.Local)
	if err != nil {
		return err
	}
	unprotect, err := secure.NewContext(k.Remote)
	if err != nil {
		return err
	}
	b.association, b.keys = association, k
	p.set.Protect, p.set.Unprotect = protect, unprotect
	return nil
}

// inUse is the association whose keys are in use; 0: none, or no browser.
func (b *browser) inUse() int {
	if b == nil {
		return 0
	}
	return b.association
}
