package configs

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
	"tandem/stir"
	"tandem/trunk"
)

var (
	stirSchema      = block.Schema("certificate key url roots hosts")
	trunkSTIRSchema = block.Schema("sign owned known transit verify")
)

// STIR is what calls are signed and verified with.
type STIR struct {
	Signer   *stir.Signer   // nil: no certificate is named
	Verifier *stir.Verifier // nil: no roots are

	sum string // of all that it was made from
}

// Keep takes the verifier of a configuration before, with the certificates that it has fetched, where nothing has changed.
func (s *STIR) Keep(before *STIR) {
	if s.sum == before.sum {
		s.Verifier = before.Verifier
	}
}

func (l *loader) stir(b *hcl.Block) {
	if b == nil {
		return
	}
	r := l.open(b.Body, stirSchema)
	s := &l.config.STIR
	sum := sha256.New()
	chain, _ := l.pemFile(r, "certificate", sum)
	key, _ := l.pemFile(r, "key", sum)
	roots, rooted := l.pemFile(r, "roots", sum)
	url := r.Text("url", "")
	_, _ = io.WriteString(sum, url)
	switch {
	case r.Has("certificate") != r.Has("key") || r.Has("certificate") != r.Has("url"):
		r.Fail(b.DefRange, "half a signer", "To sign takes three: certificate and key, and the url at which others find the certificate.")
	case chain != nil && key != nil:
		var err error
		if s.Signer, err = stir.NewSigner(chain, key, url); err != nil {
			r.Fail(r.Range("certificate"), "not fit to sign with", "%s.", capital(strings.TrimPrefix(err.Error(), "tls: ")))
		}
	}
	var hosts []string
	for _, w := range r.Words("hosts") {
		if host := strings.TrimPrefix(w.Text, "*."); !isHost(host) {
			r.Fail(w.At, "not a host", "Write a host name such as \"certs.example.com\", or \"*.example.com\" for all below one.")
		}
		hosts = append(hosts, strings.ToLower(w.Text))
		_, _ = io.WriteString(sum, " "+w.Text)
	}
	if len(hosts) > 0 && !r.Has("roots") {
		r.Fail(r.Range("hosts"), "nothing is fetched", "Certificates are fetched to verify calls, which needs roots: the file of the authorities that are believed.")
	}
	if rooted {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(roots) {
			r.Fail(r.Range("roots"), "no certificate", "The file holds no certificate in PEM.")
		}
		s.Verifier = stir.NewVerifier(stir.Config{Roots: pool, Hosts: hosts})
	}
	s.sum = hex.EncodeToString(sum.Sum(nil))
}

// pemFile reads a file that an attribute names.
func (l *loader) pemFile(r *block.Reader, name string, sum io.Writer) ([]byte, bool) {
	if !r.Has(name) {
		return nil, false
	}
	path := l.path(r.Text(name, ""))
	text, err := readSmall(path, largestPEM)
	if err != nil {
		r.Fail(r.Range(name), "cannot be read", "%s: %s.", path, reason(err))
		return nil, false
	}
	_, _ = fmt.Fprintf(sum, "%s %d ", name, len(text))
	_, _ = sum.Write(text)
	return text, true
}

// largestPEM bounds a file of certificates: the roots of a country are a few dozen.
const largestPEM = 1 << 20

func readSmall(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(f, most+1))
	if err == nil && n > most {
		err = fmt.Errorf("it is too long")
	}
	return b.Bytes(), err
}

// trunkSTIR reads whether calls to a carrier are signed and those from it verified.
func (l *loader) trunkSTIR(c *trunk.Config, b *hcl.Block) {
	r := l.open(b.Body, trunkSTIRSchema)
	level := func(name, absent string) string { return r.OneOf(name, absent, "A", "B", "C", "none") }
	c.STIR = trunk.STIR{
		Sign: r.Bool("sign", false), Owned: level("owned", "A"), Known: level("known", "B"), Transit: level("transit", "C"),
		Verify: trunk.Verify(r.OneOf("verify", string(trunk.VerifyOff), string(trunk.VerifyOff), string(trunk.VerifyTag), string(trunk.VerifyRequire))),
	}
	if c.STIR.Sign && !l.declares("stir", "certificate") {
		r.Fail(r.Range("sign"), "nothing to sign with", "Name the certificate: stir { certificate = \"chain.pem\", key = \"key.pem\", url = \"https://…\" }, each on its line.")
	}
	if c.STIR.Verify.On() && !l.declares("stir", "roots") {
		r.Fail(r.Range("verify"), "nobody to believe", "Name the authorities whose certificates count: stir { roots = \"sti-pa.pem\" }.")
	}
}

// declares tells whether a block of that kind is there with an attribute: right or wrong, which is said elsewhere.
func (l *loader) declares(kind, attribute string) bool {
	for _, b := range l.blocks {
		if b.Type != kind {
			continue
		}
		content, _, _ := b.Body.PartialContent(block.Schema(attribute))
		if content != nil && content.Attributes[attribute] != nil {
			return true
		}
	}
	return false
}
