package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"

	"tandem/sip"
)

// Algorithm is a hash of RFC 8760 that we speak. Of two, the larger is the stronger.
type Algorithm uint8

// The algorithms. SHA-512-256 is for challenges that are made to us: hardly a phone has it, and to offer it would cost a
// third HA1 an account.
const (
	MD5 Algorithm = iota + 1
	SHA256
	SHA512256
)

// String is the algorithm parameter's value.
func (a Algorithm) String() string {
	switch a {
	case MD5:
		return "MD5"
	case SHA256:
		return "SHA-256"
	case SHA512256:
		return "SHA-512-256"
	}
	return "unknown"
}

// askedAlgorithm reads the parameter of a challenge to us; sess: with a key for the session (RFC 7616 §3.4.2).
func askedAlgorithm(s string) (a Algorithm, sess bool) {
	if i := len(s) - len("-sess"); i > 0 && sip.EqualFold(s[i:], "-sess") {
		s, sess = s[:i], true
	}
	if sip.EqualFold(s, "SHA-512-256") {
		return SHA512256, sess
	}
	return parseAlgorithm(s), sess
}

// parseAlgorithm reads the parameter; none means MD5 (RFC 7616 §3.3), 0 one that we do not speak with phones.
func parseAlgorithm(s string) Algorithm {
	switch {
	case s == "" || sip.EqualFold(s, "MD5"):
		return MD5
	case sip.EqualFold(s, "SHA-256"):
		return SHA256
	}
	return 0
}

// HA1 is what the credential has for an algorithm; empty: it must not be used.
func (c Credential) HA1(a Algorithm) string {
	switch a {
	case MD5:
		return c.MD5
	case SHA256:
		return c.SHA256
	case SHA512256:
		return c.SHA512256
	}
	return ""
}

// appendHex appends the hash of data in lower-case hex.
func (a Algorithm) appendHex(dst, data []byte) []byte {
	if a == MD5 {
		sum := md5.Sum(data)
		return hex.AppendEncode(dst, sum[:])
	}
	if a == SHA512256 {
		sum := sha512.Sum512_256(data)
		return hex.AppendEncode(dst, sum[:])
	}
	sum := sha256.Sum256(data)
	return hex.AppendEncode(dst, sum[:])
}

// exchange is what a response is computed over, all of it as it stands on the wire, quotes taken off.
type exchange struct {
	algorithm         Algorithm
	nonce, nc         string
	cnonce, qop       string // empty qop: RFC 2069
	method, uri, body string
}

// appendResponse appends the response parameter's value (RFC 7616 §3.4.1 to §3.4.3). It does not allocate
// unless the parts are longer than any phone's.
func (e *exchange) appendResponse(dst []byte, ha1 string) []byte {
	var room [640]byte
	var ha2 [64]byte
	b := append(append(append(room[:0], e.method...), ':'), e.uri...)
	if e.qop == qopAuthInt {
		var bodyHash [64]byte
		b = append(append(b, ':'), e.algorithm.appendHex(bodyHash[:0], []byte(e.body))...)
	}
	a2 := e.algorithm.appendHex(ha2[:0], b)
	b = append(append(append(append(room[:0], ha1...), ':'), e.nonce...), ':')
	if e.qop != "" {
		b = append(append(append(b, e.nc...), ':'), e.cnonce...)
		b = append(append(append(b, ':'), e.qop...), ':')
	}
	return e.algorithm.appendHex(dst, append(b, a2...))
}

// The values of qop.
const (
	qopAuth    = "auth"
	qopAuthInt = "auth-int"
)
