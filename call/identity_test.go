package call

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"tandem/sip"
	"tandem/stir"
	"tandem/trunk"
)

const certificateURL = "https://certs.carrier.example/chain.pem"

// notary is a certificate that signs, and whoever believes it.
type notary struct {
	signer   *stir.Signer
	verifier *stir.Verifier
	fetch    func(ctx context.Context) error // before the certificate is given; nil: nothing
}

func newNotary(t *testing.T) *notary {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "SHAKEN"}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	n := &notary{}
	if n.signer, err = stir.NewSigner(chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), certificateURL); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(chain)
	n.verifier = stir.NewVerifier(stir.Config{Roots: roots, Fetch: func(ctx context.Context, address string) ([]byte, time.Duration, error) {
		if n.fetch != nil {
			if err := n.fetch(ctx); err != nil {
				return nil, 0, err
			}
		}
		if address != certificateURL {
			return nil, 0, errors.New("not there")
		}
		return chain, 0, nil
	}})
	return n
}

// identity is what the carrier signs of a call.
func (n *notary) identity(t *testing.T, orig, dest string) string {
	t.Helper()
	v, err := n.signer.Sign(time.Now(), stir.Full, orig, dest, "x")
	if err != nil {
		t.Fatal(err)
	}
	return "Identity: " + v
}

// stirPlan is tradePlan with 1002 forwarding, and a route from carrier to carrier.
var stirPlan = strings.Replace(strings.Replace(tradePlan, "name  = \"Alice\"", "name  = \"Alice\"\n  did = \"+442079460019\"", 1), `trunk "first" {}`, `
route "transit" {
  from = [trunk.second]
  to   = "+..."
  dial { trunks = [trunk.first] }
}
trunk "first" {}`, 1)

// inSTIR is inTrade where calls to first are signed, and calls from both are verified by a policy.
func inSTIR(t *testing.T, verify trunk.Verify, test func(o *office, n *notary), change ...func(first, second *trunk.Config)) {
	n := newNotary(t)
	signed := trunk.STIR{Sign: true, Owned: "A", Known: "B", Transit: "C", Verify: verify}
	change = append([]func(first, second *trunk.Config){func(first, second *trunk.Config) { first.STIR, second.STIR = signed, signed }}, change...)
	inTrade(t, func(o *office, _ wires) {
		s := *o.board.Settings()
		s.Signer, s.Verifier, s.Plan = n.signer, n.verifier, planOf(t, stirPlan)
		o.board.Update(&s)
		test(o, n)
	}, change...)
}

// claimsOf reads the claims of an Identity header without looking at its signature.
func claimsOf(t *testing.T, value string) (c struct {
	Attest string
	Orig   struct{ TN string }
	Dest   struct{ TN []string }
	Div    struct{ TN string }
}) {
	t.Helper()
	parts := strings.Split(value, ".")
	if len(parts) < 3 {
		t.Fatalf("no Identity: %q", value)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What is signed of a caller depends on what we know of him.
func TestAttestationByWhatIsKnownOfTheCaller(t *testing.T) {
	for _, x := range []struct {
		name, ext, attest, orig string
		change                  func(first, second *trunk.Config)
	}{
		{"his own number", "1001", "A", "442079460019", nil},
		{"known, with the number of the house", "1002", "B", "442079460000", nil},
		{"as the operator says", "1002", "A", "442079460000", func(first, _ *trunk.Config) { first.STIR.Known = "A" }},
		{"not signed", "1002", "", "", func(first, _ *trunk.Config) { first.STIR.Known = "none" }},
		{"nobody is shown", "1002", "", "", func(first, _ *trunk.Config) { first.CallerID = "" }},
		{"withheld, and signed all the same", "1001", "A", "442079460019", func(first, _ *trunk.Config) { first.Private, first.Identity = true, trunk.IdentityPAI }},
		{"off", "1001", "", "", func(first, _ *trunk.Config) { first.STIR.Sign = false }},
	} {
		t.Run(x.name, func(t *testing.T) {
			change := x.change
			if change == nil {
				change = func(_, _ *trunk.Config) {}
			}
			inSTIR(t, trunk.VerifyOff, func(o *office, n *notary) {
				p, first := o.phone(0x1, x.ext, 1), o.phone(0x1, "first", 71)
				a := p.invites(abroad, "offer", "Identity: forged.by.phone;info=<https://evil.example/x>")
				b := first.rung()
				values := b.invite.Header(sip.HeaderIdentity)
				if x.attest == "" {
					if values != "" {
						t.Error("signed:", values)
					}
				} else {
					c := claimsOf(t, values)
					if c.Attest != x.attest || c.Orig.TN != x.orig || len(c.Dest.TN) != 1 || c.Dest.TN[0] != abroad[1:] {
						t.Errorf("%+v", c)
					}
					d := n.verifier.Verify(context.Background(), time.Now(), []string{values}, stir.Call{Orig: x.orig, To: abroad})
					if d.Verstat != stir.Passed {
						t.Error(d.Refusal)
					}
				}
				if strings.Contains(b.invite.Raw(), "evil") {
					t.Error("the phone's own Identity goes out")
				}
				b.says(486, "")
				first.hears(sip.ACK)
				a.hears("486")
			}, change)
		})
	}
}

// What a phone is told of a carrier's call, by what the carrier has proven.
func TestCallsFromACarrierAreVerified(t *testing.T) {
	const home = "+442079460018"
	for _, x := range []struct {
		name    string
		policy  trunk.Verify
		lines   func(t *testing.T, n *notary) []string
		verstat string // at the phone; "-": no P-Asserted-Identity
		status  string // for the carrier instead; empty: the phone rings
	}{
		{"passes", trunk.VerifyTag, func(t *testing.T, n *notary) []string { return []string{n.identity(t, abroad, home)} }, "TN-Validation-Passed", ""},
		{"passes where it must", trunk.VerifyRequire, func(t *testing.T, n *notary) []string { return []string{n.identity(t, abroad, home)} }, "TN-Validation-Passed", ""},
		{"compact form", trunk.VerifyRequire, func(t *testing.T, n *notary) []string {
			return []string{"y" + strings.TrimPrefix(n.identity(t, abroad, home), "Identity")}
		}, "TN-Validation-Passed", ""},
		{"of another caller", trunk.VerifyTag, func(t *testing.T, n *notary) []string { return []string{n.identity(t, "+33140000009", home)} }, "TN-Validation-Failed", ""},
		{"of another caller, where it must pass", trunk.VerifyRequire, func(t *testing.T, n *notary) []string {
			return []string{n.identity(t, "+33140000009", home)}
		}, "", "438"},
		{"none", trunk.VerifyTag, nil, "No-TN-Validation", ""},
		{"none where there must be one", trunk.VerifyRequire, nil, "", "428"},
		{"from inside", trunk.VerifyRequire, func(t *testing.T, n *notary) []string {
			return []string{strings.ReplaceAll(n.identity(t, abroad, home), certificateURL, "https://127.0.0.1/x")}
		}, "", "438"}, // info alone is changed: it and x5u differ
		{"without info", trunk.VerifyRequire, func(t *testing.T, n *notary) []string {
			v, _, _ := strings.Cut(n.identity(t, abroad, home), ";")
			return []string{v}
		}, "", "436"},
		{"not looked at", trunk.VerifyOff, func(t *testing.T, n *notary) []string { return []string{n.identity(t, "+1", home)} }, "-", ""},
		{"verstat of its own", trunk.VerifyTag, func(*testing.T, *notary) []string {
			return []string{"P-Asserted-Identity: <sip:" + abroad + ";verstat=TN-Validation-Passed@carrier.test;user=phone>, <tel:" + abroad + ";verstat=TN-Validation-Passed>"}
		}, "No-TN-Validation", ""},
		{"verstat of its own, not looked at", trunk.VerifyOff, func(*testing.T, *notary) []string {
			return []string{"P-Asserted-Identity: <tel:" + abroad + ";verstat=TN-Validation-Passed>"}
		}, "-", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			inSTIR(t, x.policy, func(o *office, n *notary) {
				first, bob := o.phone(0x1, "first", 71), o.bob()
				var lines []string
				if x.lines != nil {
					lines = x.lines(t, n)
				}
				a := first.offers(home, "offer", lines...)
				if x.status != "" {
					if r := a.hears(x.status); strings.Contains(r.Raw(), "PASSporT") {
						t.Error("the carrier is told why:", r.Raw())
					}
					return
				}
				b := bob.rung()
				pai := b.invite.Header(sip.HeaderPAssertedIdentity)
				want := "<sip:" + abroad + ";verstat=" + x.verstat + "@example.com;user=phone>"
				if x.verstat == "-" {
					want = ""
				}
				if pai != want || b.invite.Has(sip.HeaderIdentity) || x.verstat == "-" && strings.Contains(b.invite.Raw(), "verstat") {
					t.Errorf("the phone is told\n%s\nwant %q", b.invite.Raw(), want)
				}
				b.says(486, "")
				bob.hears(sip.ACK)
				a.hears("486")
				o.settle()
				if r := o.record(); x.verstat != "-" && string(r.Verstat) != x.verstat {
					t.Error("record:", r.Verstat, r.Attest)
				}
			})
		})
	}
}

// A certificate that drips holds one call for two seconds, and no other call; nor does it hold one that is given up.
func TestAFetchHoldsNobodyUp(t *testing.T) {
	inSTIR(t, trunk.VerifyTag, func(o *office, n *notary) {
		n.fetch = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		first, bob := o.phone(0x1, "first", 71), o.bob()
		began := o.net.Since()
		a := first.offers("+442079460018", "offer", n.identity(t, abroad, "+442079460018"))
		other := first.offers("+442079460018", "offer") // without Identity: rings at once
		b := bob.rung()
		if o.net.Since() != began {
			t.Error("another call waits until", o.net.Since())
		}
		b.says(486, "")
		bob.hears(sip.ACK)
		other.hears("486")
		b = bob.rung()
		if waited := o.net.Since() - began; waited != 2*time.Second {
			t.Error("the call waits", waited)
		}
		b.says(486, "")
		bob.hears(sip.ACK)
		a.hears("486")
		o.pass(time.Minute)
		a = first.offers("+442079460018", "offer", n.identity(t, abroad, "+442079460018"))
		o.settle()
		a.cancels()
		first.hears("200 CANCEL")
		a.hears("487")
		bob.hearsNothing(10 * time.Second)
	})
}

// A call that came signed and goes on goes with the word of whoever signed it; where it goes elsewhere, ours is beside it.
// What did not pass is not passed on.
func TestTransit(t *testing.T) {
	const other = "+33140000002"
	inSTIR(t, trunk.VerifyTag, func(o *office, n *notary) {
		first, second := o.phone(0x1, "first", 71), o.phone(0x1, "second", 72)
		for _, x := range []struct {
			name, signedFor, attest string
			values                  int
		}{{"as it came", other, "A", 1}, {"not passed", "+33140000003", "C", 1}} {
			a := second.offers(other, "offer", n.identity(t, abroad, x.signedFor))
			b := first.rung()
			var values []string
			for e := range b.invite.Elements(sip.HeaderIdentity) {
				values = append(values, e)
			}
			if c := claimsOf(t, values[0]); len(values) != x.values || c.Attest != x.attest || c.Orig.TN != abroad[1:] || c.Dest.TN[0] != other[1:] {
				t.Errorf("%s: %+v", x.name, c)
			}
			b.says(486, "")
			first.hears(sip.ACK)
			a.hears("486")
		}
	}, func(first, _ *trunk.Config) { first.AnyCaller = true })
}

// A phone shows another number only where it is its own or its class allows it, and what it is signed with says whose it is.
func TestNumbersThatAPhoneAsksToShow(t *testing.T) {
	for _, x := range []struct{ name, asks, shown, attest string }{
		{"none", "", "+442079460019", "A"},
		{"its own", "<sip:+442079460019@example.com>", "+442079460019", "A"},
		{"its own, as it is dialled", "<tel:020-7946-0019>", "+442079460019", "A"},
		{"of the block of its class", "<sip:+442079460177@example.com>", "+442079460177", "B"},
		{"of the house, and not of its class", "<sip:+442079460018@example.com>", "+442079460019", "A"},
		{"of nobody", "<sip:+33140000009@example.com>", "+442079460019", "A"},
		{"a name", "<sip:boss@example.com>", "+442079460019", "A"},
		{"broken", "<sip:", "+442079460019", "A"},
		{"two", "<sip:+33140000009@example.com>, <tel:+442079460177>", "+442079460177", "B"},
	} {
		t.Run(x.name, func(t *testing.T) {
			inSTIR(t, trunk.VerifyOff, func(o *office, _ *notary) {
				s := *o.board.Settings()
				text := strings.Replace(stirPlan, "class \"office\" {", "class \"office\" {\n  may_show = [\"+4420794601*\"]", 1)
				s.Plan = planOf(t, strings.Replace(text, "name  = \"Bob\"", "name  = \"Bob\"\n  did = \"+442079460018\"", 1))
				o.board.Update(&s)
				alice, first := o.alice(), o.phone(0x1, "first", 71)
				var lines []string
				if x.asks != "" {
					lines = []string{"P-Preferred-Identity: " + x.asks}
				}
				a := alice.invites(abroad, "offer of alice", lines...)
				b := first.rung()
				if from := b.invite.Header(sip.HeaderFrom); !strings.Contains(from, "<sip:"+x.shown+"@") {
					t.Errorf("From %s, want %s", from, x.shown)
				}
				if c := claimsOf(t, b.invite.Header(sip.HeaderIdentity)); c.Attest != x.attest || c.Orig.TN != x.shown[1:] {
					t.Errorf("%+v", c)
				}
				if b.invite.Has(sip.HeaderPPreferredIdentity) {
					t.Error("P-Preferred-Identity goes out")
				}
				b.says(486, "")
				first.hears(sip.ACK)
				a.hears("486")
			})
		})
	}
}

// What a carrier says of a ported number goes on to one that wants it; what a phone says of it goes nowhere.
func TestPortedNumbersInTransit(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		inSTIR(t, trunk.VerifyOff, func(o *office, _ *notary) {
			alice, first, second := o.alice(), o.phone(0x1, "first", 71), o.phone(0x1, "second", 72)
			a := second.offers("+33140000002;npdi;rn=+33140009999", "offer")
			b := first.rung()
			want := "sip:+33140000002@carrier.test"
			if wanted {
				want = "sip:+33140000002;npdi;rn=+33140009999@carrier.test"
			}
			if uri := b.invite.RequestURI(); uri != want || !strings.HasPrefix(b.invite.Header(sip.HeaderTo), "<"+want+">") {
				t.Errorf("%s, want %s", uri, want)
			}
			b.says(486, "")
			first.hears(sip.ACK)
			a.hears("486")
			a = alice.invites("+33140000002;npdi;rn=+33140009999", "offer")
			if r := a.hearsFirst(first); strings.Contains(r, "rn=") {
				t.Error("a phone decides on the routing number:", r)
			}
		}, func(first, _ *trunk.Config) { first.Portable = wanted })
	}
}

// hearsFirst is the Request-URI that comes to a carrier, which is busy; empty: the caller was refused before.
func (d *dialogue) hearsFirst(carrier *phone) string {
	d.o.Helper()
	d.o.settle()
	r, came := carrier.within(0)
	if !came {
		d.hears("404")
		return ""
	}
	b := carrier.side(r)
	b.says(486, "")
	carrier.hears(sip.ACK)
	d.hears("486")
	return r.RequestURI()
}

// A call for a phone that is forwarded to a carrier says who diverted it.
func TestAForwardIsSignedAsADiversion(t *testing.T) {
	const home, away = "+442079460018", "+33140000002"
	inSTIR(t, trunk.VerifyTag, func(o *office, n *notary) {
		s := *o.board.Settings()
		s.Plan = planOf(t, strings.Replace(stirPlan, "name  = \"Bob\"", "name  = \"Bob\"\n  forward { always = \""+away+"\" }", 1))
		o.board.Update(&s)
		first, second := o.phone(0x1, "first", 71), o.phone(0x1, "second", 72)
		a := second.offers(home, "offer", n.identity(t, abroad, home))
		b := first.rung()
		var values []string
		for e := range b.invite.Elements(sip.HeaderIdentity) {
			values = append(values, e)
		}
		if len(values) != 2 {
			t.Fatal("Identity:", values)
		}
		if c := claimsOf(t, values[1]); c.Div.TN != home[1:] || c.Dest.TN[0] != away[1:] || c.Orig.TN != abroad[1:] {
			t.Errorf("%+v", c)
		}
		d := n.verifier.Verify(context.Background(), time.Now(), values, stir.Call{Orig: abroad, To: away, Called: away})
		if d.Verstat != stir.Passed || d.Attest != stir.Full {
			t.Error(d.Refusal)
		}
		b.says(486, "")
		first.hears(sip.ACK)
		a.hears("486")
	}, func(first, _ *trunk.Config) { first.AnyCaller = true })
}

// A call that came signed and is transferred goes out with our word on who transfers, never with that of the first caller.
func TestATransferIsNotSignedWithTheCallersWord(t *testing.T) {
	inSTIR(t, trunk.VerifyTag, func(o *office, n *notary) {
		s := *o.board.Settings()
		s.Plan = planOf(t, strings.Replace(stirPlan, "name  = \"Bob\"", "name  = \"Bob\"\n  did = \"+442079460018\"", 1))
		o.board.Update(&s)
		first, second, bob := o.phone(0x1, "first", 71), o.phone(0x1, "second", 72), o.bob()
		a := second.offers("+442079460018", "offer", n.identity(t, abroad, "+442079460018"))
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.settle()
		b.asks(sip.REFER, "", "Refer-To: <sip:+33140000002@"+domain+">")
		var out *dialogue
		for range 20 {
			if r, came := second.within(0); came && r.Method() == sip.INVITE { // taken off hold, in case
				second.replies(r, 200, "answer", []string{second.contact()}, "")
			}
			if r, came := bob.within(0); came && r.Method() == sip.NOTIFY {
				bob.replies(r, 200, "", nil, "")
			}
			if r, came := first.within(0); came {
				out = first.side(r)
				break
			}
		}
		if out == nil {
			t.Fatal("the transfer does not go out")
		}
		var values []string
		for e := range out.invite.Elements(sip.HeaderIdentity) {
			values = append(values, e)
		}
		if len(values) != 1 {
			t.Fatal("Identity:", values)
		}
		if c := claimsOf(t, values[0]); c.Orig.TN != "442079460018" || c.Dest.TN[0] != "33140000002" || c.Attest != "A" {
			t.Errorf("%+v", c)
		}
		for _, p := range []*phone{first, second, bob} {
			p.deaf = true
		}
		o.pass(time.Minute)
	}, func(first, _ *trunk.Config) { first.AnyCaller = true })
}
