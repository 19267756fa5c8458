package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Who has the cluster's key has its secrets, each time the same, and nobody else has.
func TestSecretsFollowFromTheKey(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	key := bytes.Repeat([]byte{7}, keyLength)
	for _, dir := range dirs[:2] {
		if err := os.WriteFile(filepath.Join(dir, "cluster.key"), key, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var nodes []*Engine
	for _, dir := range dirs {
		e := openTest(t, dir)
		defer e.Close()
		nodes = append(nodes, e)
	}
	a, b, stranger := nodes[0], nodes[1], nodes[2]
	if !bytes.Equal(a.Secret("x"), b.Secret("x")) || bytes.Equal(a.Secret("x"), a.Secret("y")) || bytes.Equal(a.Secret("x"), stranger.Secret("x")) {
		t.Error("secrets")
	}
	if !a.PrivateKey("x").Equal(b.PrivateKey("x")) || a.PrivateKey("x").Equal(a.PrivateKey("y")) || a.PrivateKey("x").Equal(stranger.PrivateKey("x")) {
		t.Error("private keys")
	}
	now := time.Now()
	if !slices.Equal(a.TicketKeys(now), b.TicketKeys(now)) {
		t.Error("keys of tickets differ at one time")
	}
	for _, after := range []time.Duration{-ticketLife, 0, ticketLife} { // what sealed then opens now
		if !slices.Contains(a.TicketKeys(now), b.TicketKeys(now.Add(after))[0]) {
			t.Errorf("a ticket of %v later is not opened", after)
		}
	}
	if slices.Contains(a.TicketKeys(now), b.TicketKeys(now.Add(-2 * ticketLife))[0]) {
		t.Error("a ticket of a day ago is opened")
	}
}
