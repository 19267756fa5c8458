package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Bounds on a set of keys: strangers do not choose where it comes from, but what is there may be broken.
const (
	maxKeySet  = 256 << 10
	maxKeys    = 100
	fetchTime  = 5 * time.Second
	minKeep    = time.Minute
	usualKeep  = 10 * time.Minute
	maxKeep    = 24 * time.Hour
	minRSABits = 2048
)

// fetcher gets the text at a URL, and how long it may be kept.
type fetcher func(ctx context.Context, url string) (text []byte, keep time.Duration, err error)

// load reads a set of keys from where it is, and leaves out those that tokens may not be signed with.
func load(ctx context.Context, where string, fetch fetcher) (map[string]jose.JSONWebKey, time.Duration, error) {
	text, keep, err := []byte(nil), usualKeep, error(nil)
	if strings.HasPrefix(where, "https://") || strings.HasPrefix(where, "http://") {
		text, keep, err = fetch(ctx, where)
	} else {
		text, err = readKeySet(where)
	}
	if err != nil {
		return nil, 0, err
	}
	keys, err := readKeys(text)
	return keys, min(max(keep, minKeep), maxKeep), err
}

func readKeySet(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKeySet))
}

// CheckKeySet tells what is wrong with a file of keys.
func CheckKeySet(path string) error {
	_, _, err := load(context.Background(), path, nil)
	return err
}

func readKeys(text []byte) (map[string]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("no set of keys (RFC 7517): %w", err)
	}
	keys := map[string]jose.JSONWebKey{}
	for _, raw := range set.Keys[:min(len(set.Keys), maxKeys)] {
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(raw); err == nil && signs(&k) { // kinds that we do not know are passed over (RFC 7517 §5)
			keys[k.KeyID] = k
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the set has no key for RS256 or ES256")
	}
	return keys, nil
}

// signs tells whether a key is a public one of an algorithm that we take, and strong enough.
func signs(k *jose.JSONWebKey) bool {
	if k.Use != "" && k.Use != "sig" || !k.Valid() {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return key.Curve == elliptic.P256()
	}
	return false
}

// download gets what a URL has: no redirects, no more than maxKeySet, within fetchTime.
func download(base http.RoundTripper) fetcher {
	client := &http.Client{Timeout: fetchTime, Transport: base, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return func(ctx context.Context, url string) ([]byte, time.Duration, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, 0, err
		}
		r.Header.Set("Accept", "application/jwk-set+json, application/json")
		res, err := client.Do(r)
		if err != nil {
			return nil, 0, err
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusOK {
			return nil, 0, fmt.Errorf("it answers %s", res.Status)
		}
		text, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
		if err == nil && len(text) > maxKeySet {
			err = fmt.Errorf("it has more than %d bytes", maxKeySet)
		}
		return text, maxAge(res.Header.Get("Cache-Control")), err
	}
}

// maxAge is how long an answer may be kept (RFC 9111 §5.2.2.1).
func maxAge(header string) time.Duration {
	for part := range strings.SplitSeq(header, ",") {
		if name, value, _ := strings.Cut(strings.TrimSpace(part), "="); strings.EqualFold(name, "max-age") {
			if n, err := strconv.Atoi(value); err == nil {
				return time.Duration(n) * time.Second
			}
		}
	}
	return usualKeep
}
