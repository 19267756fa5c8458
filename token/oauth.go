package token

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// OAuthConfig says whose bearer tokens are taken (RFC 8898).
type OAuthConfig struct {
	Issuer   string // that tokens must name
	Audience string // that they must be for
	Claim    string // which claim holds the extension
	Server   string // the authorization server that clients are sent to; empty: the issuer
	JWKS     string // https URL of the issuer's keys (RFC 7517), or absolute path of a file of them
}

// algorithms are those that a token may be signed with. There is no "none" among them, and none with a shared secret.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}

// leeway is how far the issuer's clock may be from ours.
const leeway = time.Minute

// OAuth verifies bearer tokens. Run keeps its keys fresh; Verify never waits for them.
type OAuth struct {
	log   *slog.Logger
	fetch fetcher

	set  atomic.Pointer[trust]
	wake chan struct{} // the keys are wanted now

	mu     sync.Mutex
	loaded time.Time // when the keys were asked for last
}

// trust is a configuration with the keys that belong to it.
type trust struct {
	cfg  *OAuthConfig
	keys map[string]jose.JSONWebKey // by key id; nil: not known yet
}

// NewOAuth makes one that takes nothing until Update.
func NewOAuth(log *slog.Logger) *OAuth {
	o := &OAuth{log: log, fetch: download(nil), wake: make(chan struct{}, 1)}
	o.set.Store(&trust{})
	return o
}

// Update puts another configuration in force; nil: no tokens are taken. Keys of an unchanged source stay, and are looked for
// anew.
func (o *OAuth) Update(cfg *OAuthConfig) {
	before := o.set.Load()
	next := &trust{cfg: cfg}
	if cfg != nil && before.cfg != nil && cfg.JWKS == before.cfg.JWKS {
		next.keys = before.keys
	}
	o.set.Store(next)
	o.mu.Lock()
	o.loaded = time.Time{}
	o.mu.Unlock()
	o.ask()
}

// On tells whether tokens are taken.
func (o *OAuth) On() bool { return o.set.Load().cfg != nil }

// What a token's bearer is told. It says what to do, and nothing of what was expected.
var (
	errOff       = errors.New("bearer tokens are not taken here")
	errMalformed = errors.New("malformed bearer token")
	errNoKeys    = errors.New("keys of the issuer are not known yet")
	errKey       = errors.New("bearer token with an unknown key")
	errSignature = errors.New("bearer token with a wrong signature")
	errClaims    = errors.New("bearer token of another issuer or for another audience")
	errEarly     = errors.New("bearer token is not valid yet")
	errNoUser    = errors.New("bearer token names no extension")
	errNoExpiry  = errors.New("bearer token without an expiry")
)

// claims are those that every token needs.
type claims struct {
	jwt.Claims
	all map[string]any
}

// Verify tells which extension a token speaks for, and until when. It does not judge the expiry: the caller compares it, and
// says so. A key that is not known is looked for, for the next time.
func (o *OAuth) Verify(now time.Time, text string) (extension string, until time.Time, err error) {
	t := o.set.Load()
	if t.cfg == nil {
		return "", until, errOff
	}
	token, err := jwt.ParseSigned(text, algorithms)
	if err != nil || len(token.Headers) != 1 {
		return "", until, errMalformed
	}
	if t.keys == nil {
		o.ask()
		return "", until, errNoKeys
	}
	key, ok := t.keys[token.Headers[0].KeyID]
	if !ok || key.Algorithm != "" && key.Algorithm != token.Headers[0].Algorithm {
		o.ask()
		return "", until, errKey
	}
	var c claims
	if err := token.Claims(key.Key, &c.Claims, &c.all); err != nil {
		return "", until, errSignature
	}
	return t.judge(now, &c)
}

func (t *trust) judge(now time.Time, c *claims) (extension string, until time.Time, err error) {
	switch {
	case c.Issuer != t.cfg.Issuer || !c.Audience.Contains(t.cfg.Audience):
		return "", until, errClaims
	case c.Expiry == nil:
		return "", until, errNoExpiry
	case c.NotBefore != nil && now.Add(leeway).Before(c.NotBefore.Time()), c.IssuedAt != nil && now.Add(leeway).Before(c.IssuedAt.Time()):
		return "", until, errEarly
	}
	extension, _ = c.all[t.cfg.Claim].(string)
	if extension == "" {
		return "", until, errNoUser
	}
	return extension, c.Expiry.Time(), nil
}

// Challenge is what a challenge for bearer tokens says beside the realm (RFC 8898 §4).
func (o *OAuth) Challenge() string {
	t := o.set.Load()
	if t.cfg == nil {
		return `error="invalid_request"`
	}
	server := t.cfg.Server
	if server == "" {
		server = t.cfg.Issuer
	}
	return `authz_server="` + server + `"`
}

// ask has Run look for keys, unless it has just done so.
func (o *OAuth) ask() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// askedTooSoon bounds how often strangers with invented key ids make us ask the issuer.
const askedTooSoon = 30 * time.Second

// Run fetches keys when they are wanted and when they grow old, until ctx ends.
func (o *OAuth) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.wake:
		case <-timer.C:
		}
		timer.Reset(o.refresh(ctx))
	}
}

// refresh fetches the keys, and says when to do so again. Keys that are known stay while the issuer cannot be reached.
func (o *OAuth) refresh(ctx context.Context) time.Duration {
	t := o.set.Load()
	if t.cfg == nil {
		return time.Hour
	}
	now := time.Now()
	o.mu.Lock()
	wait := o.loaded.Add(askedTooSoon).Sub(now)
	if wait <= 0 {
		o.loaded = now
	}
	o.mu.Unlock()
	if wait > 0 {
		return wait
	}
	keys, keep, err := load(ctx, t.cfg.JWKS, o.fetch)
	if err != nil {
		o.log.Error("keys for bearer tokens not fetched", "from", t.cfg.JWKS, "err", err)
		return askedTooSoon
	}
	o.set.CompareAndSwap(t, &trust{cfg: t.cfg, keys: keys})
	o.log.Debug("keys for bearer tokens", "from", t.cfg.JWKS, "keys", len(keys))
	return keep
}
