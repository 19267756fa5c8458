package trunk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
	"tandem/test/wire"
)

// certify makes a certificate of its own for a name or an address, and adds it to the roots in a file.
func certify(t testing.TB, roots, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(roots, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := pem.Encode(f, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// listening takes TLS connections at a host and tells of each whether the first octet of SIP came.
func listening(t testing.TB, host string, c tls.Certificate) <-chan bool {
	t.Helper()
	l, err := tls.Listen("tcp", host+":5061", &tls.Config{Certificates: []tls.Certificate{c}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	spoke := make(chan bool, 16)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
				n, _ := conn.Read(make([]byte, 1))
				spoke <- n > 0
			}()
		}
	}()
	return spoke
}

// TestACarrierProvesItsName: no SIP goes to one whose certificate is trusted and names somebody else (RFC 5922).
func TestACarrierProvesItsName(t *testing.T) {
	roots := filepath.Join(t.TempDir(), "roots.pem")
	right, wrong := binary.Host(), binary.Host()
	heard := listening(t, right, certify(t, roots, right))
	silence := listening(t, wrong, certify(t, roots, "sip.other.example"))
	t.Setenv("SSL_CERT_FILE", roots)
	s := open(t, plainTrunk("right", right+":5061;transport=tls")+plainTrunk("wrong", wrong+":5061;transport=tls")+`
route "right" {
  to = "+331..."
  dial { trunks = [trunk.right] }
}
route "wrong" {
  to = "+332..."
  dial { trunks = [trunk.wrong] }
}
`)
	p := desk(t, s)
	c := dial(t, p, "+33240000001", phone.CallOptions{})
	if err := c.WaitAnswered(within(t, patience)); err == nil {
		t.Error("answered by whom?")
	}
	if <-silence {
		t.Error("SIP was sent to a carrier that has not proven its name")
	}
	dial(t, p, "+33140000001", phone.CallOptions{})
	if !<-heard {
		t.Error("nothing was sent to the carrier with the right name")
	}
}

// TestACarrierIsKnownByItsCertificate: calls are taken from whoever proves the name over TLS, from any address; another name
// of the same authority, and the same words without a certificate, make a stranger.
func TestACarrierIsKnownByItsCertificate(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts the switch")
	}
	roots := filepath.Join(t.TempDir(), "roots.pem")
	right, wrong := certify(t, roots, "sbc.carrier.test"), certify(t, roots, "sbc.other.test")
	hcl := strings.Replace(binary.Office, `  key         = "key.pem"
}`, `  key         = "key.pem"
  client_ca   = "`+roots+`"
}`, 1)
	s := binary.Start(t, hcl+media+numbering+plainTrunk("a", binary.Host(), `accept { names = ["sbc.carrier.test"] }`)+`
route "in" {
  from = [trunk.a]
  to   = "+442079460018"
  echo {}
}
`)
	ask := func(l *wire.Line) int {
		p := wire.NewPhone(l, "carrier", "")
		r := p.New("INVITE", "+442079460018")
		r.Body = wire.NewMedia(t, "127.0.0.1", "a").SDP()
		m, ok := p.Try(r, 3*time.Second)
		if !ok {
			t.Fatal("no answer")
		}
		return m.Status()
	}
	if got := ask(wire.TLS(t, "127.0.0.1", s.Addr(5061), right)); got != 200 {
		t.Error("the carrier gets", got)
	}
	if got := ask(wire.TLS(t, "127.0.0.1", s.Addr(5061), wrong)); got != 401 {
		t.Error("another name gets", got)
	}
	if got := ask(wire.TCP(t, "127.0.0.1", s.Addr(5060))); got != 401 {
		t.Error("without a certificate:", got)
	}
}
