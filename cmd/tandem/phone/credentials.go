package phone

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// credentials answer digest challenges (RFC 8760). A nonce is used again with a growing nc until the server calls it
// stale, as RFC 7616 §3.3 allows.
type credentials struct {
	user, password string
	bearer         string // a token in place of both (RFC 8898)

	mu   sync.Mutex
	held map[string]*heldChallenge // by the header that answers it
}

type heldChallenge struct {
	challenge *digest.Challenge
	count     int
}

var errNoPassword = errors.New("the server asks for a password and none is set")

// challengeHeaders are the two pairs of RFC 3261 §22: who asks, and where the answer goes.
var challengeHeaders = map[int]struct{ ask, reply string }{
	401: {"WWW-Authenticate", "Authorization"},
	407: {"Proxy-Authenticate", "Proxy-Authorization"},
}

// learn keeps the strongest challenge of a 401 or 407 and says whether it was a stale nonce rather than a refusal.
func (c *credentials) learn(res *sip.Response) (stale bool, err error) {
	names, ok := challengeHeaders[res.StatusCode]
	if !ok {
		return false, errors.New("no challenge")
	}
	if c.password == "" {
		return false, errNoPassword
	}
	strength := map[string]int{"": 1, "MD5": 1, "SHA-512-256": 2, "SHA-256": 3}
	best, bestStrength := (*digest.Challenge)(nil), 0
	for _, value := range headerValues(res, names.ask, "") {
		challenge, err := digest.ParseChallenge(value)
		if err != nil {
			continue
		}
		challenge.Algorithm = strings.ToUpper(challenge.Algorithm)
		for i := range challenge.QOP {
			challenge.QOP[i] = strings.ToLower(strings.TrimSpace(challenge.QOP[i]))
		}
		if s := strength[challenge.Algorithm]; s > bestStrength {
			best, bestStrength = challenge, s
		}
	}
	if best == nil {
		return false, errors.New("the server's challenge uses no algorithm that this phone knows")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = map[string]*heldChallenge{}
	}
	c.held[names.reply] = &heldChallenge{challenge: best}
	return best.Stale, nil
}

// headers answers every challenge held so far for a request about to be sent.
func (c *credentials) headers(method, uri string, body []byte) []Header {
	if c.bearer != "" {
		return []Header{{"Authorization", "Bearer " + c.bearer}}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Header
	for _, reply := range []string{"Authorization", "Proxy-Authorization"} {
		held := c.held[reply]
		if held == nil {
			continue
		}
		held.count++
		answer, err := digest.Digest(held.challenge, digest.Options{Method: method, URI: uri, Count: held.count,
			Username: c.user, Password: c.password,
			GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }})
		if err != nil {
			delete(c.held, reply)
			continue
		}
		out = append(out, Header{reply, answer.String()})
	}
	return out
}
