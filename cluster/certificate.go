package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"time"
)

const (
	// authorityLife is longer than a cluster's: a new authority is a new cluster.
	authorityLife = 20 * 365 * 24 * time.Hour
	// certificateLife is that of a node's certificate. One is renewed when a third of it is left, four months, and somebody must look
	// when a sixth is: a node that is repaired within the time between needs nobody.
	certificateLife = 365 * 24 * time.Hour
	// clockSkew is how far before its time a certificate is good: the clocks of two machines differ.
	clockSkew = time.Hour
)

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func template(name pkix.Name, life time.Duration) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: name, NotBefore: now.Add(-clockSkew), NotAfter: now.Add(life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// authorityName tells the node where a cluster began.
func authorityName(node string) string { return "Tandem cluster " + node }

// newAuthority is a certificate that signs itself.
func newAuthority(node string, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	t := template(pkix.Name{CommonName: authorityName(node)}, authorityLife)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// sign makes the certificate of a node. The machine is the how-manieth under that name: it is the serial number of the subject
// (RFC 4519, section 2.31), by which a machine that has been exchanged is told from its successor.
func sign(ca *x509.Certificate, key *ecdsa.PrivateKey, node string, machine int, life time.Duration, public any) ([]byte, error) {
	t := template(pkix.Name{CommonName: node, SerialNumber: strconv.Itoa(machine)}, life)
	t.DNSNames = []string{everyNode, node}
	if t.NotAfter.After(ca.NotAfter) {
		t.NotAfter = ca.NotAfter
	}
	return x509.CreateCertificate(rand.Reader, t, ca, public, key)
}

// machineOf is which machine under its name a certificate belongs to. Those made before they were counted say nothing: 0.
func machineOf(c *x509.Certificate) int {
	n, err := strconv.Atoi(c.Subject.SerialNumber)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no certificate in PEM form")
	}
	return x509.ParseCertificate(block.Bytes)
}

// verify wants a certificate of a node that an authority has signed, and that is good at a time.
func verify(cert, authority *x509.Certificate, now time.Time) error {
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	_, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: everyNode, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: now})
	return err
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// lifeOf is how long a certificate was made for.
func lifeOf(c *x509.Certificate) time.Duration { return c.NotAfter.Sub(c.NotBefore.Add(clockSkew)) }

// due tells whether it is time for the next certificate. Those that older versions made for twenty years are exchanged too.
func due(c *x509.Certificate, now time.Time) bool {
	return c.NotAfter.Sub(now) < lifeOf(c)/3 || lifeOf(c) > 2*certificateLife
}

// late tells whether somebody must look why there is no next one.
func late(c *x509.Certificate, now time.Time) bool { return c.NotAfter.Sub(now) < lifeOf(c)/6 }

// outOfTime says what is wrong with the time of a certificate, or of the clock; nil: nothing.
func outOfTime(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore):
		return fmt.Errorf("the clock of this machine says %s, and its certificate begins at %s: set the clock, by an NTP client at best", inUTC(now), inUTC(c.NotBefore))
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate of node %q ended on %s: on a switch of the cluster that runs, `tandem cluster invite %s`, and here `tandem cluster join TOKEN`; the state of this machine stays",
			c.Subject.CommonName, c.NotAfter.Format(time.DateOnly), c.Subject.CommonName)
	}
	return nil
}

// inUTC is a moment for people.
func inUTC(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// clockToJoin says what is wrong with the clock of a machine that would join, by the certificate of the node that invites it; nil: nothing.
func clockToJoin(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore):
		return fmt.Errorf("the clock of this machine is behind: it says %s, and the certificate of node %q begins at %s: set the clock, by an NTP client at best, and join again",
			inUTC(now), c.Subject.CommonName, inUTC(c.NotBefore))
	case now.After(c.NotAfter):
		return fmt.Errorf("the clock of this machine says %s, and the certificate of node %q ended at %s: if this clock is ahead, set it, by an NTP client at best, and join again; if not, `tandem cluster renew` there",
			inUTC(now), c.Subject.CommonName, inUTC(c.NotAfter))
	}
	return nil
}
