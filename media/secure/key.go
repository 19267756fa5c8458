package secure

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Errors of ParseCrypto; the text never holds any of the line's key.
var (
	ErrSyntax      = errors.New("secure: malformed crypto attribute")
	ErrSuite       = errors.New("secure: crypto suite not supported")
	ErrSeveralKeys = errors.New("secure: several keys in one crypto attribute are not supported")
	ErrParameter   = errors.New("secure: crypto session parameter not supported")
)

// maxLine bounds the value of an a=crypto line in bytes: a 256-bit key with lifetime, MKI and every parameter of RFC 4568 takes 250.
const maxLine = 512

// A Key is the master key and salt of one direction with the tag and suite of its a=crypto line. Whatever formats it prints no more than tag and
// suite; Crypto alone gives the key away, for the SDP.
type Key struct {
	Tag   int // 1 to 999999999; an answer repeats the offer's
	Suite Suite

	master   [44]byte // key and salt, one after the other
	lifetime uint64   // in packets; 0: the default, 2^48
	mki      string   // bytes that follow each packet of this key; mostly none
}

// NewKey makes a fresh random key.
func NewKey(tag int, suite Suite) (Key, error) {
	if suite.String() == "" {
		return Key{}, ErrSuite
	}
	k := Key{Tag: tag, Suite: suite}
	_, err := rand.Read(k.secret())
	return k, err
}

// secret is the part of master that the suite uses.
func (k *Key) secret() []byte {
	f := k.Suite.facts()
	return k.master[:f.key+f.salt]
}

// ParseCrypto reads the value of an a=crypto line (what follows "a=crypto:"), by the grammar of RFC 4568 §9.1:
//
//	tag SP suite SP "inline:" base64 ["|" lifetime] ["|" MKI ":" length] *(SP session-parameter)
//
// ErrSuite and ErrParameter mean a line that is well formed and of no use to us: an offer may hold a better one.
func ParseCrypto(value string) (Key, error) {
	if len(value) > maxLine {
		return Key{}, fmt.Errorf("%w: %d bytes", ErrSyntax, len(value))
	}
	fields := strings.Fields(value)
	if len(fields) < 3 {
		return Key{}, fmt.Errorf("%w: want tag, suite and key", ErrSyntax)
	}
	tag, err := strconv.ParseUint(fields[0], 10, 32)
	if err != nil || tag == 0 || len(fields[0]) > 9 {
		return Key{}, fmt.Errorf("%w: tag", ErrSyntax)
	}
	suite, ok := SuiteOf(fields[1])
	if !ok {
		return Key{}, ErrSuite
	}
	k := Key{Tag: int(tag), Suite: suite}
	if err := k.parseInline(fields[2]); err != nil {
		return Key{}, err
	}
	for _, p := range fields[3:] {
		if err := checkParameter(p); err != nil {
			return Key{}, err
		}
	}
	return k, nil
}

func (k *Key) parseInline(params string) error {
	if strings.Contains(params, ";") {
		return ErrSeveralKeys
	}
	inline, ok := strings.CutPrefix(params, "inline:")
	if !ok {
		return fmt.Errorf("%w: key method is not inline", ErrSyntax)
	}
	parts := strings.Split(inline, "|")
	// The padding is often left off, RFC 7714's 28 bytes being no multiple of three.
	secret, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(parts[0], "="))
	if err != nil || len(secret) != len(k.secret()) {
		return fmt.Errorf("%w: key is not %d bytes of base64", ErrSyntax, len(k.secret()))
	}
	copy(k.secret(), secret)
	parts = parts[1:]
	if len(parts) > 0 && !strings.Contains(parts[0], ":") {
		if k.lifetime, err = parseLifetime(parts[0]); err != nil {
			return err
		}
		parts = parts[1:]
	}
	if len(parts) > 0 {
		if k.mki, err = parseMKI(parts[0]); err != nil {
			return err
		}
		parts = parts[1:]
	}
	if len(parts) > 0 {
		return fmt.Errorf("%w: key parameters", ErrSyntax)
	}
	return nil
}

// parseLifetime reads a number of packets, also as a power "2^20", up to 2^48 (RFC 3711 §9.2).
func parseLifetime(s string) (uint64, error) {
	power, isPower := strings.CutPrefix(s, "2^")
	n, err := strconv.ParseUint(power, 10, 64)
	if isPower && err == nil && n <= 48 {
		n = 1 << n
	} else if isPower {
		n = 0
	}
	if err != nil || n == 0 || n > 1<<48 {
		return 0, fmt.Errorf("%w: lifetime", ErrSyntax)
	}
	return n, nil
}

// parseMKI reads "value:length": the value as a number of that many bytes, up to 128 (RFC 4568 §6.1).
func parseMKI(s string) (string, error) {
	value, length, _ := strings.Cut(s, ":")
	v, err1 := strconv.ParseUint(value, 10, 64)
	n, err2 := strconv.ParseUint(length, 10, 8)
	if err1 != nil || err2 != nil || n == 0 || n > 128 || n < 8 && v >= 1<<(8*n) {
		return "", fmt.Errorf("%w: MKI", ErrSyntax)
	}
	b := make([]byte, n)
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte(v)
		v >>= 8
	}
	return string(b), nil
}

// checkParameter judges one session parameter. Those that change what is on the wire are refused; an unknown one makes the line
// useless unless it begins with a dash (RFC 4568 §6.3.7).
func checkParameter(p string) error {
	name, value, _ := strings.Cut(p, "=")
	switch {
	case strings.HasPrefix(p, "-"):
		return nil
	case name == "KDR" && value == "0":
		return nil // the default: keys derived once
	case name == "WSH":
		if n, err := strconv.ParseUint(value, 10, 16); err != nil || n < 64 {
			return fmt.Errorf("%w: window size hint", ErrSyntax)
		}
		return nil // a hint; our window is fixed
	}
	return ErrParameter
}

// Crypto is the value of the a=crypto line for this key: the one place that gives it away.
func (k Key) Crypto() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s inline:%s", k.Tag, k.Suite, base64.StdEncoding.EncodeToString(k.secret()))
	if k.lifetime != 0 {
		fmt.Fprintf(&b, "|%d", k.lifetime)
	}
	if k.mki != "" {
		var v uint64
		for i := range len(k.mki) {
			v = v<<8 | uint64(k.mki[i])
		}
		fmt.Fprintf(&b, "|%d:%d", v, len(k.mki))
	}
	return b.String()
}

// Equal compares key, salt, suite and MKI in constant time, not the tag: a re-INVITE that repeats the key goes on with the same Context.
func (k Key) Equal(o Key) bool {
	return k.Suite == o.Suite && k.mki == o.mki && subtle.ConstantTimeCompare(k.master[:], o.master[:]) == 1
}

// WithTag is the same key under another tag.
func (k Key) WithTag(tag int) Key {
	k.Tag = tag
	return k
}

// Format prints tag and suite whatever the verb: no way of formatting shows a key.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// String is tag and suite.
func (k Key) String() string { return fmt.Sprintf("crypto %d %s [key withheld]", k.Tag, k.Suite) }

// LogValue is String, for slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Choose picks from the values of an offer's a=crypto lines, in their order, the first that has the most preferred of our suites.
// Lines of no use are passed over (RFC 4568 §7.1.1). The error is that of the last line if none will do.
func Choose(lines []string, preferred []Suite) (int, Key, error) {
	best, bestRank := -1, len(preferred)
	var chosen Key
	err := ErrSuite
	for i, line := range lines {
		k, lineErr := ParseCrypto(line)
		if lineErr != nil {
			err = lineErr
			continue
		}
		for rank, s := range preferred[:bestRank] {
			if s == k.Suite {
				best, bestRank, chosen = i, rank, k
				break
			}
		}
	}
	if best < 0 {
		return -1, Key{}, err
	}
	return best, chosen, nil
}
