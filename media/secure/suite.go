package secure

import "github.com/pion/srtp/v3"

// A Suite is an SRTP crypto suite of SDES. The zero value is none.
type Suite uint8

// The suites we speak, of RFC 4568 §6.2 and RFC 7714 §14.2.
const (
	AESCM128SHA1Tag80 Suite = iota + 1
	AESCM128SHA1Tag32
	AESGCM128
	AESGCM256
)

// Preferred is our order when nothing else is asked for: GCM costs a third of the CPU, the 80-bit tag is what every phone has.
func Preferred() []Suite { return []Suite{AESGCM128, AESCM128SHA1Tag80} }

type suiteFacts struct {
	suite         Suite
	name          string
	profile       srtp.ProtectionProfile
	key, salt     int // bytes
	rtpTag        int
	rtcpTagAndIdx int
	aead          bool
}

var suites = [...]suiteFacts{
	AESCM128SHA1Tag80: {AESCM128SHA1Tag80, "AES_CM_128_HMAC_SHA1_80", srtp.ProtectionProfileAes128CmHmacSha1_80, 16, 14, 10, 14, false},
	AESCM128SHA1Tag32: {AESCM128SHA1Tag32, "AES_CM_128_HMAC_SHA1_32", srtp.ProtectionProfileAes128CmHmacSha1_32, 16, 14, 4, 14, false},
	AESGCM128:         {AESGCM128, "AEAD_AES_128_GCM", srtp.ProtectionProfileAeadAes128Gcm, 16, 12, 16, 20, true},
	AESGCM256:         {AESGCM256, "AEAD_AES_256_GCM", srtp.ProtectionProfileAeadAes256Gcm, 32, 12, 16, 20, true},
}

func (s Suite) facts() *suiteFacts {
	if int(s) >= len(suites) {
		return &suites[0]
	}
	return &suites[s]
}

// String is the suite's name in SDP; empty for none.
func (s Suite) String() string { return s.facts().name }

// SuiteOf finds a suite by its name in SDP; false if we do not speak it.
func SuiteOf(name string) (Suite, bool) {
	for i := 1; i < len(suites); i++ {
		if suites[i].name == name {
			return Suite(i), true
		}
	}
	return 0, false
}
