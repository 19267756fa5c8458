package stir

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tandem/sip"
)

// freshness is how far the time of a PASSporT may be from ours (ATIS-1000074: 60 s).
const freshness = 60 * time.Second

// Config is what a Verifier trusts.
type Config struct {
	Roots    *x509.CertPool // of signers' certificates
	Hosts    []string       // the only ones that certificates are fetched from, "*.name" for all below a name; none: any public one
	Web      *x509.CertPool // whom those hosts are known by; nil: the system's own
	Resolver *net.Resolver  // that their names are looked up with; nil: the system's
	// Fetch gets the text at an https URL; nil: over the net, as this package's fetch.go describes.
	Fetch func(ctx context.Context, address string) ([]byte, time.Duration, error)
}

// Verifier verifies Identity headers. It may be used from any goroutine.
type Verifier struct {
	cfg   Config
	cache *cache
}

// NewVerifier makes one with an empty cache.
func NewVerifier(cfg Config) *Verifier {
	fetch := fetcher(cfg.Fetch)
	if fetch == nil {
		fetch = https(cfg)
	}
	return &Verifier{cfg: cfg, cache: newCache(fetch, func(text []byte, now time.Time) (*authority, error) { return readChain(text, cfg.Roots, now) })}
}

// Fetches is how many certificates have been asked for over the net.
func (v *Verifier) Fetches() uint64 {
	v.cache.mu.Lock()
	defer v.cache.mu.Unlock()
	return v.cache.fetches
}

// Verstat is what the called side is told of a call's number (3GPP TS 24.229 §7.2A.20).
type Verstat string

// The values of verstat.
const (
	Passed Verstat = "TN-Validation-Passed"
	Failed Verstat = "TN-Validation-Failed"
	None   Verstat = "No-TN-Validation"
)

// Call is what a call says of itself outside its PASSporTs.
type Call struct {
	Orig   string // the number that the called side would be shown
	To     string // of the To header
	Called string // of the Request-URI: another one where the call was diverted
}

// Verdict is what came of a verification.
type Verdict struct {
	Verstat Verstat
	Attest  Attestation      // of a number that passed
	Orig    string           // that number
	OrigID  string           // that the signer gave
	Values  []string         // that passed: these may be passed on
	Refusal *sip.StatusError // what a call is answered that must be verified; nil where it passed
}

var (
	errCredential = errors.New("the certificate is not trusted")
	errStale      = errors.New("the PASSporT is too old, or of the future")
	errNumbers    = errors.New("the PASSporT is of another call")
	errSignature  = errors.New("the signature is wrong")
	errScope      = errors.New("the certificate is not for that number")
	errMany       = errors.New("there are too many Identity headers")
	errMissing    = errors.New("there is no SHAKEN PASSporT")
)

// unreachable is why a certificate could not be fetched.
type unreachable struct{ err error }

func (e *unreachable) Error() string { return "the certificate cannot be fetched: " + e.err.Error() }
func (e *unreachable) Unwrap() error { return e.err }

// Verify judges the Identity values of a call (RFC 8224 §6.2). All that can be known without the certificate is looked at
// before anything is fetched. It blocks for that fetch, two seconds at most.
func (v *Verifier) Verify(ctx context.Context, now time.Time, values []string, call Call) Verdict {
	call = Call{Number(call.Orig), Number(call.To), Number(call.Called)}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	signed, used, err := choose(now, values, call)
	if err != nil {
		return refused(err)
	}
	for _, p := range signed {
		if err := v.check(ctx, now, p, call.Orig); err != nil {
			return refused(err)
		}
	}
	return Verdict{Verstat: Passed, Attest: signed[0].Attest, Orig: call.Orig, OrigID: signed[0].OrigID, Values: used}
}

// choose finds the PASSporT of the caller, first, and those of the diversions that lead from the number it was for to where
// the call is now (RFC 8946 §6).
func choose(now time.Time, values []string, call Call) (signed []*passport, used []string, err error) {
	if len(values) > mostValues {
		return nil, nil, errMany
	}
	var first *passport
	var diversions []*passport
	texts := map[*passport]string{}
	for _, value := range values {
		p, err := readIdentity(value)
		if errors.Is(err, errUnknownKind) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		texts[p] = value
		switch {
		case p.kind == div:
			diversions = append(diversions, p)
		case first != nil:
			return nil, nil, fmt.Errorf("%w: there are two of them", errForm)
		default:
			first = p
		}
	}
	if first == nil {
		return nil, nil, errMissing
	}
	signed, err = chainTo(now, first, diversions, call)
	for _, p := range signed {
		used = append(used, texts[p])
	}
	return signed, used, err
}

// chainTo is the PASSporTs that lead from the caller to where the call is: of one call, fresh, each beginning where the one before ends.
func chainTo(now time.Time, first *passport, diversions []*passport, call Call) ([]*passport, error) {
	signed := []*passport{first}
	for {
		last := signed[len(signed)-1]
		if Number(last.Orig.Number) != call.Orig || call.Orig == "" {
			return nil, errNumbers
		}
		if d := now.Sub(last.issued); d > freshness || d < -freshness {
			return nil, errStale
		}
		if last.calls(call.To) || len(signed) > 1 && last.calls(call.Called) {
			return signed, nil
		}
		next := slices.IndexFunc(diversions, func(p *passport) bool { return last.calls(Number(p.Div.Number)) })
		if next < 0 {
			return nil, errNumbers
		}
		signed = append(signed, diversions[next])
		diversions = slices.Delete(slices.Clone(diversions), next, next+1)
	}
}

// check fetches the certificate of a PASSporT and checks its signature with it.
func (v *Verifier) check(ctx context.Context, now time.Time, p *passport, number string) error {
	u, err := parseURL(p.x5u)
	if err == nil {
		_, err = mayFetch(u, v.cfg.Hosts)
	}
	if err != nil {
		return err
	}
	a, err := v.cache.get(ctx, now, u)
	if err != nil {
		return err
	}
	if _, err := parser.ParseWithClaims(p.token, &claims{}, func(*jwt.Token) (any, error) { return a.key, nil }); err != nil {
		return fmt.Errorf("%w: %w", errSignature, err)
	}
	signer := number
	if p.kind == div {
		signer = Number(p.Div.Number) // who diverts signs for the number that did
	}
	if !a.mayShow(signer) {
		return errScope
	}
	return nil
}

// refused is the verdict of a call that did not pass, with the answers of RFC 8224 §6.2.2.
func refused(err error) Verdict {
	d := Verdict{Verstat: Failed, Refusal: &sip.StatusError{Code: 438, Err: err}}
	var away *unreachable
	switch {
	case errors.Is(err, errMissing):
		d.Verstat, d.Refusal.Code = None, 428
	case errors.Is(err, errStale):
		d.Refusal.Code, d.Refusal.Reason = 403, "Stale Date"
	case errors.As(err, &away), errors.Is(err, errNoInfo), errors.Is(err, errURL), errors.Is(err, errInside), errors.Is(err, errHost):
		d.Refusal.Code = 436
	case errors.Is(err, errCredential), errors.Is(err, errScope):
		d.Refusal.Code = 437
	}
	return d
}
