package ice

import (
	"crypto/rand"
	"errors"
	"fmt"
)

// Lengths of what we make, in characters of 6 bits. RFC 8445 §5.3 asks for 24 and 128 bits; ours are longer, because a fragment is also what
// a leg is found by among all the others of its port.
const (
	ufragLen = 12
	pwdLen   = 32
)

// ErrCredentials says that a fragment or password is not what RFC 8839 §5.4 allows.
var ErrCredentials = errors.New("ice: malformed credentials")

// Credentials are one side's username fragment and password (RFC 8445 §5.3).
type Credentials struct{ Ufrag, Pwd string }

// NewCredentials makes random ones.
func NewCredentials() Credentials {
	return Credentials{Ufrag: random(ufragLen), Pwd: random(pwdLen)}
}

func random(n int) string {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	for i := range b {
		b[i] = chars[b[i]&63]
	}
	return string(b)
}

// Check holds them to the grammar of RFC 8839 §5.4.
func (c Credentials) Check() error {
	if n := len(c.Ufrag); n < 4 || n > 256 || !iceChars(c.Ufrag) {
		return fmt.Errorf("%w: ufrag", ErrCredentials)
	}
	if n := len(c.Pwd); n < 22 || n > 256 || !iceChars(c.Pwd) {
		return fmt.Errorf("%w: password", ErrCredentials)
	}
	return nil
}

func iceChars(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '+', c == '/':
		case c == '-', c == '=', c == '_': // of no grammar, and seen
		default:
			return false
		}
	}
	return true
}

// String withholds the password.
func (c Credentials) String() string { return c.Ufrag + ":[withheld]" }

// Format is String for every verb.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }
