package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Credential is what one account proves itself with. Passwords are not kept: HA1 is all that either
// side needs (RFC 7616 §3.4.2, RFC 8760). An empty HA1 means that its algorithm is not accepted.
type Credential struct {
	Username string
	Realm    string
	SHA256   string // lower-case hex of SHA-256(username:realm:password)
	MD5      string // lower-case hex of MD5(username:realm:password)
	// SHA512256 is lower-case hex of SHA-512-256(username:realm:password); empty in accounts of phones, which nobody asks for it.
	SHA512256 string
	// User is who proved himself where that is not Username: 1001 by a short-lived password for "1764331200:1001".
	User string
	// Until is when the credential expires; zero: never. Whoever uses it after that is told so, and not that it is wrong.
	Until time.Time
	// Or counts as well: the password of a key that is being changed.
	Or *Credential
}

// NewCredential makes both hashes of a password.
func NewCredential(username, realm, password string) Credential {
	a1 := []byte(username + ":" + realm + ":" + password)
	s, m := sha256.Sum256(a1), md5.Sum(a1)
	return Credential{
		Username: username, Realm: realm,
		SHA256: hex.EncodeToString(s[:]), MD5: hex.EncodeToString(m[:]),
	}
}

// NewAccount makes the credential that proves us to others, whatever algorithm of RFC 8760 they ask for.
func NewAccount(username, realm, password string) Credential {
	c := NewCredential(username, realm, password)
	c.SHA512256 = string(SHA512256.appendHex(nil, []byte(username+":"+realm+":"+password)))
	return c
}
