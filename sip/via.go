package sip

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// MagicCookie begins every branch of RFC 3261 (§8.1.1.7).
const MagicCookie = "z9hG4bK"

// ErrVia means that a Via breaks the grammar.
var ErrVia = errors.New("sip: malformed Via")

// Via is one value of a Via header (RFC 3261 §20.42).
type Via struct {
	Transport string // UDP, TCP, ... as it stands
	Host      string // sent-by; IPv6 without brackets
	Port      uint16 // 0: none given
	Params    Params
	V6        bool
}

// ParseVia takes one value apart: "SIP/2.0/UDP host:port;branch=...", blanks allowed round "/" and ":".
func ParseVia(s string) (v Via, err error) {
	v, version, ok := splitVia(s)
	if !ok || version != "2.0" || !v.Params.wellFormed() {
		return Via{}, ErrVia
	}
	return v, nil
}

// splitVia takes a Via of any version of SIP apart and does not look into its parameters.
func splitVia(s string) (v Via, version string, ok bool) {
	s = Trim(s)
	if semi := strings.IndexByte(s, ';'); semi >= 0 {
		s, v.Params = Trim(s[:semi]), Params(s[semi:])
	}
	at := 0
	if strings.HasPrefix(s, "SIP/2.0/") {
		at, version = skip(s, 8, charBlank), "2.0"
	} else if version, at = viaVersion(s); at < 0 {
		return v, "", false
	}
	end := skip(s, at, charToken)
	host := skip(s, end, charBlank)
	if end == at || host == end {
		return v, "", false
	}
	v.Transport = s[at:end]
	v.Host, v.Port, v.V6, ok = splitHostPort(s[host:])
	return v, version, ok
}

// viaVersion reads "SIP / version /" with blanks where they may stand, and returns the place of what follows;
// -1 if it is something else.
func viaVersion(s string) (version string, at int) {
	name, rest, ok1 := strings.Cut(s, "/")
	version, rest, ok2 := strings.Cut(rest, "/")
	if !ok1 || !ok2 || !EqualFold(Trim(name), "SIP") {
		return "", -1
	}
	return Trim(version), skip(s, len(s)-len(rest), charBlank)
}

// Branch is the branch parameter; empty if there is none.
func (v Via) Branch() string {
	b, _ := v.Params.Get("branch")
	return b
}

// SentBy is host[:port] of the sender, as it compares in transaction matching (RFC 3261 §17.2.3).
func (v Via) SentBy() string {
	h := v.Host
	if v.V6 {
		h = "[" + h + "]"
	}
	if v.Port != 0 {
		return h + ":" + strconv.Itoa(int(v.Port))
	}
	return h
}

// TopVia is the first value of the first Via.
func (m *Message) TopVia() (Via, error) {
	for e := range m.Elements(HeaderVia) {
		return ParseVia(e)
	}
	return Via{}, ErrVia
}

// ResponseAddr is where a response to a request with this top Via goes on an unreliable transport, when the
// request came from source (RFC 3261 §18.2.2, RFC 3581 §4): the source itself with rport, else the source
// address and the sent-by port. maddr is not followed: a stranger would choose where we send.
func (v Via) ResponseAddr(source netip.AddrPort) netip.AddrPort {
	if v.Params.Has("rport") {
		return source
	}
	port := v.Port
	if port == 0 {
		port = 5060
	}
	return netip.AddrPortFrom(source.Addr(), port)
}

// appendStamped writes the value of a Via line with received and rport filled in for its first element.
// Values that the sender wrote for them are dropped: they are ours to say.
func appendStamped(dst []byte, value string, source netip.AddrPort) []byte {
	first, rest := value, ""
	if i := indexOutside(value, ','); i >= 0 {
		first, rest = value[:i], value[i:]
	}
	v, _, ok := splitVia(first)
	if !ok || !v.Params.wellFormed() || !source.IsValid() {
		return append(dst, value...)
	}
	hasRport := v.Params.Has("rport")
	host, err := netip.ParseAddr(v.Host)
	differs := err != nil || host.Unmap() != source.Addr().Unmap()
	head := first
	if i := strings.IndexByte(first, ';'); i >= 0 {
		head = first[:i]
	}
	if !hasRport && !v.Params.Has("received") {
		dst = append(dst, Trim(first)...)
	} else {
		dst = append(dst, Trim(head)...)
		for name, val := range v.Params.All() {
			if EqualFold(name, "rport") || EqualFold(name, "received") {
				continue
			}
			dst = append(append(dst, ';'), name...)
			if val != "" {
				dst = append(append(dst, '='), val...)
			}
		}
	}
	if hasRport {
		dst = strconv.AppendUint(append(dst, ";rport="...), uint64(source.Port()), 10)
	}
	if hasRport || differs {
		dst = source.Addr().Unmap().WithZone("").AppendTo(append(dst, ";received="...))
	}
	return append(dst, rest...)
}
