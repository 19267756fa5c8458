package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A node exchanges its certificate in time, by itself. A switch has the authority's key and signs; a witness asks the switches, over the
// channel on which members ask each other, and proves by its present key who it is. What is renewed is used by the next connection.

const (
	// lookForRenewal is how often a node looks at its certificate, and whether another process has exchanged it.
	lookForRenewal = 10 * time.Second
	// renewAgain is the pause after a failure.
	renewAgain  = time.Minute
	renewWithin = 5 * time.Second
	renewTopic  = "renew"
)

// renewRequest is what a node asks a switch: a certificate for another key.
type renewRequest struct {
	Public    []byte `json:"public"`    // PKIX form
	Cert      []byte `json:"cert"`      // the present one
	Signature []byte `json:"signature"` // of digest, by the present key
}

func (q renewRequest) digest() []byte {
	sum := sha256.Sum256(append([]byte("tandem renew\x00"), q.Public...))
	return sum[:]
}

type renewAnswer struct {
	Err  string `json:"err,omitempty"`
	Cert []byte `json:"cert,omitempty"`
}

// renewal is how the renewing goes. It belongs to one goroutine.
type renewal struct {
	next    time.Time // when to try
	alarmed bool
}

// keepCertificate renews the certificate of this node until ctx ends.
func (e *Engine) keepCertificate(ctx context.Context) {
	tick := time.NewTicker(lookForRenewal)
	defer tick.Stop()
	var r renewal
	for {
		r.look(ctx, e, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *renewal) look(ctx context.Context, e *Engine, now time.Time) {
	id := e.cfg.Identity
	if err := id.refresh(); err != nil {
		e.log.Error("identity of this node", "err", err)
		return
	}
	if !due(id.leaf(), now) || now.Before(r.next) {
		return
	}
	err := e.Renew(ctx)
	if err == nil || ctx.Err() != nil {
		r.alarmed = false
		return
	}
	r.next = now.Add(renewAgain)
	e.log.Warn("certificate not renewed", "until", id.leaf().NotAfter, "err", err)
	if late(id.leaf(), now) && !r.alarmed {
		r.alarmed = true
		e.tell(Event{Name: "certificate not renewed", Alarm: true, Detail: fmt.Sprintf("that of this node ends on %s: %v", id.leaf().NotAfter.Format(time.DateOnly), err)})
	}
}

// Renew exchanges the certificate of this node now. An error says why it stays as it is.
func (e *Engine) Renew(ctx context.Context) error {
	if len(e.cfg.Members) == 0 {
		return errors.New("a single node has no certificate of a cluster")
	}
	id := e.cfg.Identity
	id.signing.Lock()
	defer id.signing.Unlock()
	err := id.signOwn()
	if errors.Is(err, errNoSigner) {
		err = e.askForCertificate(ctx)
	}
	if err != nil {
		return err
	}
	e.tell(Event{Name: "certificate renewed", Detail: "until " + id.leaf().NotAfter.Format(time.DateOnly)})
	return nil
}

// signOwn makes the next certificate of this node with the authority's key.
func (id *Identity) signOwn() error {
	ca, err := id.signer()
	if err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	cert, err := sign(id.authority, ca, id.Node, machineOf(id.leaf()), id.life, key.Public())
	if err != nil {
		return err
	}
	return id.take(cert, key)
}

// askForCertificate asks the switches one after the other.
func (e *Engine) askForCertificate(ctx context.Context) error {
	id := e.cfg.Identity
	key, err := newKey()
	if err != nil {
		return err
	}
	q, err := id.renewRequest(key)
	if err != nil {
		return err
	}
	question, err := json.Marshal(q)
	if err != nil {
		return err
	}
	var failed error
	for _, name := range e.Switches() {
		cert, err := e.askOne(ctx, name, question)
		if err == nil {
			err = id.take(cert, key)
		}
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, fmt.Errorf("node %s: %w", name, err))
	}
	return failed
}

func (e *Engine) askOne(ctx context.Context, name string, question []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, renewWithin)
	defer cancel()
	text, err := e.Ask(ctx, name, renewTopic, question)
	if err != nil {
		return nil, err
	}
	var a renewAnswer
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, err
	}
	if a.Err != "" {
		return nil, errors.New(a.Err)
	}
	return a.Cert, nil
}

func (id *Identity) renewRequest(key *ecdsa.PrivateKey) (q renewRequest, err error) {
	now, ok := id.cert.Load().PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return q, errors.New("the key of this node is not one for ECDSA")
	}
	if q.Public, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return q, err
	}
	q.Cert = id.leaf().Raw
	q.Signature, err = ecdsa.SignASN1(rand.Reader, now, q.digest())
	return q, err
}

// renewFor answers another node that asks for its next certificate.
func (e *Engine) renewFor(question []byte) []byte {
	cert, node, err := e.nextFor(question)
	a := renewAnswer{Cert: cert}
	if err != nil {
		a.Err = err.Error()
		e.log.Warn("a certificate was not renewed", "node", node, "err", err)
	} else {
		e.log.Info("certificate of another node renewed", "node", node)
	}
	b, _ := json.Marshal(a)
	return b
}

func (e *Engine) nextFor(question []byte) (next []byte, node string, err error) {
	var q renewRequest
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, "", err
	}
	id := e.cfg.Identity
	cert, err := x509.ParseCertificate(q.Cert)
	if err != nil {
		return nil, "", err
	}
	node = cert.Subject.CommonName
	if err := verify(cert, id.authority, time.Now()); err != nil {
		return nil, node, err
	}
	if e.member(node) == nil {
		return nil, node, fmt.Errorf("node %q is no member of this cluster", node)
	}
	if err := id.admits(cert); err != nil {
		return nil, node, err
	}
	old, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(old, q.digest(), q.Signature) {
		return nil, node, errors.New("who asks has not the key of the present certificate")
	}
	public, err := x509.ParsePKIXPublicKey(q.Public)
	if err != nil {
		return nil, node, err
	}
	key, err := id.signer()
	if err != nil {
		return nil, node, err
	}
	next, err = sign(id.authority, key, node, machineOf(cert), id.life, public)
	return next, node, err
}

// take puts a certificate of this node in force, for connections from now on, and on the disk.
func (id *Identity) take(der []byte, key *ecdsa.PrivateKey) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	if err := verify(cert, id.authority, time.Now()); err != nil {
		return err
	}
	if public, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) || cert.Subject.CommonName != id.Node {
		return errors.New("the certificate that came is another one than was asked for")
	}
	if err := saveCertificate(id.dir, der, key); err != nil {
		return err
	}
	return id.refresh()
}

// ready makes sure that this node has a certificate that is good now. A switch whose own has ended makes the next one.
func (id *Identity) ready(now time.Time) error {
	err := outOfTime(id.leaf(), now)
	if err == nil || now.Before(id.leaf().NotBefore) {
		return err
	}
	if id.signOwn() != nil {
		return err
	}
	return nil
}
