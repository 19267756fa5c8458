package ice

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/stun/v3"
)

var (
	us   = Credentials{Ufrag: "ourFragment1", Pwd: "ourPasswordOfThirtyTwoCharacters"}
	them = "peer"
	from = netip.MustParseAddrPort("192.0.2.7:40000")
)

func build(t testing.TB, set ...stun.Setter) []byte {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{stun.TransactionID, stun.BindingRequest}, set...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

func attribute(kind stun.AttrType, value ...byte) stun.Setter {
	return stun.RawAttribute{Type: kind, Value: value}
}

// check is what a browser sends.
func check(t testing.TB, more ...stun.Setter) []byte {
	set := append([]stun.Setter{stun.NewUsername(us.Ufrag + ":" + them)}, more...)
	return build(t, append(set, attribute(stun.AttrPriority, 0x6e, 0x7f, 0, 0xff), stun.NewShortTermIntegrity(us.Pwd), stun.Fingerprint)...)
}

func TestResponder(t *testing.T) {
	controlling, controlled := attribute(stun.AttrICEControlling, make([]byte, 8)...), attribute(stun.AttrICEControlled, make([]byte, 8)...)
	user := stun.NewUsername(us.Ufrag + ":" + them)
	key := stun.NewShortTermIntegrity(us.Pwd)
	for _, c := range []struct {
		name      string
		raw       []byte
		peer      string
		verdict   Verdict
		code      int // of the answer; 0: a success
		nominates bool
	}{
		{"check", check(t, controlling), them, Accepted, 0, false},
		{"nomination", check(t, controlling, attribute(stun.AttrUseCandidate)), them, Accepted, 0, true},
		{"before the peer is known", check(t, controlling), "", Accepted, 0, false},
		{"of another peer", check(t, controlling), "other", Silent, 0, false},
		{"both controlled", check(t, controlled), them, Conflict, 487, false},
		{"unknown and necessary", check(t, controlling, attribute(0x7777, 1)), them, Unknown, 420, false},
		{"unknown and not necessary", check(t, controlling, attribute(0xc057, 0, 1, 0, 10)), them, Accepted, 0, false}, // as libwebrtc sends
		{"unsigned", build(t, user, controlling, stun.Fingerprint), them, Silent, 0, false},
		{"signed by another", build(t, user, stun.NewShortTermIntegrity("wrong"), stun.Fingerprint), them, Silent, 0, false},
		{"without fingerprint", build(t, user, controlling, key), them, Silent, 0, false},
		{"user behind the signature", build(t, key, user, stun.Fingerprint), them, Silent, 0, false},
		{"nomination behind the signature", build(t, user, key, attribute(stun.AttrUseCandidate), stun.Fingerprint), them, Accepted, 0, false},
		{"no colon", build(t, stun.NewUsername(us.Ufrag), key, stun.Fingerprint), them, Silent, 0, false},
		{"too long", build(t, user, attribute(0xc001, make([]byte, 1000)...), key, stun.Fingerprint), them, Silent, 0, false},
		{"no STUN", []byte("\x00\x01 this is no STUN message at all"), them, Silent, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Responder
			ufrag, ok := r.Open(c.raw)
			if !ok {
				if c.verdict != Silent {
					t.Fatal("not opened")
				}
				return
			}
			if string(ufrag) != us.Ufrag {
				t.Fatalf("fragment %q", ufrag)
			}
			got, verdict, raw := r.Answer(from, us, c.peer)
			if verdict != c.verdict || got.Nominates != (c.nominates && verdict == Accepted) {
				t.Fatalf("verdict %d, check %+v", verdict, got)
			}
			if verdict == Silent {
				if raw != nil {
					t.Error("an answer to what does not verify")
				}
				return
			}
			if len(raw) > len(c.raw) {
				t.Errorf("answer of %d bytes to %d", len(raw), len(c.raw))
			}
			answered(t, c.raw, raw, c.code)
		})
	}
}

// answered holds an answer to RFC 8489 as a client would.
func answered(t *testing.T, question, raw []byte, code int) {
	t.Helper()
	m := &stun.Message{Raw: bytes.Clone(raw)}
	if err := m.Decode(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m.TransactionID[:], question[8:20]) || stun.NewShortTermIntegrity(us.Pwd).Check(m) != nil || stun.Fingerprint.Check(m) != nil {
		t.Error("answer without transaction, integrity or fingerprint")
	}
	if code == 0 {
		var mapped stun.XORMappedAddress
		if err := mapped.GetFrom(m); err != nil || mapped.String() != from.String() || m.Type != stun.BindingSuccess {
			t.Errorf("%v says %v, %v", m.Type, mapped, err)
		}
		return
	}
	var e stun.ErrorCodeAttribute
	if err := e.GetFrom(m); err != nil || int(e.Code) != code || m.Type != stun.BindingError {
		t.Errorf("%v says %v, %v", m.Type, e, err)
	}
}

func TestCredentials(t *testing.T) {
	a, b := NewCredentials(), NewCredentials()
	if a == b || a.Check() != nil || len(a.Ufrag) != 12 || len(a.Pwd) != 32 {
		t.Errorf("%q %q", a.Ufrag, a.Pwd)
	}
	if s := a.String(); strings.Contains(s, a.Pwd) {
		t.Error("the password is shown")
	}
	for name, c := range map[string]Credentials{
		"short fragment": {"abc", a.Pwd}, "short password": {a.Ufrag, a.Pwd[:21]}, "space": {"ab cd", a.Pwd}, "long": {strings.Repeat("a", 257), a.Pwd},
	} {
		if c.Check() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Whatever comes: no panic, and an answer only to what is signed.
func FuzzResponder(f *testing.F) {
	f.Add(check(f))
	f.Add(check(f, attribute(stun.AttrUseCandidate)))
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Responder
		before := bytes.Clone(b)
		if _, ok := r.Open(b); !ok {
			return
		}
		_, verdict, raw := r.Answer(from, us, them)
		if (raw == nil) != (verdict == Silent) {
			t.Fatalf("verdict %d with %d bytes", verdict, len(raw))
		}
		if verdict != Silent && !bytes.Contains(before, []byte(us.Ufrag)) {
			t.Fatal("answered a stranger")
		}
	})
}
