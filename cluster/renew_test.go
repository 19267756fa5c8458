package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// outlive gives a node a certificate of some life that began some time ago.
func outlive(t *testing.T, signer, node *Identity, began time.Duration, life time.Duration) {
	t.Helper()
	ca, err := signer.signer()
	if err != nil {
		t.Fatal(err)
	}
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	c := template(node.leaf().Subject, life)
	c.DNSNames = node.leaf().DNSNames
	c.NotBefore, c.NotAfter = c.NotBefore.Add(-began), c.NotAfter.Add(-began)
	der, err := x509.CreateCertificate(nil, c, signer.authority, key.Public(), ca)
	if err != nil {
		t.Fatal(err)
	}
	if err := saveCertificate(node.dir, der, key); err != nil {
		t.Fatal(err)
	}
	if err := node.refresh(); err != nil {
		t.Fatal(err)
	}
}

// A certificate is renewed when a third is left, and somebody must look when a sixth is.
func TestWhenCertificatesAreDue(t *testing.T) {
	t.Parallel()
	now := time.Now()
	made := func(life time.Duration) *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(-clockSkew), NotAfter: now.Add(life)}
	}
	day := 24 * time.Hour
	for _, c := range []struct {
		life, after time.Duration
		due, late   bool
	}{
		{365 * day, 0, false, false},
		{365 * day, 243 * day, false, false},
		{365 * day, 244 * day, true, false},
		{365 * day, 304 * day, true, false},
		{365 * day, 305 * day, true, true},
		{20 * 365 * day, 0, true, false}, // of a version before
	} {
		m := made(c.life)
		if at := now.Add(c.after); due(m, at) != c.due || late(m, at) != c.late {
			t.Errorf("life %v, after %v: due %v, late %v", c.life, c.after, due(m, at), late(m, at))
		}
	}
}

// The witness, whose certificate is due, gets another one without being asked; the switches sign their own. Nobody loses a connection, and the
// ones that are made then show the new certificate.
func TestRenewal(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a, b, w := p.cfg["a"].Identity, p.cfg["b"].Identity, p.cfg["w"].Identity
	if _, err := b.signer(); err != nil {
		t.Errorf("b, a switch: %v", err)
	}
	if _, err := w.signer(); err == nil {
		t.Error("the witness has the authority's key")
	}
	outlive(t, a, w, 300*24*time.Hour, 365*24*time.Hour)
	outlive(t, a, b, 300*24*time.Hour, 365*24*time.Hour)
	for _, name := range p.names {
		p.start(name)
	}
	defer p.endAll()
	fresh := func(id *Identity) bool { return time.Until(id.leaf().NotAfter) > certificateLife-24*time.Hour }
	p.eventually("b has signed its own", func() bool { return fresh(b) })
	p.eventually("one active", func() bool { return p.role("a") == "active" || p.role("b") == "active" })
	if !fresh(w) { // its first attempt may have been before anybody could be asked; the next one is a minute later
		p.eventually("the witness is signed for", func() bool { return p.nodes["w"].engine.Renew(context.Background()) == nil })
	}
	epoch := max(p.nodes["a"].engine.Lease().Epoch(), p.nodes["b"].engine.Lease().Epoch())
	before := w.leaf()
	if err := p.nodes["w"].engine.Renew(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := p.nodes["a"].engine.Renew(context.Background()); err != nil {
		t.Fatal(err)
	}
	again, err := LoadIdentity(w.dir)
	if err != nil || again.leaf().Equal(before) || !again.leaf().Equal(w.leaf()) {
		t.Errorf("on the disk of w is another certificate than in its memory: %v", err)
	}
	for _, name := range p.names {
		d := p.nodes[name].engine.door
		shown, err := shows(d, a)
		if err != nil || !shown.Equal(p.cfg[name].Identity.leaf()) {
			t.Errorf("node %s shows another certificate than it has: %v", name, err)
		}
	}
	if now := max(p.nodes["a"].engine.Lease().Epoch(), p.nodes["b"].engine.Lease().Epoch()); now != epoch {
		t.Errorf("epoch %d after %d: somebody else serves", now, epoch)
	}
	if s := p.nodes["w"].engine.Status(); !fresh(w) || time.Until(s.Certificate) < certificateLife-24*time.Hour {
		t.Errorf("the witness says %v", s.Certificate)
	}
}

// shows is the certificate that a member shows.
func shows(d *door, as *Identity) (*x509.Certificate, error) {
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: handshakeWithin}, Config: as.tls(d.members, d.alpn())}).Dial("tcp", d.Addr().String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// A switch signs for whoever has the key of a present certificate, and for nobody else.
func TestRenewalIsRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a, w := p.cfg["a"].Identity, p.cfg["w"].Identity
	e := &Engine{cfg: p.cfg["a"], log: quiet}
	stranger, err := Init(filepath.Join(t.TempDir(), "x"), "w")
	if err != nil {
		t.Fatal(err)
	}
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(id *Identity, change func(*renewRequest)) string {
		q, err := id.renewRequest(key)
		if err != nil {
			t.Fatal(err)
		}
		change(&q)
		question, _ := json.Marshal(q)
		var answer renewAnswer
		if err := json.Unmarshal(e.renewFor(question), &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Err == "" {
			c, err := x509.ParseCertificate(answer.Cert)
			if err != nil || c.Subject.CommonName != "w" || !key.PublicKey.Equal(c.PublicKey.(*ecdsa.PublicKey)) || verify(c, a.authority, time.Now()) != nil {
				t.Errorf("it signed %v, %v", c, err)
			}
		}
		return answer.Err
	}
	other, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	otherPublic, _ := x509.MarshalPKIXPublicKey(other.Public())
	as := func(*renewRequest) {}
	for name, c := range map[string]struct {
		id     *Identity
		change func(*renewRequest)
		want   string
	}{
		"good":                      {w, as, ""},
		"of another cluster":        {stranger, as, "unknown authority"},
		"another's certificate":     {w, func(q *renewRequest) { q.Cert = a.leaf().Raw }, "has not the key"},
		"another key than signed":   {w, func(q *renewRequest) { q.Public = otherPublic }, "has not the key"},
		"nonsense":                  {w, func(q *renewRequest) { q.Cert = []byte("x") }, "x509"},
		"signature of another time": {w, func(q *renewRequest) { q.Signature = []byte("x") }, "has not the key"},
	} {
		if got := ask(c.id, c.change); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, and should say %q", name, got, c.want)
		}
	}
	outlive(t, a, w, 365*24*time.Hour+10*time.Minute, 365*24*time.Hour)
	if got := ask(w, as); !strings.Contains(got, "expired") {
		t.Errorf("ended: %q", got)
	}
	outlive(t, a, w, 0, 365*24*time.Hour)
	if _, err := a.next("w"); err != nil {
		t.Fatal(err)
	}
	if got := ask(w, as); !strings.Contains(got, "taken out") {
		t.Errorf("of a machine that is out: %q", got)
	}
}

// A machine that was off for too long: a switch makes its own next certificate, a witness says what to do, and joins again with its state.
func TestCertificateHasEnded(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a, w := p.cfg["a"].Identity, p.cfg["w"].Identity
	outlive(t, a, a, 365*24*time.Hour+10*time.Minute, 365*24*time.Hour)
	outlive(t, a, w, 365*24*time.Hour+10*time.Minute, 365*24*time.Hour)
	_, err := Open(context.Background(), p.cfg["w"], quiet)
	if err == nil || !strings.Contains(err.Error(), "tandem cluster invite w") {
		t.Errorf("the witness says %v", err)
	}
	n := p.start("a")
	defer p.endAll()
	if left := time.Until(a.leaf().NotAfter); left < certificateLife-24*time.Hour {
		t.Errorf("a has %v left", left)
	}
	token, err := a.Invite("w", false, n.engine.door.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Join(context.Background(), w.dir, token)
	if err != nil || again.Node != "w" || machineOf(again.leaf()) != machineOf(w.leaf())+1 || time.Until(again.leaf().NotAfter) < certificateLife-24*time.Hour {
		t.Fatalf("%+v, %v", again, err)
	}
	if _, err := Join(context.Background(), p.cfg["b"].Dir, token); err == nil {
		t.Error("b has become w")
	}
	cfg := p.cfg["w"]
	cfg.Identity = again
	p.cfg["w"] = cfg
	p.start("w")
	p.eventually("a active with the witness", func() bool { return p.role("a") == "active" })
}

// What an operator hears when a certificate is not renewed: once, when a sixth of its life is left.
func TestRenewalFails(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a, w := p.cfg["a"].Identity, p.cfg["w"].Identity
	outlive(t, a, w, 290*24*time.Hour, 365*24*time.Hour)
	n := p.start("w") // alone: nobody can be asked
	defer p.endAll()
	alarms := func() (count int) {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, e := range n.events {
			if e.Name == "certificate not renewed" && e.Alarm {
				count++
			}
		}
		return count
	}
	var r renewal
	now := time.Now()
	r.look(context.Background(), n.engine, now)
	if alarms() != 0 || !r.next.Equal(now.Add(renewAgain)) {
		t.Errorf("with 75 days left: %d alarms, tried again at %v", alarms(), r.next.Sub(now))
	}
	for _, days := range []int{16, 17, 18} {
		r.look(context.Background(), n.engine, now.Add(time.Duration(days)*24*time.Hour))
	}
	if alarms() != 1 {
		t.Errorf("with two months left: %d alarms", alarms())
	}
	outlive(t, a, w, 310*24*time.Hour, 365*24*time.Hour)
	if s := n.engine.Status(); !strings.Contains(strings.Join(s.Problems, "\n"), "the certificate of node w ends in 5") {
		t.Errorf("problems: %q", s.Problems)
	}
}
