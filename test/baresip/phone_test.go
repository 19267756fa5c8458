package baresip

import (
	"context"
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
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func startPhone(t *testing.T, c Config) *Phone {
	t.Helper()
	c.Dir = t.TempDir()
	p, err := Start(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("baresip printed:\n%s", p.Output())
		}
	})
	return p
}

// certificate makes one for 127.0.0.1: a file with it and its key, and the same for Go.
func certificate(t *testing.T) (string, *tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "both.pem")
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})...)
	if err := os.WriteFile(path, both, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Two phones that share no code, without a switch between them: each calls the other, over every transport that
// baresip has, plain and with SRTP.
func TestAgainstTandemPhone(t *testing.T) {
	binary.Need(t, "baresip", "baresip")
	path, pair := certificate(t)
	for _, c := range []struct {
		name, transport, srtp string
		policy                phone.SRTP
		offered, answered     string // suite when tandem phone offers both of its own, and when baresip does
	}{
		{"udp", "udp", "", phone.SRTPOff, "", ""},
		{"tcp, SRTP optional", "tcp", "srtp", phone.SRTPOptional, "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80"},
		{"tls, SRTP required", "tls", "srtp-mand", phone.SRTPRequired, "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			other := startPhone(t, Config{User: "bob", Transport: c.transport, Answer: "auto", Tone: 660, SRTP: c.srtp, Certificate: path, CAFile: path})
			p, err := phone.New(phone.Config{User: "alice", Transport: c.transport, Local: "127.0.0.1", Insecure: true, Certificate: pair,
				SRTP: c.policy, Answer: phone.AutoAnswer("tone:440")})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			call, err := p.Call(within(t), other.URI(), phone.CallOptions{Play: "tone:440"})
			if err != nil {
				t.Fatal(err)
			}
			converse(t, call, other, c.offered)
			before := len(other.Events())
			if err := call.Hangup(within(t)); err != nil {
				t.Fatal(err)
			}
			if _, err := other.WaitEvent(within(t), "CALL_CLOSED", before); err != nil {
				t.Fatal(err)
			}
			heard(t, other, 440)
			if err := other.Dial(within(t), p.URI()); err != nil {
				t.Fatal(err)
			}
			call, err = p.WaitIncoming(within(t))
			if err != nil {
				t.Fatal(err)
			}
			converse(t, call, other, c.answered)
			if err := other.Hangup(within(t)); err != nil {
				t.Fatal(err)
			}
			if e, err := call.Wait(within(t)); err != nil || e.By != phone.ByRemote {
				t.Errorf("ended %+v (%v)", e, err)
			}
			heard(t, other, 440)
		})
	}
}

// converse checks tones, digits and holds from both sides.
func converse(t *testing.T, call *phone.Call, other *Phone, suite string) {
	t.Helper()
	listen := func(when string) {
		t.Helper()
		if sound, err := call.WaitTone(within(t), 660); err != nil {
			t.Fatalf("%s: %v %v", when, sound, err)
		}
	}
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"hold", call.Hold}, {"resume", call.Resume}, {"hold by baresip", other.Hold}, {"resume by baresip", other.Resume},
	}
	listen("at first")
	for i, s := range steps {
		if err := s.do(within(t)); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if i%2 == 1 {
			listen("after " + s.name)
		}
	}
	after := len(other.Events())
	if err := call.SendDTMF(within(t), "5#"); err != nil {
		t.Fatal(err)
	}
	if e, err := other.WaitEvent(within(t), "CALL_DTMF_START", after); err != nil || e.Text != "5" {
		t.Errorf("baresip heard the key %q (%v)", e.Text, err)
	}
	if err := other.DTMF(within(t), "7"); err != nil {
		t.Fatal(err)
	}
	if err := call.WaitDTMF(within(t), "7"); err != nil {
		t.Error(err)
	}
	if r := call.Report(); r.SRTP != suite || r.Rejected != 0 {
		t.Errorf("SRTP %q, %d packets rejected; want %q and none", r.SRTP, r.Rejected, suite)
	}
}

func heard(t *testing.T, other *Phone, hz float64) {
	t.Helper()
	files := other.Recordings()
	if len(files) == 0 {
		t.Fatal("baresip recorded nothing")
	}
	sound, err := phone.SoundOf(files[len(files)-1])
	if err != nil || !sound.IsTone(hz) {
		t.Errorf("baresip heard %v (%v) in %s", sound, err, filepath.Base(files[len(files)-1]))
	}
}

// A phone that rings, is answered by hand, and one that refuses; and the process is gone after Close.
func TestManualAnswerAndEnd(t *testing.T) {
	binary.Need(t, "baresip", "baresip")
	other := startPhone(t, Config{User: "bob"})
	p, err := phone.New(phone.Config{User: "alice", Local: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, answer := range []bool{true, false} {
		before := len(other.Events())
		call, err := p.Dial(within(t), other.URI(), phone.CallOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.WaitEvent(within(t), "CALL_INCOMING", before); err != nil {
			t.Fatal(err)
		}
		if err := call.WaitRinging(within(t)); err != nil {
			t.Fatal(err)
		}
		if !answer {
			if err := other.Hangup(within(t)); err != nil {
				t.Fatal(err)
			}
			if e, err := call.Wait(within(t)); err != nil || e.Status != 486 {
				t.Errorf("ended %+v (%v)", e, err)
			}
			break
		}
		if err := other.Answer(within(t)); err != nil {
			t.Fatal(err)
		}
		if err := call.WaitAnswered(within(t)); err != nil {
			t.Fatal(err)
		}
		if err := call.Hangup(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	other.Kill()
	if _, err := other.Command(within(t), "reginfo", ""); err == nil {
		t.Error("a killed phone still answers")
	}
}
