package digest

import (
	"net/netip"
	"strings"
	"time"

	"tandem/sip"
)

// Bearer verifies tokens that somebody else issued (RFC 8898). It may be used from any goroutine, and does not block.
type Bearer interface {
	// Verify tells whose token it is and when it expires. An error's text goes on the wire as a reason phrase, with a capital.
	Verify(now time.Time, token string) (user string, until time.Time, err error)
	// Challenge is what follows the realm in a challenge: `authz_server="https://..."`.
	Challenge() string
}

// Accept takes bearer tokens from now on beside digests; nil: no more.
func (a *Authority) Accept(b Bearer) {
	if b == nil {
		a.bearer.Store(nil)
		return
	}
	a.bearer.Store(&b)
}

// longestToken bounds a bearer token; those of RFC 9068 have one or two kilobytes.
const longestToken = 8 << 10

// bearerToken is the token of a line of Authorization (RFC 6750 §2.1).
func bearerToken(value string) (string, bool) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(value), " ")
	return strings.TrimSpace(token), sip.EqualFold(scheme, "Bearer")
}

// verifyBearer looks for a bearer token; false: there is none, or none is asked for.
func (a *Authority) verifyBearer(now time.Time, id sip.HeaderID, m *sip.Message) (res Result, found bool) {
	bearer := a.bearer.Load()
	if bearer == nil {
		return Result{}, false
	}
	token, lines := "", 0
	for i := m.Index(id); i >= 0; i = m.Next(id, i) {
		if lines++; lines > maxHeaderLines {
			return Result{Verdict: Malformed, Reason: "Too many credentials"}, true
		}
		if t, ok := bearerToken(m.Value(i)); ok {
			if found {
				return Result{Verdict: Malformed, Reason: "Duplicate credentials"}, true
			}
			token, found = t, true
		}
	}
	if !found {
		return Result{}, false
	}
	return a.judgeBearer(now, *bearer, token, m), true
}

func (a *Authority) judgeBearer(now time.Time, b Bearer, token string, m *sip.Message) Result {
	source := m.Source.Addr()
	switch {
	case len(token) > longestToken || token == "":
		return Result{Verdict: Malformed, Reason: "Malformed bearer token"}
	case !confidential(m, source):
		return Result{Verdict: Malformed, Reason: "Bearer tokens need TLS"} // RFC 8898 §3
	}
	if wait := a.limiter.Wait(now, source, "bearer"); wait > 0 {
		return Result{Verdict: Slowed, Wait: wait}
	}
	user, until, err := b.Verify(now, token)
	if err != nil {
		a.limiter.Failed(now, source, "bearer")
		return Result{Verdict: Wrong, Reason: sentence(err)}
	}
	a.sources.note(source, now.Sub(a.start))
	return Result{Verdict: OK}.proven(now, user, until)
}

// sentence is an error as a reason phrase.
func sentence(err error) string {
	text := err.Error()
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// confidential tells whether nobody on the way read the token: by TLS, or because it never left the machine.
func confidential(m *sip.Message, source netip.Addr) bool {
	via, err := m.TopVia()
	return err == nil && (sip.EqualFold(via.Transport, "TLS") || sip.EqualFold(via.Transport, "WSS")) || source.Unmap().IsLoopback()
}

// appendBearer appends the challenge for bearer tokens (RFC 8898 §4).
func (a *Authority) appendBearer(dst []byte, id sip.HeaderID) []byte {
	bearer := a.bearer.Load()
	if bearer == nil {
		return dst
	}
	dst = append(append(append(dst, id.Name()...), ": Bearer realm="...), sip.Quote(a.cfg.Realm)...)
	return append(append(append(dst, ", "...), (*bearer).Challenge()...), "\r\n"...)
}
