//go:build linux

package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
)

// realm and password are those of every phone of the load.
const (
	realm    = "bench.local"
	password = "correct horse"
)

// cnonce need not be random here: the servers cannot tell, and the load saves the work.
const cnonce = "0a4f113b"

// credentials are what a phone answers challenges with (RFC 7616 §3.4). HA1 and HA2 are computed once.
type credentials struct {
	user      string
	algorithm string // MD5 or SHA-256
	ha1       string
	ha2       map[string]string // by method
	uri       string
	nonce     string
	opaque    string
	nc        uint32
	hash      hash.Hash
}

func newCredentials(user, algorithm, uri string) *credentials {
	c := &credentials{user: user, algorithm: algorithm, uri: uri, ha2: map[string]string{}, hash: md5.New()}
	if algorithm == "SHA-256" {
		c.hash = sha256.New()
	}
	c.ha1 = c.sum(user + ":" + realm + ":" + password)
	for _, method := range []string{"REGISTER", "INVITE"} {
		c.ha2[method] = c.sum(method + ":" + uri)
	}
	return c
}

func (c *credentials) sum(text string) string {
	c.hash.Reset()
	_, _ = c.hash.Write([]byte(text))
	return hex.EncodeToString(c.hash.Sum(nil))
}

// challenged takes the nonce of a 401 for our algorithm.
func (c *credentials) challenged(response []byte) error {
	for line := range bytes.SplitSeq(response, []byte("\r\n")) {
		if !hasName(line, "WWW-Authenticate") {
			continue
		}
		algorithm := parameter(line, "algorithm")
		if algorithm == "" {
			algorithm = "MD5"
		}
		if algorithm == c.algorithm {
			c.nonce, c.opaque, c.nc = parameter(line, "nonce"), parameter(line, "opaque"), 0
			return nil
		}
	}
	return fmt.Errorf("no challenge for %s in %q", c.algorithm, response)
}

// parameter reads one parameter of a challenge, quoted or not; names that end like it are told apart.
func parameter(line []byte, name string) string {
	for _, before := range []string{" ", ","} {
		at := bytes.Index(line, []byte(before+name+"="))
		if at < 0 {
			continue
		}
		value := line[at+len(before)+len(name)+1:]
		if len(value) > 0 && value[0] == '"' {
			end := bytes.IndexByte(value[1:], '"')
			return string(value[1 : 1+max(end, 0)])
		}
		if end := bytes.IndexAny(value, ", \r"); end >= 0 {
			value = value[:end]
		}
		return string(value)
	}
	return ""
}

// appendHeader appends the Authorization line for the next request with the nonce that is held.
func (c *credentials) appendHeader(dst []byte, method string) []byte {
	c.nc++
	var room [8]byte
	nc := appendHex8(room[:0], c.nc)
	var text [512]byte
	in := append(append(text[:0], c.ha1...), ':')
	in = append(append(in, c.nonce...), ':')
	in = append(append(in, nc...), ":"+cnonce+":auth:"...)
	in = append(in, c.ha2[method]...)
	c.hash.Reset()
	_, _ = c.hash.Write(in)
	var sum [32]byte

	dst = append(append(dst, `Authorization: Digest username="`...), c.user...)
	dst = append(append(dst, `", realm="`+realm+`", nonce="`...), c.nonce...)
	dst = append(append(dst, `", uri="`...), c.uri...)
	dst = hex.AppendEncode(append(dst, `", response="`...), c.hash.Sum(sum[:0]))
	dst = append(append(dst, `", algorithm=`...), c.algorithm...)
	dst = append(append(dst, `, cnonce="`+cnonce+`", qop=auth, nc=`...), nc...)
	if c.opaque != "" {
		dst = append(append(append(dst, `, opaque="`...), c.opaque...), '"')
	}
	return append(dst, "\r\n"...)
}

func appendHex8(dst []byte, n uint32) []byte {
	digits := strconv.AppendUint(nil, uint64(n)+1<<32, 16)
	return append(dst, digits[1:]...)
}
