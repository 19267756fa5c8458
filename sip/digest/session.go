package digest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tandem/sip"
)

// Errors of Session.
var (
	// ErrRealm means that nobody asked for credentials of the configured realm. Nothing is answered: the
	// peer may be fishing for a response of another trunk's password.
	ErrRealm = errors.New("digest: challenge of another realm")
	// ErrAlgorithm means that no challenge of our realm can be answered with the hashes that the credential has.
	ErrAlgorithm = errors.New("digest: no challenge that the credential can answer")
	// ErrRefused means that the peer challenged again what was answered already: the password is wrong.
	ErrRefused = errors.New("digest: credentials refused")
	// ErrChallenge means that the response carries no Digest challenge, or a broken one.
	ErrChallenge = errors.New("digest: no usable challenge")
)

// Session is our side towards one peer: the last challenge that it made, ready to answer the next request
// ahead of a challenge. The zero Session is ready. It is a plain value that can be copied to a standby, which
// then goes on counting; it belongs to one goroutine. The caller sees to it that a challenge comes from the
// configured peer; the Session, that it is of the configured realm.
type Session struct {
	Proxy     bool      // answered with Proxy-Authorization
	Algorithm Algorithm // 0: not challenged yet
	Nonce     string    // as it stands between the quotes, like Opaque
	Opaque    string
	HasOpaque bool
	QOP       string // "auth", "auth-int" or, for RFC 2069 peers, ""
	Count     uint32 // requests answered with the nonce
	Sess      bool   // the algorithm is of the -sess kind
	CNonce    string // of such a session, from its first request on
}

// Answer answers the challenges of a 401 or 407 (RFC 3261 §22.2, §22.3): the strongest algorithm that cred has
// an HA1 for. method, uri and body are those of the request that will be sent; uri is its Request-URI. It returns the
// header and its value, or why there is no answer: with ErrRealm and ErrRefused none must be sent. A caller
// tries Authorize before it sends a request bare, and answers at most twice for one request: a peer may call
// every nonce stale.
func (s *Session) Answer(resp *sip.Message, cred Credential, method, uri string, body []byte) (header, value string, err error) {
	next, stale, err := choose(resp, cred)
	if err != nil {
		return "", "", err
	}
	// A nonce that was refused at its first use, or that comes back, was not too old: the password is wrong.
	if !stale && s.Count > 0 && (s.Count == 1 || s.Nonce == next.Nonce) {
		return "", "", ErrRefused
	}
	*s = next
	return s.Authorize(cred, method, uri, body)
}

// Authorize makes the credentials of one more request from the last challenge, so that the peer need not ask
// again. It fails with ErrChallenge when there was none.
func (s *Session) Authorize(cred Credential, method, uri string, body []byte) (header, value string, err error) {
	ha1 := cred.HA1(s.Algorithm)
	if s.Algorithm == 0 || ha1 == "" {
		return "", "", ErrChallenge
	}
	if strings.ContainsAny(uri, "\"\\\r\n") {
		return "", "", fmt.Errorf("digest: URI %q cannot be quoted", uri)
	}
	s.Count++
	var nc, cnonce [16]byte
	e := exchange{algorithm: s.Algorithm, nonce: s.Nonce, qop: s.QOP, method: method, uri: uri, body: string(body)}
	if s.QOP != "" {
		_, _ = rand.Read(cnonce[:]) // never fails: it ends the process instead
		e.cnonce = hex.EncodeToString(cnonce[:8])
		if s.Sess {
			if s.CNonce == "" {
				s.CNonce = e.cnonce
			}
			e.cnonce = s.CNonce
			ha1 = string(s.Algorithm.appendHex(nil, []byte(ha1+":"+s.Nonce+":"+s.CNonce)))
		}
		digits := strconv.AppendUint(nc[:0], uint64(s.Count), 16)
		e.nc = "00000000"[:8-len(digits)] + string(digits)
	}
	return s.header(), s.write(&e, cred, string(e.appendResponse(nil, ha1))), nil
}

func (s *Session) header() string {
	if s.Proxy {
		return sip.HeaderProxyAuthorization.Name()
	}
	return sip.HeaderAuthorization.Name()
}

func (s *Session) write(e *exchange, cred Credential, response string) string {
	var b strings.Builder
	b.Grow(320)
	b.WriteString("Digest username=" + sip.Quote(cred.Username) + ", realm=" + sip.Quote(cred.Realm) + ", nonce=\"" + s.Nonce +
		"\", uri=\"" + e.uri + "\", response=\"" + response + "\", algorithm=" + s.Algorithm.String() + sess[s.Sess])
	if s.HasOpaque {
		b.WriteString(", opaque=\"" + s.Opaque + "\"")
	}
	if s.QOP != "" {
		b.WriteString(", qop=" + s.QOP + ", nc=" + e.nc + ", cnonce=\"" + e.cnonce + "\"")
	}
	return b.String()
}

// sess is the end of an algorithm's name.
var sess = map[bool]string{true: "-sess"}

// choose finds the strongest challenge of the credential's realm that it can answer.
func choose(resp *sip.Message, cred Credential) (best Session, stale bool, err error) {
	err = ErrChallenge
	ids := [...]sip.HeaderID{sip.HeaderWWWAuthenticate, sip.HeaderProxyAuthenticate}
	id := ids[0]
	if resp.Status() == 407 {
		id = ids[1]
	}
	for i := resp.Index(id); i >= 0; i = resp.Next(id, i) {
		rest, ok := isDigest(resp.Value(i))
		var p params
		if !ok || !p.parse(rest) || p.value[fNonce] == "" {
			continue
		}
		if unescape(p.value[fRealm]) != cred.Realm {
			err = worse(err, ErrRealm)
			continue
		}
		alg, sess := askedAlgorithm(p.value[fAlgorithm])
		qop, ok := chooseQop(&p)
		if alg == 0 || !ok || cred.HA1(alg) == "" || sess && qop == "" {
			err = ErrAlgorithm
			continue
		}
		if alg > best.Algorithm || alg == best.Algorithm && best.Sess && !sess {
			best = Session{
				Proxy: id == ids[1], Algorithm: alg, Nonce: strings.Clone(p.value[fNonce]),
				Opaque: strings.Clone(p.value[fOpaque]), HasOpaque: p.has(fOpaque), QOP: qop, Sess: sess,
			}
			stale = sip.EqualFold(p.value[fStale], "true")
		}
	}
	if best.Algorithm != 0 {
		return best, stale, nil
	}
	return best, false, err
}

// worse keeps the error that says more.
func worse(old, err error) error {
	if errors.Is(old, ErrAlgorithm) {
		return old
	}
	return err
}

// chooseQop prefers auth: auth-int breaks wherever a hop touches the body. False: only unknown ones are offered.
func chooseQop(p *params) (qop string, ok bool) {
	if !p.has(fQop) {
		return "", true
	}
	for q := range sip.List(p.value[fQop]) {
		if sip.EqualFold(q, qopAuth) {
			return qopAuth, true
		}
		if sip.EqualFold(q, qopAuthInt) {
			qop, ok = qopAuthInt, true
		}
	}
	return qop, ok
}
