package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Joining is one exchange of JSON over TLS 1.3 with the ALPN name below: the newcomer knows the authority by its fingerprint,
// and shows the secret of its token. It gets its certificate and the cluster's key.
const (
	alpnJoin   = "tandem-join"
	joinWithin = 10 * time.Second
	joinBytes  = 64 << 10
)

type joinRequest struct {
	Node   string `json:"node"`
	Secret []byte `json:"secret"`
	Public []byte `json:"public"` // PKIX form
}

type joinAnswer struct {
	Err  string `json:"err,omitempty"`
	CA   []byte `json:"ca,omitempty"`
	Cert []byte `json:"cert,omitempty"`
	Key  []byte `json:"key,omitempty"` // of the cluster
}

// Join makes this machine a node of the cluster that a token names. The inviting node's switch must run.
func Join(ctx context.Context, dir, text string) (*Identity, error) {
	t, err := parseToken(text)
	if err != nil {
		return nil, err
	}
	if id, err := LoadIdentity(dir); err == nil {
		return nil, fmt.Errorf("this machine is node %q of a cluster already: remove %s to leave it", id.Node, filepath.Join(dir, identityDir))
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	answer, err := askToJoin(ctx, t, joinRequest{Node: t.Node, Secret: t.Secret, Public: public})
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, "cluster.key"), answer.Key, 0o600); err != nil {
		return nil, err
	}
	if err := saveIdentity(dir, answer.CA, answer.Cert, key); err != nil {
		return nil, err
	}
	return LoadIdentity(dir)
}

func askToJoin(ctx context.Context, t token, ask joinRequest) (answer joinAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	var mismatch error
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{alpnJoin}, ServerName: everyNode,
		// The authority is not known yet but for its fingerprint: VerifyConnection checks the chain against that.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			mismatch = checkAuthority(s, t.Fingerprint)
			return mismatch
		},
	}}
	conn, err := dialer.DialContext(ctx, "tcp", t.Address)
	if mismatch != nil {
		return answer, mismatch
	}
	if err != nil {
		return answer, fmt.Errorf("no switch answers at %s (is it running on the node that invited, and may this machine reach that port?): %w", t.Address, err)
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if err := json.NewEncoder(conn).Encode(ask); err != nil {
		return answer, err
	}
	if err := json.NewDecoder(io.LimitReader(conn, joinBytes)).Decode(&answer); err != nil {
		return answer, fmt.Errorf("answer of %s: %w", t.Address, err)
	}
	if answer.Err != "" {
		return answer, errors.New(answer.Err)
	}
	return answer, nil
}

// checkAuthority wants a chain of two: a node's certificate, signed by the authority with this fingerprint.
func checkAuthority(s tls.ConnectionState, want string) error {
	for _, c := range s.PeerCertificates[1:] {
		if fingerprint(c) == want {
			return verify(s.PeerCertificates[0], c)
		}
	}
	return errors.New("another authority answers than the one in the token: the token is of another cluster, or somebody stands between")
}

// joinTLS shows the authority too, since the newcomer has nothing but its fingerprint.
func (id *Identity) joinTLS() *tls.Config {
	cert := id.cert
	cert.Certificate = append(cert.Certificate[:1:1], id.authority.Raw)
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{alpnJoin}}
}

// admit answers one newcomer.
func (id *Identity) admit(conn net.Conn) (node string, err error) {
	_ = conn.SetDeadline(time.Now().Add(joinWithin))
	var ask joinRequest
	if err := json.NewDecoder(io.LimitReader(conn, joinBytes)).Decode(&ask); err != nil {
		return "", err
	}
	answer, err := id.accept(ask)
	if err != nil {
		answer = joinAnswer{Err: err.Error()}
	}
	return ask.Node, errors.Join(err, json.NewEncoder(conn).Encode(answer))
}

func (id *Identity) accept(ask joinRequest) (answer joinAnswer, err error) {
	public, err := x509.ParsePKIXPublicKey(ask.Public)
	if err != nil {
		return answer, errors.New("no public key")
	}
	key, err := id.signer()
	if err != nil {
		return answer, err
	}
	if err := id.redeem(ask.Node, ask.Secret, time.Now()); err != nil {
		return answer, err
	}
	if answer.Cert, err = sign(id.authority, key, ask.Node, public); err != nil {
		return answer, err
	}
	answer.CA = id.authority.Raw
	answer.Key, err = clusterKey(id.dir)
	return answer, err
}
