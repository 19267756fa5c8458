package transport

import (
	"crypto/tls"
	"errors"
	"testing"
)

// A listener without files asks for its certificate in each handshake; an authority that looks for an answer is the only
// one that is offered its protocol.
func TestIssuedCertificate(t *testing.T) {
	files := newAuthority(t).config(WSS).Listen[0]
	pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	signed := false
	c := Config{Listen: []Listen{{Name: "web", Proto: WSS, Address: "127.0.0.1:0", Issued: true}}}
	if _, err := New(c, newEar(), nil); err == nil {
		t.Error("a listener without files and authority was bound")
	}
	c.Issue = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if !signed {
			return nil, errors.New("not signed yet")
		}
		return &pair, nil
	}
	l := run(t, c, newEar())
	shake := func(protocols ...string) (string, error) {
		nc, err := tls.Dial("tcp", l.testAddr(0).String(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
		if err != nil {
			return "", err
		}
		defer nc.Close()
		return nc.ConnectionState().NegotiatedProtocol, nil
	}
	if _, err := shake(); err == nil {
		t.Error("a handshake before anything was signed")
	}
	signed = true
	for want, offered := range map[string][]string{"acme-tls/1": {"acme-tls/1"}, "": {"sip", "h2"}} {
		if got, err := shake(offered...); err != nil || got != want {
			t.Errorf("offered %v: %q %v", offered, got, err)
		}
	}
}
