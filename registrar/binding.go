package registrar

import (
	"net/netip"
	"strings"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// Binding is one contact of an AOR. What Lookup returns is a copy; its strings are shared and never change.
type Binding struct {
	AOR        string         // local number
	Contact    string         // URI as it came, parameters and headers included
	Params     sip.Params     // header parameters of the Contact as they came, without expires
	CallID     string         // of the REGISTER that made or refreshed it
	Instance   string         // +sip.instance without quotes; empty: none
	UserAgent  string         // cut at 128 bytes
	Path       []string       // Path values, topmost first; empty for phones that come straight to us
	Flow       transport.Flow // what the REGISTER came over; the zero Flow once a connection is gone
	Source     netip.AddrPort // where it came from
	Expires    time.Time
	Registered time.Time // the latest REGISTER for it
	kept       time.Time // the Journal has it until then, see change.keeps
	CSeq       uint32
	RegID      uint32 // reg-id of an outbound binding (RFC 5626); 0: none
	Q          uint16 // thousandths, 0 to 1000
	NAT        bool   // Contact is not where the REGISTER came from: only the flow leads there
}

// Outbound tells a binding that is a flow of an instance (RFC 5626) from one that is an address.
func (b *Binding) Outbound() bool { return b.RegID != 0 }

// RequestURI is the URI that a request to the binding carries: the Contact without what must not stand
// there, headers and method (RFC 3261 §19.1.1). An escaped Route in it would lead requests astray (RFC 4475 §3.3.14).
func (b *Binding) RequestURI() string {
	if strings.IndexByte(b.Contact, '?') < 0 && !strings.Contains(b.Contact, ";method=") {
		return b.Contact
	}
	u, err := sip.ParseURI(b.Contact)
	if err != nil {
		return b.Contact
	}
	u.Headers = ""
	if u.Params.Has("method") {
		var kept strings.Builder
		for name, value := range u.Params.All() {
			if sip.EqualFold(name, "method") {
				continue
			}
			kept.WriteString(";" + name)
			if value != "" {
				kept.WriteString("=" + value)
			}
		}
		u.Params = sip.Params(kept.String())
	}
	return u.String()
}

// Route is the values of the Route headers of a request to the binding (RFC 3327 §5.3.1); nil: none.
func (b *Binding) Route() []string { return b.Path }

// expired tells whether the binding counts no more.
func (b *Binding) expired(now time.Time) bool { return !b.Expires.After(now) }

// reachable makes a binding with a dead connection fit for use, or says that it is not. A plain TCP phone that is
// where its Contact says may be connected to again (RFC 3261 §18.1.1); all others are gone until they come back.
func (b *Binding) reachable() bool {
	if !b.Flow.Valid() {
		return !b.NAT && !b.Outbound()
	}
	if b.Flow.Alive() {
		return true
	}
	if b.Flow.Proto() != transport.TCP || b.NAT || b.Outbound() {
		return false
	}
	b.Flow = transport.Flow{}
	return true
}

// onConnection tells whether the binding lives on a connection, which may close.
func (b *Binding) onConnection() bool { return b.Flow.Valid() && b.Flow.Proto().Reliable() }

// behindNAT tells whether requests to a contact would go elsewhere than where its REGISTER came from. Host names count as
// elsewhere: what they resolve to is the phone's choice, the flow is proven.
func behindNAT(u *sip.URI, f transport.Flow, source netip.AddrPort) bool {
	addr, ok := u.Addr()
	if !ok || addr.Unmap() != source.Addr().Unmap() || u.Params.Has("maddr") {
		return true
	}
	switch f.Proto() {
	case transport.UDP:
		port := u.Port
		if port == 0 {
			port = 5060
		}
		return port != source.Port()
	case transport.WS, transport.WSS:
		return true // a browser does not listen (RFC 7118 §7)
	}
	return false
}
