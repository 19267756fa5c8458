package trunk

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
	"tandem/test/wire"
)

// signing is the files of a certificate that signs calls, and the web server where others find it.
type signing struct {
	dir     string
	files   map[string]string
	url     string
	fetches atomic.Int32 // of the chain
	inside  atomic.Int32 // connections to a server that nobody may connect to
	decoy   string       // its URL
}

// newSigning makes an authority, a certificate of it, and the two servers. It tells this process, and so the switch, to trust them.
func newSigning(t *testing.T) *signing {
	t.Helper()
	need(t, "secsipidx")
	s := &signing{dir: t.TempDir(), files: map[string]string{}}
	root, leaf := ecKey(t), ecKey(t)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "STI-PA of the test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	s.files["roots.pem"] = s.certificate(t, authority, authority, &root.PublicKey, root)
	s.files["chain.pem"] = s.certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "SHAKEN 709J"}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}, authority, &leaf.PublicKey, root)
	raw, err := x509.MarshalPKCS8PrivateKey(leaf)
	if err != nil {
		t.Fatal(err)
	}
	s.files["sign.key"] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
	sec1, err := x509.MarshalECPrivateKey(leaf)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&leaf.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "sec1.pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}))
	s.write(t, "public.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.fetches.Add(1)
		_, _ = w.Write([]byte(s.files["chain.pem"]))
	}))
	t.Cleanup(web.Close)
	s.url = web.URL + "/chain.pem"
	l, err := net.Listen("tcp", net.JoinHostPort(binary.Host(), "8443"))
	if err != nil {
		t.Fatal(err)
	}
	decoy := &httptest.Server{Listener: l, Config: &http.Server{ConnState: func(net.Conn, http.ConnState) { s.inside.Add(1) }}}
	decoy.StartTLS()
	t.Cleanup(decoy.Close)
	s.decoy = "https://" + l.Addr().String() + "/chain.pem"
	t.Setenv("SSL_CERT_FILE", s.write(t, "web.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})))
	return s
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s *signing) certificate(t *testing.T, c, parent *x509.Certificate, key *ecdsa.PublicKey, by *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, by)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (s *signing) write(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// block is the stir block of a switch that signs and verifies with it.
func (s *signing) block(hosts string) string {
	return `
stir {
  certificate = "chain.pem"
  key         = "sign.key"
  url         = "` + s.url + `"
  roots       = "roots.pem"
` + hosts + `
}
`
}

// foreign runs secsipidx, which shares no code with us.
func (s *signing) foreign(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command("secsipidx", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

// identity is a header value that secsipidx signs.
func (s *signing) identity(t *testing.T, url, orig, dest string) string {
	t.Helper()
	out, err := s.foreign(t, "-sign-full", "-k", filepath.Join(s.dir, "sec1.pem"), "-a", "A", "-o", orig, "-d", dest, "-x5u", url)
	if err != nil {
		t.Fatal(err, out)
	}
	return out
}

// A foreign verifier finds our signature good, and we that of a foreign signer; not of another call, and not with a certificate
// from inside.
func TestSTIRWithAForeignSigner(t *testing.T) {
	made := newSigning(t)
	host := binary.Host()
	hcl := strings.Replace(binary.Office, `class "office" {}`, `class "office" { countries = ["*"] }`, 1)
	trunks := plainTrunk("a", host, "accept {}", "stir {\n sign = true\n verify = \"tag\"\n}")
	s := binary.StartWith(t, made.files, hcl+media+numbering+trunks+strings.Replace(routes("a"), `"1001"`, `"1002"`, 1)+made.block(`  hosts       = ["127.0.0.1"]`))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Log())
		}
	})
	p := desk(t, s)
	carrier := scripted(t, host, s)

	call := dial(t, p, "+33140000001", phone.CallOptions{})
	out := carrier.Rung()
	value := out.Asked.Get("identity")
	if got, err := made.foreign(t, "-check", "-identity", value, "-p", filepath.Join(made.dir, "public.pem"), "-expire", "60"); err != nil || !strings.Contains(got, "ok") {
		t.Errorf("secsipidx says of our signature: %s, %v\n%s", got, err, value)
	}
	if got, err := made.foreign(t, "-check", "-identity", "x"+value, "-p", filepath.Join(made.dir, "public.pem"), "-expire", "60"); err == nil && strings.Contains(got, "ok") {
		t.Errorf("secsipidx would say so of anything: %s", got)
	}
	refuse(out, 486)
	_ = call.WaitAnswered(within(t, patience))

	callee := wire.NewPhone(wire.UDP(t, "127.0.0.1", 0, s.Addr(5060)), "1002", binary.Password)
	callee.Domain = s.Host
	callee.Register()
	s.Eventually(patience, "knowing its carrier", func() bool { return s.Metrics()[`tandem_trunk_targets{state="alive",trunk="a"}`] == 1 })
	media := wire.NewMedia(t, host, "c")
	for _, x := range []struct{ name, url, signedFor, want string }{
		{"good", made.url, "442079460018", "TN-Validation-Passed"},
		{"good again, from the cache", made.url, "442079460018", "TN-Validation-Passed"},
		{"of another call", made.url, "442079460099", "TN-Validation-Failed"},
		{"a certificate from inside", made.decoy, "442079460018", "TN-Validation-Failed"},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := carrier.New("INVITE", "+442079460018")
			r.URI, r.To = "sip:+442079460018@"+s.Host, "<sip:+442079460018@"+s.Host+">"
			r.From, r.Body = fmt.Sprintf("<sip:+33140000001@%s>;tag=%s", host, wire.Token()), media.SDP()
			r.Extra = []string{"Identity: " + made.identity(t, x.url, "33140000001", x.signedFor)}
			carrier.Send(carrier.Text(r))
			in := callee.Rung()
			if got := in.Asked.Get("p-asserted-identity"); !strings.Contains(got, "verstat="+x.want) || in.Asked.Get("identity") != "" {
				t.Errorf("the phone is told %q", got)
			}
			in.Respond(486, "")
			in.Acked()
			final := carrier.Await(patience, "a refusal", func(m wire.Message) bool { return m.Status() == 486 && m.Get("call-id") == r.CallID })
			carrier.Send(carrier.Text(wire.Request{Method: "ACK", URI: r.URI, From: r.From, To: final.Get("to"), CallID: r.CallID, Branch: final.Branch(), Seq: r.Seq}))
		})
	}
	if m := s.Metrics(); m[`tandem_callers_verified_total{verstat="TN-Validation-Passed"}`] != 2 || m[`tandem_callers_verified_total{verstat="TN-Validation-Failed"}`] != 2 {
		t.Error("counted:", m)
	}
	if n := made.fetches.Load(); n != 1 {
		t.Errorf("the certificate was fetched %d times", n)
	}
	if n := made.inside.Load(); n != 0 {
		t.Errorf("%d connections to an address inside", n)
	}
}
