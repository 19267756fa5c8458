package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// Who is let in, and what the others are told.
func TestJoining(t *testing.T) {
	root := t.TempDir()
	first, err := Init(filepath.Join(root, "a"), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Init(filepath.Join(root, "a"), "b"); err == nil {
		t.Error("a second cluster was begun in one folder")
	}
	door, err := openDoor(first, map[string]bool{"a": true, "b": true}, "127.0.0.1:0", anybody, 0, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = door.Close() }()
	address := door.Addr().String()
	invite := func(node string, valid time.Duration) string {
		token, err := first.Invite(node, false, address, valid)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	stranger, err := Init(filepath.Join(root, "other"), "x")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := stranger.Invite("b", true, address, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	old := invite("b", time.Hour)
	expired := invite("late", -time.Minute)
	good := invite("b", time.Hour)
	for _, c := range []struct{ name, token, want string }{
		{"no token", "hello", "not a token"},
		{"half a token", good[:len(good)/2], "damaged"},
		{"of another cluster", foreign, "another authority"},
		{"replaced by a newer one", old, "not the last one"},
		{"expired", expired, "expired"},
		{"good", good, ""},
		{"used twice", good, "has been used"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := Join(context.Background(), filepath.Join(root, "b "+c.name), c.token)
			switch {
			case c.want == "" && (err != nil || id.Node != "b" || id.Fingerprint != first.Fingerprint):
				t.Errorf("%+v, %v", id, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, and should say %q", err, c.want)
			}
		})
	}
	b, err := LoadIdentity(filepath.Join(root, "b good"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Invite("w", false, address, time.Hour); err == nil {
		t.Error("a node without the authority's key invites")
	}
	key, _ := clusterKey(filepath.Join(root, "a"))
	if other, _ := clusterKey(filepath.Join(root, "b good")); string(other) != string(key) {
		t.Error("the newcomer has another cluster key")
	}
}

// A machine whose clock is wrong cannot join, and is told that it is the clock; a stranger is one at any time.
func TestJoiningWithAWrongClock(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	a, err := Init(filepath.Join(root, "a"), "a")
	if err != nil {
		t.Fatal(err)
	}
	x, err := Init(filepath.Join(root, "x"), "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		leaf *Identity
		by   time.Duration
		want string // "": it may join
	}{
		{"right", a, 0, ""},
		{"an hour behind, almost", a, -59 * time.Minute, ""},
		{"two hours behind", a, -2 * time.Hour, "the clock of this machine is behind: it says "},
		{"a year ahead", a, 366 * 24 * time.Hour, "if this clock is ahead, set it"},
		{"a stranger's certificate", x, 0, "unknown authority"},
		{"a stranger's, two hours behind", x, -2 * time.Hour, "unknown authority"},
	} {
		s := tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.leaf.leaf(), a.authority}}
		err := checkAuthority(s, a.Fingerprint, time.Now().Add(c.by))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, and should say %q", c.what, err, c.want)
		}
	}
	if err := outOfTime(a.leaf(), time.Now().Add(-2*time.Hour)); err == nil || !strings.Contains(err.Error(), "set the clock") || strings.Count(err.Error(), " UTC") != 2 {
		t.Errorf("its own certificate, two hours behind: %v", err)
	}
}

// Members speak to each other; a certificate of another cluster, or of a node that is no member, is turned away.
func TestStrangersAreTurnedAway(t *testing.T) {
	root := t.TempDir()
	a, err := Init(filepath.Join(root, "a"), "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := Init(filepath.Join(root, "other"), "a")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id      *Identity
		members map[string]bool
		ok      bool
	}{
		"member":          {a, map[string]bool{"a": true}, true},
		"another cluster": {other, map[string]bool{"a": true}, false},
		"no member":       {a, map[string]bool{"b": true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := openDoor(a, c.members, "127.0.0.1:0", anybody, 0, quiet)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = d.Close() }()
			caller := &door{id: c.id, members: map[string]bool{"a": true}}
			conn, err := caller.Dial(raft.ServerAddress(d.Addr().String()), handshakeWithin)
			if err == nil {
				defer func() { _ = conn.Close() }()
			}
			select {
			case served := <-d.raft:
				_ = served.Close()
				if !c.ok {
					t.Error("it came in")
				}
			case <-time.After(time.Second):
				if c.ok {
					t.Errorf("it did not come in: %v", err)
				}
			}
		})
	}
}

func anybody(string) error { return nil }

// Strangers that say nothing do not keep members out, as long as they are not many machines.
func TestSilentStrangers(t *testing.T) {
	a, err := Init(t.TempDir(), "a")
	if err != nil {
		t.Fatal(err)
	}
	d, err := openDoor(a, map[string]bool{"a": true}, "127.0.0.1:0", anybody, time.Second, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	for range 2 * strangersAtOnce {
		c, err := from.Dial("tcp", d.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	conn, err := d.Dial(raft.ServerAddress(d.Addr().String()), handshakeWithin)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	served := <-d.raft
	_ = served.Close()
}
