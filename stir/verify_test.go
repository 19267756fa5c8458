package stir

import (
	"context"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What is signed is verified, with the attestation that it was signed with.
func TestSignAndVerify(t *testing.T) {
	s := newSigning(t, nil)
	for _, a := range []Attestation{Full, Partial, Gateway} {
		d := s.verifier().Verify(t.Context(), noon.Add(30*time.Second), []string{s.identity(t, a, caller, callee)}, theCall)
		if d.Verstat != Passed || d.Attest != a || d.Refusal != nil || len(d.Values) != 1 || len(d.OrigID) != 36 {
			t.Errorf("%s: %+v", a, d)
		}
	}
}

// The token has what RFC 8588 wants, and nothing else: no plus, no name, no inside number.
func TestWhatIsSigned(t *testing.T) {
	s := newSigning(t, nil)
	value := s.identity(t, Full, "+44 20 7946-0018", callee)
	token, params, _ := strings.Cut(value, ";")
	if want := "info=<" + where + `>;alg=ES256;ppt="shaken"`; params != want {
		t.Errorf("parameters %s, want %s", params, want)
	}
	parts := strings.Split(token, ".")
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	body, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if want := `{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"` + where + `"}`; string(header) != want {
		t.Errorf("header %s, want %s", header, want)
	}
	var c map[string]any
	if err := json.Unmarshal(body, &c); err != nil {
		t.Fatal(err)
	}
	id, _ := c["origid"].(string)
	want := `{"attest":"A","dest":{"tn":["33140000001"]},"iat":1795435200,"orig":{"tn":"442079460018"},"origid":"` + id + `"}`
	if string(body) != want {
		t.Errorf("claims %s, want %s", body, want)
	}
	again := s.identity(t, Full, caller, callee)
	if other, _ := s.Sign(noon, Full, caller, callee, "1002"); !strings.Contains(claimsIn(t, again), id) || strings.Contains(claimsIn(t, other), id) {
		t.Error("an account has more than one identifier, or two share one")
	}
	if _, err := s.Sign(noon, Full, "anonymous", callee, ""); err == nil {
		t.Error("a name is signed as a number")
	}
}

func claimsIn(t testing.TB, value string) string {
	t.Helper()
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(value, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// forged is a PASSporT made by hand: with our key unless another is given.
type forged struct {
	header, claims map[string]any
	method         jwt.SigningMethod
	key            any
	params         string // behind the token; empty: the usual
	token          func(string) string
}

func (s *signing) forge(t testing.TB, change func(*forged)) string {
	t.Helper()
	f := &forged{
		header: map[string]any{"alg": "ES256", "typ": "passport", "ppt": "shaken", "x5u": where},
		claims: map[string]any{
			"attest": "A", "dest": map[string]any{"tn": []string{"33140000001"}}, "iat": noon.Unix(), "orig": map[string]any{"tn": "442079460018"}, "origid": "x",
		},
		method: jwt.SigningMethodES256, key: s.key,
	}
	change(f)
	x, _ := f.header["x5u"].(string)
	if f.params == "" {
		f.params = ";info=<" + x + `>;alg=ES256;ppt="shaken"`
	}
	token := &jwt.Token{Header: f.header, Claims: jwt.MapClaims(f.claims), Method: f.method}
	text, err := token.SignedString(f.key)
	if err != nil {
		t.Fatal(err)
	}
	if f.token != nil {
		text = f.token(text)
	}
	return text + f.params
}

func TestHandMadePASSporTs(t *testing.T) {
	s := newSigning(t, nil)
	stranger, big := newKey(t, elliptic.P256()), newKey(t, elliptic.P384())
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) func(*forged) { return func(f *forged) { f.claims[name] = value } }
	number := func(n any) map[string]any { return map[string]any{"tn": n} }
	for _, x := range []struct {
		name   string
		change func(*forged)
		status int // 0: it passes
		fetch  bool
	}{
		{"as it should be", func(*forged) {}, 0, true},
		{"one number that is no list", claim("dest", number("33140000001")), 0, true},
		{"several numbers", claim("dest", number([]string{"15550001", "33140000001"})), 0, true},
		{"60 seconds old", claim("iat", noon.Add(-60*time.Second).Unix()), 0, true},
		{"61 seconds old", claim("iat", noon.Add(-61*time.Second).Unix()), 403, false},
		{"a day old", claim("iat", noon.Add(-24*time.Hour).Unix()), 403, false},
		{"61 seconds in the future", claim("iat", noon.Add(61*time.Second).Unix()), 403, false},
		{"no time", func(f *forged) { delete(f.claims, "iat") }, 438, false},
		{"a time that is a text", claim("iat", "1795435200"), 438, false},
		{"a time that is huge", claim("iat", 1e40), 438, false},
		{"another caller", claim("orig", number("442079460019")), 438, false},
		{"no caller", func(f *forged) { delete(f.claims, "orig") }, 438, false},
		{"a caller that is a list", claim("orig", number([]string{"442079460018"})), 438, false},
		{"another callee", claim("dest", number([]string{"33140000002"})), 438, false},
		{"no callee", claim("dest", number([]string{})), 438, false},
		{"an empty callee", claim("dest", number([]string{""})), 438, false},
		{"attestation D", claim("attest", "D"), 438, false},
		{"no attestation", func(f *forged) { delete(f.claims, "attest") }, 438, false},
		{"no signature at all", func(f *forged) {
			f.method, f.key, f.header["alg"] = jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "none"
		}, 438, false},
		{"our public key as a shared one", func(f *forged) {
			f.method, f.key, f.header["alg"] = jwt.SigningMethodHS256, asPEM("PUBLIC KEY", public), "HS256"
		}, 438, false},
		{"HS256 that says ES256", func(f *forged) { f.method, f.key = jwt.SigningMethodHS256, asPEM("PUBLIC KEY", public) }, 438, true},
		{"RS256", func(f *forged) { f.method, f.key, f.header["alg"] = jwt.SigningMethodRS256, rsaKey, "RS256" }, 438, false},
		{"ES384", func(f *forged) { f.method, f.key, f.header["alg"] = jwt.SigningMethodES384, big, "ES384" }, 438, false},
		{"no algorithm", func(f *forged) { delete(f.header, "alg") }, 438, false},
		{"an algorithm that is a number", func(f *forged) { f.header["alg"] = 256 }, 438, false},
		{"another's key", func(f *forged) { f.key = stranger }, 438, true},
		{"a critical header", func(f *forged) { f.header["crit"] = []string{"x"} }, 438, false},
		{"no PASSporT but a JWT", func(f *forged) { f.header["typ"] = "JWT" }, 438, false},
		{"of another kind", func(f *forged) { f.header["ppt"] = "rph" }, 428, false},
		{"of no kind", func(f *forged) { delete(f.header, "ppt") }, 428, false},
		{"another kind outside", func(f *forged) { f.params = ";info=<" + where + `>;alg=ES256;ppt="div"` }, 438, false},
		{"another algorithm outside", func(f *forged) { f.params = ";info=<" + where + `>;alg=none;ppt="shaken"` }, 438, false},
		{"another URL outside", func(f *forged) { f.params = ";info=<https://certs.carrier.example/other.pem>" }, 438, false},
		{"no parameters (GHSA-mrq5-74j5-f5cr)", func(f *forged) { f.params = " " }, 436, false},
		{"no info (GHSA-mrq5-74j5-f5cr)", func(f *forged) { f.params = ";alg=ES256" }, 436, false},
		{"an empty info", func(f *forged) { f.params = ";info=<>" }, 436, false},
		{"info without brackets", func(f *forged) { f.params = ";info=" + where }, 436, false},
		{"info without a value", func(f *forged) { f.params = ";info" }, 436, false},
		{"a semicolon and nothing", func(f *forged) { f.params = ";" }, 436, false},
		{"truncated in the signature", func(f *forged) { f.token = func(s string) string { return s[:len(s)-10] } }, 438, true},
		{"truncated in the claims", func(f *forged) { f.token = func(s string) string { return s[:len(s)-140] } }, 438, false},
		{"no signature part", func(f *forged) { f.token = func(s string) string { return s[:strings.LastIndex(s, ".")] } }, 438, false},
		{"the compact form", func(f *forged) { f.token = func(s string) string { return ".." + s[strings.LastIndex(s, ".")+1:] } }, 438, false},
		{"four parts", func(f *forged) { f.token = func(s string) string { return s + ".x" } }, 438, false},
		{"an empty token", func(f *forged) { f.token = func(string) string { return "" } }, 438, false},
		{"padding", func(f *forged) { f.token = func(s string) string { return s + "==" } }, 438, false},
		{"huge", func(f *forged) { f.claims["pad"] = strings.Repeat("x", 8192) }, 438, false},
		{"nested without end", func(f *forged) {
			f.claims["pad"] = json.RawMessage(strings.Repeat("[", 900) + strings.Repeat("]", 900))
		}, 0, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			v := s.verifier()
			d := v.Verify(t.Context(), noon, []string{s.forge(t, x.change)}, theCall)
			if x.status == 0 {
				if d.Verstat != Passed {
					t.Errorf("refused: %v", d.Refusal)
				}
				return
			}
			if d.Refusal == nil || d.Refusal.Code != x.status || d.Verstat == Passed || len(d.Values) != 0 {
				t.Errorf("%+v %v, want %d", d, d.Refusal, x.status)
			}
			if fetched := v.Fetches() > 0; fetched != x.fetch {
				t.Errorf("a certificate was fetched: %v", fetched)
			}
		})
	}
}

// Headers and numbers around a PASSporT that is right.
func TestWhatIsAroundAPASSporT(t *testing.T) {
	s := newSigning(t, nil)
	good := s.identity(t, Full, caller, callee)
	many := make([]string, mostValues+1)
	for i := range many {
		many[i] = good
	}
	for _, x := range []struct {
		name   string
		values []string
		call   Call
		status int
	}{
		{"none", nil, theCall, 428},
		{"an empty one", []string{""}, theCall, 436},
		{"two alike", []string{good, good}, theCall, 438},
		{"far too many", many, theCall, 438},
		{"another one that nobody has to understand", []string{s.forge(t, func(f *forged) { f.header["ppt"] = "rcd" }), good}, theCall, 0},
		{"the caller is not shown", []string{good}, Call{"", callee, callee}, 438},
		{"the caller is no number", []string{good}, Call{"anonymous", callee, callee}, 438},
		{"numbers written otherwise", []string{good}, Call{"44-2079460018", "+33 1 40 00 00 01", "x"}, 0},
		{"To and Request-URI differ", []string{good}, Call{caller, callee, "+33140000009"}, 0},
		{"only the Request-URI fits", []string{good}, Call{caller, "+33140000009", callee}, 438},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := s.verifier().Verify(t.Context(), noon, x.values, x.call)
			if x.status == 0 && d.Verstat != Passed || x.status != 0 && (d.Refusal == nil || d.Refusal.Code != x.status) {
				t.Errorf("%+v %v, want %d", d, d.Refusal, x.status)
			}
		})
	}
}

// A diverted call has a PASSporT for each of its ways, and every one of them must be right.
func TestDivertedCalls(t *testing.T) {
	s := newSigning(t, nil)
	const second, third = "+33140000002", "+33140000003"
	diverted := func(from, to string) string {
		v, err := s.SignDiversion(noon, caller, from, to)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := s.identity(t, Partial, caller, callee)
	for _, x := range []struct {
		name   string
		values []string
		call   Call
		passes int // how many PASSporTs; 0: refused
	}{
		{"once", []string{first, diverted(callee, second)}, Call{caller, second, second}, 2},
		{"once, with the To that it had", []string{first, diverted(callee, second)}, Call{caller, "+33140000009", second}, 2},
		{"twice, in any order", []string{diverted(second, third), first, diverted(callee, second)}, Call{caller, third, third}, 3},
		{"by somebody whom it was not for", []string{first, diverted(third, second)}, Call{caller, second, second}, 0},
		{"to somewhere else", []string{first, diverted(callee, third)}, Call{caller, second, second}, 0},
		{"in a circle", []string{first, diverted(callee, second), diverted(second, callee)}, Call{caller, third, third}, 0},
		{"of nobody's call", []string{diverted(callee, second)}, Call{caller, second, second}, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := s.verifier().Verify(t.Context(), noon, x.values, x.call)
			if len(d.Values) != x.passes || (d.Verstat == Passed) != (x.passes > 0) {
				t.Errorf("%+v %v", d, d.Refusal)
			}
		})
	}
}

// However many certificates a call names, all of them together take two seconds at most.
func TestManyCertificatesTakeNoLongerThanOne(t *testing.T) {
	made := newSigning(t, nil)
	other := func(n string) func(*forged) {
		return func(f *forged) {
			f.header["ppt"], f.header["x5u"] = "div", "https://certs"+n+".example/x"
			f.claims["div"], f.claims["dest"] = map[string]any{"tn": "3314000000" + n}, map[string]any{"tn": []string{"3314000000" + string(n[0]+1)}}
			f.params = ";info=<https://certs" + n + `.example/x>;alg=ES256;ppt="div"`
		}
	}
	values := []string{made.identity(t, Full, caller, callee), made.forge(t, other("1")), made.forge(t, other("2")), made.forge(t, other("3"))}
	synctest.Test(t, func(t *testing.T) {
		v := NewVerifier(Config{Roots: made.ca.roots, Fetch: func(ctx context.Context, address string) ([]byte, time.Duration, error) {
			select {
			case <-time.After(900 * time.Millisecond):
				return made.chain, 0, nil
			case <-ctx.Done():
				return nil, 0, ctx.Err()
			}
		}})
		began := time.Now()
		d := v.Verify(t.Context(), noon, values, Call{caller, "+33140000004", "+33140000004"})
		if took := time.Since(began); took != patience || d.Refusal == nil || d.Refusal.Code != 436 {
			t.Errorf("%v, %v", took, d.Refusal)
		}
	})
}

// Whose certificate it is, what it is for, and until when.
func TestCertificates(t *testing.T) {
	provider := listOf(t, entry(t, 0, "709J", "ia5"))
	one := func(n string) []byte { return listOf(t, entry(t, 2, n, "ia5")) }
	block := func(first string, count int) []byte { return listOf(t, entry(t, 1, tnRange{first, count}, "")) }
	for _, x := range []struct {
		name   string
		list   []byte
		change func(*x509.Certificate)
		status int
	}{
		{"of a provider", provider, nil, 0},
		{"without a list", nil, nil, 0},
		{"of that number", one("442079460018"), nil, 0},
		{"of another number", one("442079460019"), nil, 437},
		{"of a block with it", block("442079460000", 100), nil, 0},
		{"of a block up to it", block("442079460000", 19), nil, 0},
		{"of a block just below it", block("442079460000", 18), nil, 437},
		{"of a block just above it", block("442079460019", 100), nil, 437},
		{"of a block and of a provider", listOf(t, entry(t, 1, tnRange{"1", 1}, ""), entry(t, 0, "709J", "ia5")), nil, 0},
		{"of a block without end", block("442079460000", 1<<60), nil, 437},
		{"of a block of none", block("442079460000", 0), nil, 437},
		{"an empty list", listOf(t), nil, 437},
		{"a list that is none", []byte("x"), nil, 437},
		{"of something else that is critical", provider, func(c *x509.Certificate) {
			c.ExtraExtensions[0].Id = asn1.ObjectIdentifier{1, 2, 3}
		}, 437},
		{"expired", provider, func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Second) }, 437},
		{"of the future", provider, func(c *x509.Certificate) { c.NotBefore = noon.Add(time.Hour) }, 437},
		{"not for signatures", provider, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, 437},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.change == nil {
				x.change = func(*x509.Certificate) {}
			}
			s := newSigning(t, nil)
			s.chain = s.ca.leaf(&s.key.PublicKey, x.list, x.change)
			d := s.verifier().Verify(t.Context(), noon, []string{s.identity(t, Full, caller, callee)}, theCall)
			if x.status == 0 && d.Verstat != Passed || x.status != 0 && (d.Refusal == nil || d.Refusal.Code != x.status) {
				t.Errorf("%+v %v, want %d", d, d.Refusal, x.status)
			}
		})
	}
	for name, chain := range map[string]func(*signing) []byte{
		"of another authority": func(s *signing) []byte { return newCA(t).leaf(&s.key.PublicKey, nil) },
		"self-signed": func(s *signing) []byte {
			own := *s.ca.cert
			own.PublicKey = nil
			return asPEM("CERTIFICATE", s.ca.sign(&own, &own, &s.key.PublicKey, s.key).Raw)
		},
		"of another curve": func(s *signing) []byte { return s.ca.leaf(&newKey(t, elliptic.P384()).PublicKey, nil) },
		"a page":           func(*signing) []byte { return []byte("<html>not here</html>") },
		"a key":            func(s *signing) []byte { return keyPEM(t, s.key) },
		"nothing":          func(*signing) []byte { return nil },
		"broken":           func(*signing) []byte { return asPEM("CERTIFICATE", []byte("x")) },
		"too many": func(s *signing) []byte {
			return []byte(strings.Repeat(string(s.chain), mostCertificates+1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSigning(t, nil)
			s.chain = chain(s)
			d := s.verifier().Verify(t.Context(), noon, []string{s.identity(t, Full, caller, callee)}, theCall)
			if d.Refusal == nil || d.Refusal.Code != 437 {
				t.Errorf("%+v %v", d, d.Refusal)
			}
		})
	}
}

// A chain with a certificate between is found in the same file.
func TestAChainOfThree(t *testing.T) {
	s := newSigning(t, nil)
	middle := &testCA{t: t, key: newKey(t, elliptic.P256())}
	template := *s.ca.cert
	template.SerialNumber, template.Subject.CommonName = template.SerialNumber.Add(template.SerialNumber, template.SerialNumber), "between"
	middle.cert = s.ca.sign(&template, s.ca.cert, &middle.key.PublicKey, s.ca.key)
	s.chain = append(middle.leaf(&s.key.PublicKey, nil), asPEM("CERTIFICATE", middle.cert.Raw)...)
	if d := s.verifier().Verify(t.Context(), noon, []string{s.identity(t, Full, caller, callee)}, theCall); d.Verstat != Passed {
		t.Error(d.Refusal)
	}
}

// What we are told to sign with must be good for it.
func TestSignersThatAreRefused(t *testing.T) {
	ca, key := newCA(t), newKey(t, elliptic.P256())
	alive := func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(1, 0, 0) }
	large := newKey(t, elliptic.P384())
	for name, make := range map[string]func() error{
		"another's key": func() error {
			_, err := NewSigner(ca.leaf(&key.PublicKey, nil, alive), keyPEM(t, newKey(t, elliptic.P256())), where)
			return err
		},
		"another curve": func() error {
			_, err := NewSigner(ca.leaf(&large.PublicKey, nil, alive), keyPEM(t, large), where)
			return err
		},
		"expired": func() error {
			_, err := NewSigner(ca.leaf(&key.PublicKey, nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }), keyPEM(t, key), where)
			return err
		},
		"no https": func() error {
			_, err := NewSigner(ca.leaf(&key.PublicKey, nil, alive), keyPEM(t, key), "http://certs.example/x.pem")
			return err
		},
	} {
		if make() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// FuzzIdentity: whatever stands in the header, reading it ends, and what passes is what was signed.
func FuzzIdentity(f *testing.F) {
	s := newSigning(f, nil)
	good := s.identity(f, Full, caller, callee)
	for _, seed := range []string{good, "", ";", "a.b.c;info=<https://x/>", "..;info=<>", good + ";" + good, strings.Replace(good, ".", "", 1)} {
		f.Add(seed)
	}
	v := s.verifier()
	token, _, _ := strings.Cut(good, ";")
	f.Fuzz(func(t *testing.T, value string) {
		d := v.Verify(context.Background(), noon, []string{value}, theCall)
		if (d.Verstat == Passed) != (d.Refusal == nil) {
			t.Fatalf("%+v", d)
		}
		if d.Verstat == Passed && !strings.HasPrefix(strings.TrimSpace(value), token) {
			t.Fatalf("passes: %q", value)
		}
	})
}
