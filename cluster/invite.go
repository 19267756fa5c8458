package cluster

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// A token lets one machine join: where to ask, which authority must answer, a secret, and the name that it will have. It is
// one word, so that it can be copied.
type token struct {
	Address     string `json:"a"` // host:port of the node that invites
	Fingerprint string `json:"f"`
	Secret      []byte `json:"s"`
	Node        string `json:"n"`
	Expires     int64  `json:"e"` // seconds since 1970; the inviting node's clock counts
}

const tokenPrefix = "tandem-join-"

func (t token) String() string {
	b, _ := json.Marshal(t)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

func parseToken(s string) (t token, err error) {
	s = strings.TrimSpace(s)
	raw, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok {
		return t, fmt.Errorf("not a token: one begins with %s and comes from `tandem cluster invite`", tokenPrefix)
	}
	b, err := base64.RawURLEncoding.DecodeString(raw)
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err != nil || t.Address == "" || len(t.Secret) < 16 || len(t.Fingerprint) != 2*sha256.Size {
		return t, errors.New("the token is damaged: copy it whole, it is one word")
	}
	return t, nil
}

// invitation is what the inviting node keeps of a token: not the secret.
type invitation struct {
	Node    string    `json:"node"`
	Hash    string    `json:"hash"`
	Expires time.Time `json:"expires"`
	Switch  bool      `json:"switch,omitempty"` // it gets the authority's key too
}

// Invite makes a token by which one machine may join as node until it expires; serves: it is a switch, and will be able to invite others
// itself. address is where this node's switch will be asked. A running switch reads the invitation when somebody comes.
func (id *Identity) Invite(node string, serves bool, address string, valid time.Duration) (string, error) {
	if !nodeName.MatchString(node) {
		return "", fmt.Errorf("node name %q: use up to 64 letters, digits, \"-\" and \"_\"", node)
	}
	if node == id.Node {
		return "", fmt.Errorf("%q is this node's own name", node)
	}
	if _, err := id.signer(); err != nil {
		return "", err
	}
	t := token{Address: address, Fingerprint: id.Fingerprint, Secret: make([]byte, 24), Node: node, Expires: time.Now().Add(valid).Unix()}
	_, _ = rand.Read(t.Secret)
	sum := sha256.Sum256(t.Secret)
	i := invitation{Node: node, Hash: hex.EncodeToString(sum[:]), Expires: time.Unix(t.Expires, 0).UTC(), Switch: serves}
	b, _ := json.Marshal(i)
	if err := writeFile(id.invitationFile(node), b, 0o600); err != nil {
		return "", err
	}
	return t.String(), nil
}

// invitationFile holds the last invitation of a node: another one takes its place.
func (id *Identity) invitationFile(node string) string { return id.file("invite-" + node + ".json") }

// invited checks a secret, and gives the invitation.
func (id *Identity) invited(node string, secret []byte, now time.Time) (i invitation, err error) {
	if !nodeName.MatchString(node) {
		return i, errors.New("not a node name")
	}
	file := id.invitationFile(node)
	b, err := os.ReadFile(file)
	if err != nil {
		return i, fmt.Errorf("nobody invited node %q, or its token has been used: run `tandem cluster invite %s` again", node, node)
	}
	if err := json.Unmarshal(b, &i); err != nil {
		return i, fmt.Errorf("%s: %w", file, err)
	}
	sum := sha256.Sum256(secret)
	switch {
	case subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(i.Hash)) != 1:
		return i, fmt.Errorf("the token of node %q is not the last one that was made: run `tandem cluster invite %s` again", node, node)
	case now.After(i.Expires):
		return i, fmt.Errorf("the token expired at %s: run `tandem cluster invite %s` again", i.Expires.Format(time.RFC3339), node)
	}
	return i, nil
}

// useUp ends an invitation.
func (id *Identity) useUp(node string) error { return os.Remove(id.invitationFile(node)) }
