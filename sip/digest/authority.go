package digest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"tandem/sip"
)

// Config is what an Authority needs to start.
type Config struct {
	// Realm is the protection domain that the credentials were made for.
	Realm string
	// Key signs nonces; nodes that stand in for each other share it. Empty: a random one, so that after a
	// restart each phone is challenged once more. The table of used counts is not shared: a header captured
	// on one node could be used on another from the same source address until its nonce expires.
	Key []byte
	// Lifetime of a nonce; default 120 s.
	Lifetime time.Duration
	// Algorithms that are offered, the preferred one first (RFC 8760 §2.4); default SHA-256, MD5. An account
	// without an HA1 for an algorithm refuses it all the same.
	Algorithms []Algorithm
	// QOP that is offered; default "auth,auth-int".
	QOP string
	// MD5Agents are beginnings of User-Agent values that are offered MD5 alone, where MD5 is offered at all:
	// phones that give up when they see an algorithm that they do not know, instead of passing over it. It
	// weakens nothing for an account that has no MD5: whoever answers chooses among what is offered anyway.
	// Default: baresip 0 and 1 (libre 1 fails at any challenge of another algorithm) and SIPp (3.6 reads the
	// first challenge alone).
	MD5Agents []string
	// AnySource takes a nonce back from another address than it was given to: for an upstream that sends a
	// challenge back by one of its addresses and the answer by another. Failures can then be forged.
	AnySource bool
	// AnyURI takes a uri parameter that differs from the Request-URI (RFC 3261 §22.4 item 7): for upstreams
	// and load generators that rewrite one of the two.
	AnyURI bool
	// NoQop takes answers without qop (RFC 2069). Each of their nonces is good for one request, since they
	// have no count. Off by default: every phone since RFC 2617 has qop, and we offer it.
	NoQop bool
	// Counts bounds the nonces in use; default 1048576, about 64 bytes each.
	Counts int
	// Limits bound guessing.
	Limits Limits
}

// Authority challenges requests and verifies the answers (RFC 7616 §3, RFC 8760). It keeps nothing for a
// challenge. It may be used from any goroutine.
type Authority struct {
	cfg      Config
	nonceKey [32]byte
	prefix   string // "Digest realm=..., nonce=\""
	tails    []tail
	counts   counts
	limiter  *Limiter
	sources  sources
	dummy    [SHA256 + 1]string // HA1 of nobody, by algorithm
	printer  maphash.Seed
	start    time.Time
	startMS  int64
	bearer   atomic.Pointer[Bearer]
	computed func(Algorithm) // told of each response computed; nil outside tests
}

// tail is what follows the nonce in the challenge of one algorithm.
type tail struct {
	algorithm Algorithm
	text      string
}

// New makes an Authority.
func New(cfg Config) *Authority {
	if len(cfg.Key) == 0 {
		cfg.Key = make([]byte, 32)
		_, _ = rand.Read(cfg.Key) // never fails: it ends the process instead
	}
	if cfg.Lifetime <= 0 {
		cfg.Lifetime = 120 * time.Second
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []Algorithm{SHA256, MD5}
	}
	if cfg.QOP == "" {
		cfg.QOP = qopAuth + "," + qopAuthInt
	}
	if cfg.MD5Agents == nil {
		cfg.MD5Agents = []string{"baresip v0.", "baresip v1.", "SIPp"}
	}
	if cfg.Counts <= 0 {
		cfg.Counts = 1 << 20
	}
	a := &Authority{cfg: cfg, limiter: NewLimiter(cfg.Limits), printer: maphash.MakeSeed(), start: time.Now()}
	a.sources.seed = maphash.MakeSeed()
	a.startMS = a.start.UnixMilli()
	a.counts.limit = max(cfg.Counts/2/countShards, 1)
	a.counts.period = (cfg.Lifetime + clockSkew).Milliseconds()
	h := hmac.New(sha256.New, cfg.Key)
	h.Write([]byte("tandem nonce 1\x00" + cfg.Realm)) // a nonce of another realm is no nonce here
	copy(a.nonceKey[:], h.Sum(nil))
	a.prefix = "Digest realm=" + sip.Quote(cfg.Realm) + ", nonce=\""
	for _, alg := range cfg.Algorithms {
		a.tails = append(a.tails, tail{alg, ", algorithm=" + alg.String() + ", qop=\"" + cfg.QOP + "\""})
	}
	var nobody [64]byte
	_, _ = rand.Read(nobody[:])
	a.dummy[SHA256] = hex.EncodeToString(nobody[:32])
	a.dummy[MD5] = hex.EncodeToString(nobody[32:48])
	return a
}

// Realm is the realm of all challenges.
func (a *Authority) Realm() string { return a.cfg.Realm }

// Limiter is what slows guessers down; for the console.
func (a *Authority) Limiter() *Limiter { return a.limiter }

// NoncesInUse is the number of nonces with which somebody proved himself lately.
func (a *Authority) NoncesInUse() int { return a.counts.size() }

// Challenge gives the values of the WWW-Authenticate or Proxy-Authenticate lines that answer m, one for each
// algorithm, the preferred one first (RFC 8760 §2.4). stale tells a phone to try again without asking its user.
func (a *Authority) Challenge(now time.Time, m *sip.Message, stale bool) []string {
	var out []string
	for line := range strings.Lines(string(a.AppendChallenge(nil, sip.HeaderWWWAuthenticate, now, m, stale))) {
		_, value, _ := strings.Cut(line, ": ")
		out = append(out, strings.TrimRight(value, "\r\n"))
	}
	return out
}

// AppendChallenge appends the same as whole header lines named id.
func (a *Authority) AppendChallenge(dst []byte, id sip.HeaderID, now time.Time, m *sip.Message, stale bool) []byte {
	var room [nonceText]byte
	nonce := a.appendNonce(room[:0], now, m.Source.Addr())
	onlyMD5 := a.md5Only(m)
	for _, t := range a.tails {
		if onlyMD5 && t.algorithm != MD5 {
			continue
		}
		dst = append(append(append(dst, id.Name()...), ": "...), a.prefix...)
		dst = append(append(append(dst, nonce...), '"'), t.text...)
		if stale {
			dst = append(dst, ", stale=true"...)
		}
		dst = append(dst, "\r\n"...)
	}
	if onlyMD5 {
		return dst
	}
	return a.appendBearer(dst, id)
}

func (a *Authority) md5Only(m *sip.Message) bool {
	if !slices.Contains(a.cfg.Algorithms, MD5) {
		return false
	}
	agent := m.Header(sip.HeaderUserAgent)
	return agent != "" && slices.ContainsFunc(a.cfg.MD5Agents, func(p string) bool { return strings.HasPrefix(agent, p) })
}

// offers tells whether an algorithm is among ours.
func (a *Authority) offers(alg Algorithm) bool {
	return alg != 0 && slices.Contains(a.cfg.Algorithms, alg)
}

// ha1 is what a user's response is checked against. Whoever does not exist, or must not use the algorithm, has
// an HA1 that nobody knows, so that both cost and look the same as a wrong password.
func (a *Authority) ha1(alg Algorithm, c Credential, known bool) (ha1 string, real bool) {
	if h := c.HA1(alg); known && h != "" {
		return h, true
	}
	return a.dummy[alg], false
}

// matches computes the response and compares it in constant time.
func (a *Authority) matches(e *exchange, ha1, response string) bool {
	var room [64]byte
	want := e.appendResponse(room[:0], ha1)
	if a.computed != nil {
		a.computed(e.algorithm)
	}
	return subtle.ConstantTimeCompare(want, []byte(response)) == 1
}
