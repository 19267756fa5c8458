package node

import (
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"time"

	"tandem/configs"
	"tandem/sip/digest"
	"tandem/token"
)

// loadKeys takes the keys of short-lived passwords from a configuration, or else derives the one that every node of the cluster
// has. What an earlier version made with the key in its file is good until it expires.
func (n *Node) loadKeys(cfg *configs.Config) error {
	keys := cfg.Token.Keys
	if len(keys) == 0 {
		keys = token.Keys{[]byte(hex.EncodeToString(n.state.Secret("passes")))}
		old, err := token.ReadKey(filepath.Join(cfg.Node.StateDir, "token.key"))
		if err != nil {
			return err
		}
		if old != nil {
			keys = append(keys, old)
		}
	}
	n.keys.Store(&keys)
	return nil
}

// Keys are those of short-lived passwords: TURN takes the same.
func (n *Node) Keys() token.Keys { return *n.keys.Load() }

// credential is what a user name proves itself with: an extension by its password, or "EXPIRY:EXTENSION" by one that
// expires.
func (n *Node) credential(username string) (digest.Credential, bool) {
	cfg := n.config.Load()
	if c, ok := cfg.Credentials[username]; ok {
		return c, true
	}
	user, expires, ok := token.Parse(username)
	if !ok {
		return digest.Credential{}, false
	}
	if _, ok := cfg.Credentials[user]; !ok {
		return digest.Credential{}, false
	}
	var first *digest.Credential
	for _, password := range n.Keys().Passwords(username) {
		c := digest.NewCredential(username, cfg.Node.Realm, password)
		c.User, c.Until = user, expires
		c.Or, first = first, &c
	}
	return *first, true
}

// Issue makes a pass for an extension.
func (v view) Issue(extension string, life time.Duration) (token.Pass, error) {
	cfg := v.n.config.Load()
	if _, ok := cfg.Credentials[extension]; !ok {
		return token.Pass{}, fmt.Errorf("there is no extension %q", extension)
	}
	if life == 0 {
		life = min(configs.DefaultTokenLife, cfg.Token.Longest)
	}
	if life > cfg.Token.Longest {
		return token.Pass{}, fmt.Errorf("%v is too long: `longest` in the block token allows %v", life, cfg.Token.Longest)
	}
	return v.n.Keys().Issue(extension, time.Now().Add(life)), nil
}

// MayIssue tells whether a key is the one of the configuration.
func (v view) MayIssue(key string) bool {
	want := v.n.config.Load().Token.APIKey
	return want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(key)) == 1
}
