package sip

import "strings"

// CanRespond tells whether a request, however broken, may be answered: it has a Via that says where the
// answer belongs, and is no ACK. From, To, Call-ID and CSeq are copied into the answer as far as they are there.
func CanRespond(m *Message) bool {
	if !m.IsRequest() || m.method == ACK || !IsToken(m.method) {
		return false
	}
	_, ok := m.ReplyVia()
	return ok
}

// ReplyVia is the top Via as far as an answer needs it: transport, sent-by and rport. It is there even where
// the version is not ours or some of the parameters are broken, so that such a request can be told so.
func (m *Message) ReplyVia() (Via, bool) {
	for e := range m.Elements(HeaderVia) {
		v, _, ok := splitVia(e)
		return v, ok
	}
	return Via{}, false
}

// CheckRequire tells whether an endpoint that supports these option tags may handle the request: 420 with
// the other tags of Require in an Unsupported header (RFC 3261 §8.2.2.3).
func CheckRequire(m *Message, supported ...string) *StatusError {
	return checkOptions(m, HeaderRequire, supported)
}

// CheckProxyRequire is the same for a proxy and Proxy-Require (RFC 3261 §16.3 step 5).
func CheckProxyRequire(m *Message, supported ...string) *StatusError {
	return checkOptions(m, HeaderProxyRequire, supported)
}

func checkOptions(m *Message, id HeaderID, supported []string) *StatusError {
	if !m.Has(id) || m.method == ACK || m.method == CANCEL { // neither may be refused for it
		return nil
	}
	var missing []string
	for tag := range m.Elements(id) {
		if tag == "" || listed(supported, tag) {
			continue
		}
		if !IsToken(tag) {
			return malformed(id)
		}
		missing = append(missing, tag)
	}
	if missing == nil {
		return nil
	}
	return &StatusError{Code: 420, Header: "Unsupported: " + strings.Join(missing, ", ")}
}

func listed(list []string, token string) bool {
	for _, s := range list {
		if EqualFold(s, token) {
			return true
		}
	}
	return false
}

// CheckAccept tells whether the sender can read a session description: 406 when there is an Accept that does
// not admit application/sdp (RFC 3261 §20.1, RFC 4475 §3.3.15). Without the header it can.
func CheckAccept(m *Message) *StatusError {
	if !m.Has(HeaderAccept) {
		return nil
	}
	for e := range m.Elements(HeaderAccept) {
		kind, rest, _ := strings.Cut(e, ";")
		if !admitsSDP(kind) {
			continue
		}
		if q, there := Params(rest).Get("q"); !there || strings.Trim(q, "0.") != "" {
			return nil
		}
	}
	return &StatusError{Code: 406, Header: `Warning: 399 tandem "Only application/sdp can be answered"`}
}

func admitsSDP(kind string) bool {
	major, minor, _ := strings.Cut(kind, "/")
	major, minor = Trim(major), Trim(minor)
	return major == "*" && minor == "*" ||
		EqualFold(major, "application") && (minor == "*" || EqualFold(minor, "sdp"))
}
