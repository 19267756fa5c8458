package token

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Pass is a user name and a password that are good until a moment.
type Pass struct {
	Username string    `json:"username"` // "EXPIRY:USER", EXPIRY in seconds of Unix time
	Password string    `json:"password"`
	Expires  time.Time `json:"expires"`
}

// Keys are the secrets that passwords are made with: the first makes new ones, all of them verify. To change the
// secret without turning anybody away, put the new one first and keep the old one until what it made has expired.
type Keys [][]byte

// Issue makes a pass for a user in the form that TURN servers know as well (draft-uberti-behave-turn-rest-00 §2.2):
// the password is base64(HMAC-SHA1(key, username)). expires is cut to seconds.
func (k Keys) Issue(user string, expires time.Time) Pass {
	expires = expires.Truncate(time.Second)
	username := strconv.FormatInt(expires.Unix(), 10) + ":" + user
	return Pass{Username: username, Password: password(k[0], username), Expires: expires}
}

// Passwords are those that count for a user name, one for each key.
func (k Keys) Passwords(username string) []string {
	out := make([]string, len(k))
	for i, key := range k {
		out[i] = password(key, username)
	}
	return out
}

// Verify tells whether a password is one of ours for the user name, and whose. It says nothing of the time: compare
// expires. It is for those who get the password itself; digests are checked against Passwords.
func (k Keys) Verify(username, given string) (user string, expires time.Time, ok bool) {
	user, expires, ok = Parse(username)
	if !ok {
		return "", time.Time{}, false
	}
	right := 0
	for _, want := range k.Passwords(username) {
		right |= subtle.ConstantTimeCompare([]byte(want), []byte(given))
	}
	return user, expires, right == 1
}

// longestUsername bounds what Parse looks at.
const longestUsername = 128

// Parse takes a user name apart. It proves nothing; false: it is none of these.
func Parse(username string) (user string, expires time.Time, ok bool) {
	seconds, user, found := strings.Cut(username, ":")
	if !found || user == "" || len(username) > longestUsername {
		return "", time.Time{}, false
	}
	n, err := strconv.ParseUint(seconds, 10, 40) // to the year 36812
	if err != nil || strconv.FormatUint(n, 10) != seconds {
		return "", time.Time{}, false
	}
	return user, time.Unix(int64(n), 0), true
}

func password(key []byte, username string) string {
	h := hmac.New(sha1.New, key)
	h.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
