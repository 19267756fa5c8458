package phone

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/srtp/v3"
)

// SRTP says how far a phone insists on encrypted media (SDES, RFC 4568).
type SRTP string

const (
	SRTPOff      SRTP = "off"      // RTP/AVP; an offer of RTP/SAVP is refused with 488
	SRTPOptional SRTP = "optional" // RTP/AVP with a=crypto, as many phones offer it; takes SAVP too
	SRTPRequired SRTP = "required" // RTP/SAVP only
)

// srtpSuites are the suites this phone knows, in the order it offers them: GCM costs a third of the other.
var srtpSuites = []struct {
	name    string
	profile srtp.ProtectionProfile
}{
	{"AEAD_AES_128_GCM", srtp.ProtectionProfileAeadAes128Gcm},
	{"AES_CM_128_HMAC_SHA1_80", srtp.ProtectionProfileAes128CmHmacSha1_80},
}

// A cryptoLine is one a=crypto attribute: its tag, suite, and the master key followed by the master salt.
type cryptoLine struct {
	tag     int
	suite   string
	profile srtp.ProtectionProfile
	keySalt []byte
}

func newCryptoLine(tag int, suite string, profile srtp.ProtectionProfile) (cryptoLine, error) {
	key, err1 := profile.KeyLen()
	salt, err2 := profile.SaltLen()
	if err := errors.Join(err1, err2); err != nil {
		return cryptoLine{}, err
	}
	line := cryptoLine{tag: tag, suite: suite, profile: profile, keySalt: make([]byte, key+salt)}
	_, err := rand.Read(line.keySalt)
	return line, err
}

// parseCryptoLine reads the value of an a=crypto attribute (RFC 4568 §9.1). A line that needs what this phone has
// not (another suite, an MKI, session parameters such as UNENCRYPTED_SRTP) is an error; the caller skips it.
func parseCryptoLine(value string) (cryptoLine, error) {
	fields := strings.Fields(value)
	if len(fields) < 3 {
		return cryptoLine{}, fmt.Errorf("a=crypto with %d fields", len(fields))
	}
	tag, err := strconv.Atoi(fields[0])
	if err != nil {
		return cryptoLine{}, fmt.Errorf("a=crypto tag %q", fields[0])
	}
	if len(fields) > 3 {
		return cryptoLine{}, fmt.Errorf("a=crypto session parameter %q", fields[3])
	}
	for _, suite := range srtpSuites {
		if !strings.EqualFold(fields[1], suite.name) {
			continue
		}
		line := cryptoLine{tag: tag, suite: suite.name, profile: suite.profile}
		line.keySalt, err = parseInlineKey(fields[2], suite.profile)
		return line, err
	}
	return cryptoLine{}, fmt.Errorf("a=crypto suite %q", fields[1])
}

func parseInlineKey(param string, profile srtp.ProtectionProfile) ([]byte, error) {
	inline, ok := strings.CutPrefix(param, "inline:")
	if !ok || strings.Contains(inline, ";") {
		return nil, errors.New("a=crypto needs one inline key")
	}
	parts := strings.Split(inline, "|")
	for _, part := range parts[1:] {
		if strings.Contains(part, ":") {
			return nil, errors.New("a=crypto with an MKI")
		}
	}
	encoded := strings.TrimRight(parts[0], "=")
	keySalt, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("a=crypto key is not base64")
	}
	key, _ := profile.KeyLen()
	salt, _ := profile.SaltLen()
	if len(keySalt) != key+salt {
		return nil, fmt.Errorf("a=crypto key of %d bytes, want %d", len(keySalt), key+salt)
	}
	return keySalt, nil
}

func (c cryptoLine) String() string {
	return fmt.Sprintf("%d %s inline:%s", c.tag, c.suite, base64.StdEncoding.EncodeToString(c.keySalt))
}

func (c cryptoLine) same(other cryptoLine) bool {
	return c.suite == other.suite && string(c.keySalt) == string(other.keySalt)
}

// context makes an SRTP context with a replay window of 64 packets (pion's bare Context has none by default).
func (c cryptoLine) context() (*srtp.Context, error) {
	key, err := c.profile.KeyLen()
	if err != nil {
		return nil, err
	}
	return srtp.CreateContext(c.keySalt[:key], c.keySalt[key:], c.profile,
		srtp.SRTPReplayProtection(64), srtp.SRTCPReplayProtection(64))
}
