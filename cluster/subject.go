package cluster

import "strings"

// A record's subject is "tandem.BUCKET.KEY"; what is stored is given on as "follow.BUCKET.KEY" to those who listen. The key
// is one token, so bytes that mean something in a subject are written as =XX.
const (
	storePrefix  = "tandem."
	followPrefix = "follow."
	// fenceKey is that of the record by which a new owner closes a bucket for earlier epochs. Escaped keys never begin
	// with "!".
	fenceKey = "!fence"
)

const hexDigits = "0123456789ABCDEF"

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '@' || c == '+' || c == ':'
}

// escape writes any key as one token. The empty key is "=".
func escape(key string) string {
	if key == "" {
		return "="
	}
	i := 0
	for i < len(key) && plain(key[i]) {
		i++
	}
	if i == len(key) {
		return key
	}
	var b strings.Builder
	b.Grow(len(key) + 8)
	for i := range len(key) {
		if c := key[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// unescape undoes escape; ok is false for what escape cannot have written.
func unescape(token string) (key string, ok bool) {
	if token == "=" {
		return "", true
	}
	if token == "" {
		return "", false
	}
	if strings.IndexByte(token, '=') < 0 {
		return token, true
	}
	b := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c != '=' {
			b = append(b, c)
			continue
		}
		if i+2 >= len(token) {
			return "", false
		}
		hi, lo := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b = append(b, byte(hi<<4|lo))
		i += 2
	}
	return string(b), true
}

func streamName(bucket string) string { return "TANDEM_" + bucket }
