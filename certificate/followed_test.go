package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"
)

// files are the chain and key of a certificate for some names.
func files(t *testing.T, serial int64, ends time.Duration, names ...string) (chain, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: names, NotBefore: time.Now(), NotAfter: time.Now().Add(ends)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

func TestFollowedCertificates(t *testing.T) {
	f := NewFollowed([]string{"pbx.example.com", "*.example.net"})
	shown := func(name string) int64 {
		c, err := f.ForHandshake(&tls.ClientHelloInfo{ServerName: name})
		switch {
		case errors.Is(err, ErrNoCertificate):
			return 0
		case err != nil:
			t.Fatal(err)
		}
		return c.Leaf.SerialNumber.Int64()
	}
	take := func(name string, value []byte, fails bool) {
		t.Helper()
		if err := f.Take(name, value); (err != nil) != fails {
			t.Errorf("%s: %v", name, err)
		}
	}
	const at = "certificates/authority/pbx.example.com/pbx.example.com"
	chain, key := files(t, 1, time.Hour, "pbx.example.com")
	if shown("pbx.example.com") != 0 {
		t.Error("something is shown before anything is known")
	}
	take(at+".key", key, false)
	take(at+".json", []byte("{}"), false)
	take("acme/account.key", key, false)
	take(at+".crt", chain, false)
	for _, name := range []string{"pbx.example.com", "PBX.example.com.", "", "else.example.org"} {
		if n := shown(name); n != 1 {
			t.Errorf("%q is shown %d", name, n)
		}
	}
	wildChain, wildKey := files(t, 2, time.Hour, "*.example.net")
	take("certificates/authority/wildcard_.example.net/wildcard_.example.net.crt", wildChain, false)
	take("certificates/authority/wildcard_.example.net/wildcard_.example.net.key", wildKey, false)
	if n := shown("b.example.net"); n != 2 {
		t.Errorf("the wildcard is shown as %d", n)
	}

	again, newKey := files(t, 3, 2*time.Hour, "pbx.example.com")
	take(at+".key", newKey, false) // for a moment the halves do not fit: the old one goes on
	if n := shown("pbx.example.com"); n != 1 {
		t.Errorf("during the renewal %d is shown", n)
	}
	take(at+".crt", again, false)
	if n := shown("pbx.example.com"); n != 3 {
		t.Errorf("after the renewal %d is shown", n)
	}
	take(at+".crt", nil, false)
	take(at+".key", nil, false)
	if n := shown("pbx.example.com"); n != 0 {
		t.Errorf("after its end %d is shown", n)
	}
	take("certificates/x/x.crt", []byte("nothing"), false)
	take("certificates/x/x.key", []byte("nothing"), true)
}
