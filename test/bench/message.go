//go:build linux

package main

import (
	"bytes"
	"strconv"
)

// status is the code of a response; 0 for a request.
func status(m []byte) int {
	if len(m) < 12 || !bytes.HasPrefix(m, []byte("SIP/2.0 ")) {
		return 0
	}
	n, _ := strconv.Atoi(string(m[8:11]))
	return n
}

// hasName tells whether a header line is of that name. Both servers write the long names.
func hasName(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)] == ':' && bytes.EqualFold(line[:len(name)], []byte(name))
}

// header is the value of the first header of a name, inside m.
func header(m []byte, name string) []byte {
	for line := range lines(m) {
		if hasName(line, name) {
			return bytes.TrimSpace(line[len(name)+1:])
		}
	}
	return nil
}

// lines yields the header lines of a message, without the first line and the body.
func lines(m []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for i := 0; ; i++ {
			line, rest, more := bytes.Cut(m, []byte("\r\n"))
			if len(line) == 0 || i > 0 && !yield(line) || !more {
				return
			}
			m = rest
		}
	}
}

// target is the URI between angle brackets.
func target(value []byte) []byte {
	_, uri, _ := bytes.Cut(value, []byte("<"))
	uri, _, _ = bytes.Cut(uri, []byte(">"))
	return uri
}

// number reads the digits at the head of b.
func number(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// mediaPort is the port of the first m= line of a body.
func mediaPort(m []byte) int {
	_, rest, _ := bytes.Cut(m, []byte("\r\nm=audio "))
	return number(rest)
}
