package stir

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// mostCertificates bounds a chain.
const mostCertificates = 8

// authority is what a certificate may sign: its key, and the numbers that it names.
type authority struct {
	key     *ecdsa.PublicKey
	until   time.Time // when a certificate of its chain expires
	numbers []numberRange
	codes   bool // it names a service provider: which numbers are that one's is not in the certificate
}

// numberRange is numbers from first to last, with as many digits.
type numberRange struct{ first, last string }

// mayShow tells whether the certificate covers a number. One without a TNAuthList covers what its issuer says, which is
// nothing that we could check; one of a provider covers all (RFC 8226 §9, ATIS-1000080).
func (a *authority) mayShow(number string) bool {
	if a.codes || len(a.numbers) == 0 {
		return true
	}
	for _, r := range a.numbers {
		if len(number) == len(r.first) && number >= r.first && number <= r.last {
			return true
		}
	}
	return false
}

// tnAuthList is id-pe-TNAuthList (RFC 8226 §9).
var tnAuthList = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 26}

// readChain checks a chain of PEM certificates, the signer's own first, against the roots.
func readChain(text []byte, roots *x509.CertPool, now time.Time) (*authority, error) {
	certificates, err := readPEM(text)
	if err != nil {
		return nil, err
	}
	leaf, others := certificates[0], x509.NewCertPool()
	for _, c := range certificates[1:] {
		others.AddCert(c)
	}
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the certificate's key is not of the curve P-256")
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, errors.New("the certificate is not for signatures")
	}
	a := &authority{key: key}
	if err := a.readList(leaf); err != nil {
		return nil, err
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, err
	}
	a.until = leaf.NotAfter
	for _, c := range chains[0] {
		if c.NotAfter.Before(a.until) {
			a.until = c.NotAfter
		}
	}
	return a, nil
}

func readPEM(text []byte) (all []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a %q is no certificate", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if all = append(all, c); len(all) > mostCertificates {
			return nil, errors.New("too many certificates")
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate in PEM")
	}
	return all, nil
}

// readList reads the TNAuthList of a certificate, and marks it as understood where it is critical.
func (a *authority) readList(c *x509.Certificate) error {
	for _, x := range c.Extensions {
		if !x.Id.Equal(tnAuthList) {
			continue
		}
		c.UnhandledCriticalExtensions = without(c.UnhandledCriticalExtensions, tnAuthList)
		if err := a.readEntries(x.Value); err != nil {
			return fmt.Errorf("TNAuthList: %w", err)
		}
		if !a.codes && len(a.numbers) == 0 {
			return errors.New("TNAuthList: it is empty")
		}
	}
	return nil
}

func without(list []asn1.ObjectIdentifier, id asn1.ObjectIdentifier) (out []asn1.ObjectIdentifier) {
	for _, x := range list {
		if !x.Equal(id) {
			out = append(out, x)
		}
	}
	return out
}

// readEntries reads TNAuthorizationList: of each entry the tag says what it is, and what is in it is tagged once more
// (EXPLICIT TAGS, RFC 8226 appendix A).
func (a *authority) readEntries(der []byte) error {
	var entries []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &entries); err != nil || len(rest) > 0 {
		return errors.New("malformed")
	}
	for _, e := range entries {
		if e.Class != asn1.ClassContextSpecific {
			return errors.New("malformed")
		}
		switch e.Tag {
		case 0: // spc, a ServiceProviderCode
			a.codes = true
		case 1: // range, a TelephoneNumberRange
			var r struct {
				Start string `asn1:"ia5"`
				Count *big.Int
			}
			if rest, err := asn1.Unmarshal(e.Bytes, &r); err != nil || len(rest) > 0 {
				return errors.New("malformed range")
			}
			last, ok := lastOf(r.Start, r.Count)
			if !ok {
				return errors.New("malformed range")
			}
			a.numbers = append(a.numbers, numberRange{r.Start, last})
		case 2: // one, a TelephoneNumber
			var one string
			if rest, err := asn1.UnmarshalWithParams(e.Bytes, &one, "ia5"); err != nil || len(rest) > 0 || Number(one) != one {
				return errors.New("malformed number")
			}
			a.numbers = append(a.numbers, numberRange{one, one})
		}
	}
	return nil
}

// lastOf is the last of count numbers that begin with start; they all have as many digits.
func lastOf(start string, count *big.Int) (string, bool) {
	first, ok := new(big.Int).SetString(start, 10)
	if !ok || Number(start) != start || count == nil || count.Sign() <= 0 || len(start) > 15 {
		return "", false
	}
	last := new(big.Int).Add(first, count)
	text := last.Sub(last, big.NewInt(1)).String()
	for len(text) < len(start) {
		text = "0" + text
	}
	return text, len(text) == len(start)
}
