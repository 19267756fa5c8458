package stir

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Signer signs for the one certificate that it has. It may be used from any goroutine.
type Signer struct {
	key *ecdsa.PrivateKey
	x5u string
	ids []byte // key of the identifiers that stand for our callers
}

// NewSigner takes the certificate chain and the key as PEM, and the https URL where others find the chain. The key is of
// P-256 (RFC 8225 §7), and the first certificate is its own.
func NewSigner(chain, key []byte, x5u string) (*Signer, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	private, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, errors.New("the key is not of the curve P-256, which ES256 needs")
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("the certificate has expired, on %s", pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	if _, err := parseURL(x5u); err != nil {
		return nil, err
	}
	raw, err := private.Bytes()
	if err != nil {
		return nil, err
	}
	ids := sha256.Sum256(append([]byte("origid "), raw...))
	return &Signer{key: private, x5u: x5u, ids: ids[:]}, nil
}

// Sign is the value of an Identity header for a call from one number to another. account tells callers apart, and stands in
// it as an identifier that nobody can turn back (RFC 8588 §5).
func (s *Signer) Sign(now time.Time, a Attestation, orig, dest, account string) (string, error) {
	c := claims{Attest: a, Dest: parties{Numbers: texts{Number(dest)}}, Issued: now.Unix(), Orig: party{Number: Number(orig)}, OrigID: s.originID(account)}
	return s.sign(shaken, &c)
}

// SignDiversion is the value of a further Identity header for a call that was to one number and goes to another now
// (RFC 8946 §4).
func (s *Signer) SignDiversion(now time.Time, orig, from, dest string) (string, error) {
	c := claims{Dest: parties{Numbers: texts{Number(dest)}}, Div: &party{Number: Number(from)}, Issued: now.Unix(), Orig: party{Number: Number(orig)}}
	return s.sign(div, &c)
}

// Size is about how long one such header is, in bytes: the URL stands in it twice.
func (s *Signer) Size() int { return 400 + len(s.x5u)*7/3 }

func (s *Signer) sign(kind string, c *claims) (string, error) {
	if c.Orig.Number == "" || c.Dest.Numbers[0] == "" || c.Div != nil && c.Div.Number == "" {
		return "", errors.New("stir: only telephone numbers are signed")
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, c)
	t.Header["typ"], t.Header["ppt"], t.Header["x5u"] = "passport", kind, s.x5u
	token, err := t.SignedString(s.key)
	if err != nil {
		return "", err
	}
	return writeIdentity(token, s.x5u, kind), nil
}

// originID is the identifier of an account, in the form of a UUID (RFC 9562 §5.8): the same while the key is.
func (s *Signer) originID(account string) string {
	mac := hmac.New(sha256.New, s.ids)
	_, _ = mac.Write([]byte(account))
	id := mac.Sum(nil)[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
