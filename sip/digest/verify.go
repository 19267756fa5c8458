package digest

import (
	"hash/maphash"
	"time"

	"tandem/sip"
)

// Verdict is what was found about a request's credentials.
type Verdict uint8

// The verdicts, with the answer that each asks for.
const (
	Missing   Verdict = iota // no credentials for our realm and algorithms: 401 or 407 with Challenge
	OK                       // proven
	Stale                    // nonce too old, used up or not given to this source: challenge with stale
	Wrong                    // no such user, wrong password, or an algorithm the account refuses: challenge
	Malformed                // 400 with Reason
	Expired                  // right, but too late: 403 with Reason, since asking again for the same would not help
	Slowed                   // too many failures, nothing was computed: 403 with Retry-After, or silence
)

var verdictNames = [...]string{"missing", "ok", "stale", "wrong", "malformed", "expired", "slowed"}

// String is the verdict's name, for logs and metrics.
func (v Verdict) String() string { return verdictNames[v] }

// Result is what Verify found.
type Result struct {
	Verdict   Verdict
	Username  string        // as claimed; with OK, who is proven to speak (Credential.User where it is set)
	Until     time.Time     // OK: when the credential expires; zero: never
	Algorithm Algorithm     // that was used
	Repeated  bool          // OK, but this very REGISTER was accepted before: answer again, change nothing
	Reason    string        // Malformed, Expired, Wrong by a bearer token: the reason phrase
	Wait      time.Duration // Slowed: how long
}

// maxHeaderLines bounds how many lines of Authorization are looked at.
const maxHeaderLines = 8

// Verify checks the Authorization of a request that we answer ourselves, as a registrar or user agent. lookup finds a
// user's credential; it is asked for names that do not exist, and the answer must not depend on it.
//
// A nonce that is not ours, not for this source or too old is Stale whatever the response: nobody learns from it
// whether a guess was right, nothing is computed for it, and nobody's failures grow by it. A nonce count that was used is
// Stale too, but for a REGISTER that is the last accepted one byte for byte, from the same address: that is a
// retransmission, since REGISTER has no transaction here (Result.Repeated).
func (a *Authority) Verify(now time.Time, m *sip.Message, lookup func(username string) (Credential, bool)) Result {
	return a.verify(now, sip.HeaderAuthorization, m, lookup)
}

// VerifyProxy checks the Proxy-Authorization of a request that goes on to somebody else (RFC 3261 §22.3).
func (a *Authority) VerifyProxy(now time.Time, m *sip.Message, lookup func(username string) (Credential, bool)) Result {
	return a.verify(now, sip.HeaderProxyAuthorization, m, lookup)
}

func (a *Authority) verify(now time.Time, id sip.HeaderID, m *sip.Message, lookup func(string) (Credential, bool)) Result {
	if res, ok := a.verifyBearer(now, id, m); ok {
		return res
	}
	var p params
	alg, reason := a.pick(&p, id, m)
	if reason == "" && alg != 0 {
		reason = a.fault(&p, m)
	}
	switch {
	case reason != "":
		return Result{Verdict: Malformed, Reason: reason}
	case alg == 0:
		return Result{Verdict: Missing}
	}
	res := Result{Username: unescape(p.value[fUsername]), Algorithm: alg}
	source := m.Source.Addr()
	seed, fresh := a.openNonce(now, p.value[fNonce], source)
	if !fresh {
		res.Verdict = Stale
		return res
	}
	if res.Wait = a.limiter.Wait(now, source, res.Username); res.Wait > 0 {
		res.Verdict = Slowed
		return res
	}
	cred, known := lookup(res.Username)
	ha1, real := a.ha1(alg, cred, known)
	e := exchange{
		algorithm: alg, nonce: p.value[fNonce], nc: p.value[fNC], cnonce: p.value[fCnonce], qop: p.value[fQop],
		method: m.Method(), uri: p.value[fURI], body: m.Body(),
	}
	right := a.matches(&e, ha1, p.value[fResponse])
	if !right && known && cred.Or != nil {
		ha1, real = a.ha1(alg, *cred.Or, true)
		right = a.matches(&e, ha1, p.value[fResponse])
	}
	if !right || !real {
		a.limiter.Failed(now, source, res.Username)
		res.Verdict = Wrong
		return res
	}
	a.limiter.Succeeded(now, source, res.Username)
	a.sources.note(source, now.Sub(a.start))
	nc, _ := parseNC(p.value[fNC])
	res.Verdict, res.Repeated = a.count(now, &seed, max(nc, 1), m)
	return res.proven(now, cred.User, cred.Until)
}

// proven says who speaks, unless it is too late.
func (r Result) proven(now time.Time, user string, until time.Time) Result {
	if r.Until = until; user != "" {
		r.Username = user
	}
	if r.Verdict == OK && !until.IsZero() && !now.Before(until) {
		r.Verdict, r.Reason = Expired, "Credentials have expired"
	}
	return r
}

// count keeps a proven request from being used twice.
func (a *Authority) count(now time.Time, s *seed, nc uint32, m *sip.Message) (v Verdict, repeated bool) {
	print := maphash.String(a.printer, m.Raw()) ^ maphash.Comparable(a.printer, m.Source)
	switch a.counts.note(a.clock(now), s, nc, print) {
	case countNew:
		return OK, false
	case countRepeat:
		if m.Method() == sip.REGISTER {
			return OK, true
		}
	}
	return Stale, false
}

// Addressed tells whether a request carries credentials for our realm, be they right or wrong. Those of other realms are
// what a proxy on the way left for others.
func (a *Authority) Addressed(m *sip.Message) bool {
	var p params
	for i := m.Index(sip.HeaderAuthorization); i >= 0; i = m.Next(sip.HeaderAuthorization, i) {
		if rest, ok := isDigest(m.Value(i)); ok && p.parse(rest) && unescape(p.value[fRealm]) == a.cfg.Realm {
			return true
		}
	}
	return false
}

// pick finds the credentials for our realm. A phone may answer each algorithm that we offered, in a line of its
// own (newer baresip does): the strongest counts. Two of the same algorithm are refused: which one would be
// checked, and by whom? Lines of other schemes and realms are not for us.
func (a *Authority) pick(best *params, id sip.HeaderID, m *sip.Message) (alg Algorithm, reason string) {
	var p params
	lines := 0
	for i := m.Index(id); i >= 0; i = m.Next(id, i) {
		if lines++; lines > maxHeaderLines {
			return 0, "Too many credentials"
		}
		rest, ok := isDigest(m.Value(i))
		if !ok {
			continue
		}
		if !p.parse(rest) {
			return 0, "Malformed credentials"
		}
		if unescape(p.value[fRealm]) != a.cfg.Realm {
			continue
		}
		got := parseAlgorithm(p.value[fAlgorithm])
		if !a.offers(got) {
			continue
		}
		if got == alg {
			return 0, "Duplicate credentials"
		}
		if got > alg {
			alg, *best = got, p
		}
	}
	return alg, ""
}

// fault finds what makes credentials unusable whoever sent them (RFC 7616 §3.4: 400); empty: nothing.
func (a *Authority) fault(p *params, m *sip.Message) string {
	for _, f := range [...]field{fUsername, fNonce, fURI, fResponse} {
		if p.value[f] == "" {
			return "Incomplete credentials"
		}
	}
	if p.has(fUsernameExt) || sip.EqualFold(p.value[fUserhash], "true") {
		return "Hashed user names are not offered"
	}
	switch p.value[fQop] {
	case qopAuth, qopAuthInt:
		if _, ok := parseNC(p.value[fNC]); !ok || !p.has(fCnonce) {
			return "Malformed nonce count"
		}
	case "":
		if !a.cfg.NoQop || p.has(fQop) || p.has(fNC) {
			return "Credentials without qop"
		}
	default:
		return "Unknown qop"
	}
	if uri := p.value[fURI]; uri != m.RequestURI() && !a.cfg.AnyURI && !sameTarget(uri, m.RequestURI()) {
		return "Credentials for another URI"
	}
	return ""
}

// sameTarget tells whether two URIs name the same resource: scheme, user, host and port with its default.
// Parameters may differ: phones leave transport and its like out of one of the two.
func sameTarget(x, y string) bool {
	u, err1 := sip.ParseURI(x)
	v, err2 := sip.ParseURI(y)
	if err1 != nil || err2 != nil {
		return false
	}
	port := func(u sip.URI) uint16 {
		switch {
		case u.Port != 0:
			return u.Port
		case u.Scheme == "sips":
			return 5061
		}
		return 5060
	}
	return u.Scheme == v.Scheme && port(u) == port(v) && sip.EqualFold(u.Host, v.Host) && u.Number() == v.Number()
}
