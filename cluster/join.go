package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Joining is one exchange of JSON over TLS 1.3 with the ALPN name below: the newcomer knows the authority by its fingerprint,
// and shows the secret of its token. It gets its certificate and the cluster's key, and a switch the authority's.
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
	Key  []byte `json:"key,omitempty"`  // of the cluster
	Sign []byte `json:"sign,omitempty"` // the authority's key, PKCS #8
}

// Join makes this machine a node of the cluster that a token names. The inviting node's switch must run. A machine that is that node already
// gets a new certificate, and keeps its state.
func Join(ctx context.Context, dir, text string) (*Identity, error) {
	t, err := parseToken(text)
	if err != nil {
		return nil, err
	}
	if id, err := LoadIdentity(dir); err == nil && (id.Node != t.Node || id.Fingerprint != t.Fingerprint) {
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
	if len(answer.Sign) > 0 {
		if err := savePEM(dir, fileCAKey, 0o600, pem.Block{Type: "PRIVATE KEY", Bytes: answer.Sign}); err != nil {
			return nil, err
		}
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
			mismatch = checkAuthority(s, t.Fingerprint, time.Now())
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

// checkAuthority wants a chain of two: a node's certificate, signed by the authority with this fingerprint, and good now. A clock that is
// wrong is told apart from a stranger.
func checkAuthority(s tls.ConnectionState, want string, now time.Time) error {
	for _, c := range s.PeerCertificates[1:] {
		if fingerprint(c) == want {
			cert := s.PeerCertificates[0]
			if err := verify(cert, c, cert.NotAfter); err != nil {
				return err
			}
			return clockToJoin(cert, now)
		}
	}
	return errors.New("another authority answers than the one in the token: the token is of another cluster, or somebody stands between")
}

// joinTLS shows the authority too, since the newcomer has nothing but its fingerprint.
func (id *Identity) joinTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{alpnJoin}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert := *id.cert.Load()
		cert.Certificate = append(cert.Certificate[:1:1], id.authority.Raw)
		return &cert, nil
	}}
}

// admit answers one newcomer. may says why a node must not join now.
func (id *Identity) admit(conn net.Conn, may func(node string) error) (node string, err error) {
	_ = conn.SetDeadline(time.Now().Add(joinWithin))
	var ask joinRequest
	if err := json.NewDecoder(io.LimitReader(conn, joinBytes)).Decode(&ask); err != nil {
		return "", err
	}
	answer, err := id.accept(ask, may)
	if err != nil {
		answer = joinAnswer{Err: err.Error()}
	}
	return ask.Node, errors.Join(err, json.NewEncoder(conn).Encode(answer))
}

// accept makes a newcomer the machine that has a name from now on. One that had it before is out.
func (id *Identity) accept(ask joinRequest, may func(node string) error) (answer joinAnswer, err error) {
	public, err := x509.ParsePKIXPublicKey(ask.Public)
	if err != nil {
		return answer, errors.New("no public key")
	}
	key, err := id.signer()
	if err != nil {
		return answer, err
	}
	id.signing.Lock()
	defer id.signing.Unlock()
	i, err := id.invited(ask.Node, ask.Secret, time.Now())
	if err != nil {
		return answer, err
	}
	if err := may(ask.Node); err != nil { // the token stays good
		return answer, err
	}
	if err := id.useUp(ask.Node); err != nil {
		return answer, err
	}
	machine, err := id.next(ask.Node)
	if err != nil {
		return answer, err
	}
	if answer.Cert, err = sign(id.authority, key, ask.Node, machine, id.life, public); err != nil {
		return answer, err
	}
	if i.Switch {
		if answer.Sign, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
			return answer, err
		}
	}
	answer.CA = id.authority.Raw
	answer.Key, err = clusterKey(id.dir)
	return answer, err
}
