package secure

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const inline30 = "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj" // 30 bytes, from RFC 4568 §4.1

func TestParseCrypto(t *testing.T) {
	inline28 := "inline:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xa5}, 28))
	inline44 := "inline:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0x5a}, 44))
	cm := "AES_CM_128_HMAC_SHA1_80 "
	for name, test := range map[string]struct {
		value string
		want  string // as we write it; empty: the same
		err   error
	}{
		"plain":                       {value: "1 " + cm + inline30},
		"32-bit tag":                  {value: "2 AES_CM_128_HMAC_SHA1_32 " + inline30},
		"GCM":                         {value: "999999999 AEAD_AES_128_GCM " + inline28},
		"GCM without base64 padding":  {value: "1 AEAD_AES_128_GCM " + strings.TrimRight(inline28, "="), want: "1 AEAD_AES_128_GCM " + inline28},
		"GCM 256":                     {value: "3 AEAD_AES_256_GCM " + inline44},
		"lifetime":                    {value: "1 " + cm + inline30 + "|2^20", want: "1 " + cm + inline30 + "|1048576"},
		"lifetime as number":          {value: "1 " + cm + inline30 + "|31"},
		"lifetime and MKI":            {value: "1 " + cm + inline30 + "|2^20|1:4", want: "1 " + cm + inline30 + "|1048576|1:4"},
		"MKI alone":                   {value: "1 " + cm + inline30 + "|66051:4"},
		"window hint":                 {value: "1 " + cm + inline30 + " WSH=128", want: "1 " + cm + inline30},
		"KDR of zero":                 {value: "1 " + cm + inline30 + " KDR=0", want: "1 " + cm + inline30},
		"parameter that may be lost":  {value: "1 " + cm + inline30 + " -FANCY=7", want: "1 " + cm + inline30},
		"spaces":                      {value: "  1   " + cm + "  " + inline30 + " ", want: "1 " + cm + inline30},
		"empty":                       {value: "", err: ErrSyntax},
		"tag zero":                    {value: "0 " + cm + inline30, err: ErrSyntax},
		"tag negative":                {value: "-1 " + cm + inline30, err: ErrSyntax},
		"tag of ten digits":           {value: "1000000000 " + cm + inline30, err: ErrSyntax},
		"no key":                      {value: "1 " + cm, err: ErrSyntax},
		"unknown suite":               {value: "1 F8_128_HMAC_SHA1_80 " + inline30, err: ErrSuite},
		"another key method":          {value: "1 " + cm + "outline:abc", err: ErrSyntax},
		"two keys":                    {value: "1 " + cm + inline30 + "|1:4;" + inline30 + "|2:4", err: ErrSeveralKeys},
		"key too short":               {value: "1 " + cm + "inline:AAAA", err: ErrSyntax},
		"key of the other suite":      {value: "1 AEAD_AES_128_GCM " + inline30, err: ErrSyntax},
		"key is no base64":            {value: "1 " + cm + "inline:" + strings.Repeat("*", 40), err: ErrSyntax},
		"stray bits in base64":        {value: "1 AEAD_AES_128_GCM " + strings.TrimRight(inline28, "=")[:len("inline:")+37] + "/", err: ErrSyntax},
		"lifetime of 2^49":            {value: "1 " + cm + inline30 + "|2^49", err: ErrSyntax},
		"lifetime of nothing":         {value: "1 " + cm + inline30 + "|0", err: ErrSyntax},
		"lifetime that wraps":         {value: "1 " + cm + inline30 + "|2^64", err: ErrSyntax},
		"MKI without length":          {value: "1 " + cm + inline30 + "|2^20|1:", err: ErrSyntax},
		"MKI length zero":             {value: "1 " + cm + inline30 + "|1:0", err: ErrSyntax},
		"MKI length 129":              {value: "1 " + cm + inline30 + "|1:129", err: ErrSyntax},
		"MKI larger than its length":  {value: "1 " + cm + inline30 + "|256:1", err: ErrSyntax},
		"something behind the MKI":    {value: "1 " + cm + inline30 + "|2^20|1:4|5", err: ErrSyntax},
		"unencrypted":                 {value: "1 " + cm + inline30 + " UNENCRYPTED_SRTP", err: ErrParameter},
		"unauthenticated":             {value: "1 " + cm + inline30 + " UNAUTHENTICATED_SRTP", err: ErrParameter},
		"key derivation rate":         {value: "1 " + cm + inline30 + " KDR=10", err: ErrParameter},
		"FEC":                         {value: "1 " + cm + inline30 + " FEC_ORDER=FEC_SRTP", err: ErrParameter},
		"parameter that nobody knows": {value: "1 " + cm + inline30 + " FANCY=7", err: ErrParameter},
		"window hint too small":       {value: "1 " + cm + inline30 + " WSH=63", err: ErrSyntax},
		"longer than 512 bytes":       {value: "1 " + cm + inline30 + " -" + strings.Repeat("x", 500), err: ErrSyntax},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := ParseCrypto(test.value)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err != nil {
				if strings.Contains(err.Error(), "d0Rm") {
					t.Errorf("error shows the key: %v", err)
				}
				return
			}
			want := test.want
			if want == "" {
				want = test.value
			}
			if got := k.Crypto(); got != want {
				t.Errorf("written %q, want %q", got, want)
			}
		})
	}
}

func TestNewKey(t *testing.T) {
	for s := Suite(1); s.String() != ""; s++ {
		a, err := NewKey(1, s)
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewKey(1, s)
		if err != nil {
			t.Fatal(err)
		}
		if a.Equal(b) {
			t.Errorf("%s: two fresh keys are the same", s)
		}
		read, err := ParseCrypto(a.Crypto())
		if err != nil || !read.Equal(a) || read.Tag != 1 {
			t.Errorf("%s: read back %v, %v", s, read, err)
		}
		if tagged := a.WithTag(7); !tagged.Equal(a) || tagged.Tag != 7 || a.Tag != 1 {
			t.Errorf("%s: WithTag", s)
		}
		if got, ok := SuiteOf(s.String()); !ok || got != s {
			t.Errorf("SuiteOf(%s) = %v, %v", s, got, ok)
		}
	}
	if _, err := NewKey(1, 0); !errors.Is(err, ErrSuite) {
		t.Errorf("key of no suite: %v", err)
	}
	if _, err := NewContext(Key{}); !errors.Is(err, ErrSuite) {
		t.Errorf("context of no suite: %v", err)
	}
}

func TestKeyNeverShows(t *testing.T) {
	k, err := ParseCrypto("1 AES_CM_128_HMAC_SHA1_80 " + inline30 + "|1:4")
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(inline30, "inline:"))
	secrets := []string{"d0Rm", string(raw[:8]), hex.EncodeToString(raw[:4]), strings.ToUpper(hex.EncodeToString(raw[:4])), "119 68 102", "0x77, 0x44"}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	logger.Info("key", "k", k, "p", &k, "held", struct{ K Key }{k})
	asJSON, err := json.Marshal(struct{ K Key }{k})
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{log.String(), string(asJSON), fmt.Sprint(k), k.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b"} {
		shown = append(shown, fmt.Sprintf(verb, k), fmt.Sprintf(verb, &k), fmt.Sprintf(verb, []Key{k}), fmt.Sprintf(verb, struct{ K Key }{k}))
	}
	for _, s := range shown {
		for _, secret := range secrets {
			if strings.Contains(s, secret) {
				t.Errorf("shows the key: %s", s)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	cm := "1 AES_CM_128_HMAC_SHA1_80 " + inline30
	gcmKey, err := NewKey(2, AESGCM128)
	if err != nil {
		t.Fatal(err)
	}
	gcm := gcmKey.Crypto()
	for name, test := range map[string]struct {
		lines []string
		want  int
		err   error
	}{
		"our preference":        {[]string{cm, gcm}, 1, nil},
		"the first of a suite":  {[]string{cm, cm}, 0, nil},
		"past what is no use":   {[]string{"1 F8_128_HMAC_SHA1_80 " + inline30, "2 AES_CM_128_HMAC_SHA1_80 " + inline30 + " KDR=1", cm}, 2, nil},
		"nothing":               {nil, -1, ErrSuite},
		"nothing of ours":       {[]string{"1 AES_CM_128_HMAC_SHA1_32 " + inline30}, -1, ErrSuite},
		"nothing but malformed": {[]string{"1 AES_CM_128_HMAC_SHA1_80 inline:x"}, -1, ErrSyntax},
	} {
		i, k, err := Choose(test.lines, Preferred())
		if i != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %d, %v; want %d, %v", name, i, err, test.want, test.err)
		}
		if i >= 0 && k.Tag != int(test.lines[i][0]-'0') {
			t.Errorf("%s: key of another line: %v", name, k)
		}
	}
}

func FuzzParseCrypto(f *testing.F) {
	f.Add("1 AES_CM_128_HMAC_SHA1_80 " + inline30 + "|2^20|1:4 WSH=64 -x")
	f.Add("2 AEAD_AES_256_GCM inline:" + base64.StdEncoding.EncodeToString(make([]byte, 44)))
	f.Fuzz(func(t *testing.T, value string) {
		k, err := ParseCrypto(value)
		if err != nil {
			return
		}
		again, err := ParseCrypto(k.Crypto())
		if err != nil || again != k {
			t.Fatalf("%q: written %q, read %v, %v", value, k.Crypto(), again, err)
		}
		if _, err := NewContext(k); err != nil {
			t.Fatal(err)
		}
	})
}
