package stir

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Attestation is what a signer says of the caller (RFC 8588 §4).
type Attestation string

// The attestations.
const (
	Full    Attestation = "A" // the caller is known, and may show the number
	Partial Attestation = "B" // the caller is known
	Gateway Attestation = "C" // it came from elsewhere
)

// The kinds of PASSporT that are signed and understood.
const (
	shaken = "shaken"
	div    = "div"
)

// claims are those of both kinds. They stand in the order of their names, and the numbers in them are canonical (RFC 8225
// §9): digits without plus.
type claims struct {
	Attest Attestation `json:"attest,omitempty"`
	Dest   parties     `json:"dest"`
	Div    *party      `json:"div,omitempty"`
	Issued int64       `json:"iat"`
	Orig   party       `json:"orig"`
	OrigID string      `json:"origid,omitempty"`
}

// party is one number or URI.
type party struct {
	Number string `json:"tn,omitempty"`
	URI    string `json:"uri,omitempty"`
}

// parties are several.
type parties struct {
	Numbers texts `json:"tn,omitempty"`
	URIs    texts `json:"uri,omitempty"`
}

// texts takes one text for a list of one: many signers write it so.
type texts []string

// UnmarshalJSON reads a text, or a list of texts.
func (t *texts) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var one string
		err := json.Unmarshal(b, &one)
		*t = texts{one}
		return err
	}
	var all []string
	err := json.Unmarshal(b, &all)
	*t = all
	return err
}

// What jwt.Claims wants; we judge times ourselves, for SIP's are stricter than JWT's.
func (claims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (claims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (claims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (claims) GetIssuer() (string, error)                   { return "", nil }
func (claims) GetSubject() (string, error)                  { return "", nil }
func (claims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// calls tells whether the PASSporT is for a number.
func (c *claims) calls(number string) bool {
	for _, n := range c.Dest.Numbers {
		if number != "" && Number(n) == number {
			return true
		}
	}
	return false
}

// Number is a telephone number in its canonical form (RFC 8224 §8.3): digits, * and #, no plus and no separators; empty for
// what is no number.
func Number(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c == '*', c == '#':
			b.WriteByte(c)
		case c == '+' && i == 0, c == '-', c == '.', c == '(', c == ')', c == ' ':
		default:
			return ""
		}
	}
	return b.String()
}

// passport is a PASSporT whose signature nobody has looked at yet.
type passport struct {
	token  string
	kind   string // shaken or div
	x5u    string
	issued time.Time
	claims
}

var (
	errAlgorithm = errors.New("the algorithm is not ES256")
	errForm      = errors.New("the PASSporT is malformed")
	// errUnknownKind says that a PASSporT is one of those that nobody has to understand (RFC 8224 §4.1).
	errUnknownKind = errors.New("the PASSporT is of another kind")
)

// parser reads tokens of that one algorithm: neither "none" nor one that would take our public key for a shared one.
var parser = jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())

// readPassport reads a PASSporT in its full form, the only one that SHAKEN has.
func readPassport(text string) (*passport, error) {
	p := &passport{token: text}
	t, _, err := parser.ParseUnverified(text, &p.claims)
	if err != nil {
		if errors.Is(err, jwt.ErrTokenUnverifiable) {
			return nil, errAlgorithm
		}
		return nil, fmt.Errorf("%w: %w", errForm, err)
	}
	header := func(name string) string { s, _ := t.Header[name].(string); return s }
	if header("alg") != jwt.SigningMethodES256.Alg() {
		return nil, errAlgorithm
	}
	if p.kind = header("ppt"); p.kind != shaken && p.kind != div {
		return nil, errUnknownKind
	}
	if _, critical := t.Header["crit"]; critical || header("typ") != "passport" {
		return nil, errForm
	}
	p.x5u, p.issued = header("x5u"), time.Unix(p.Issued, 0)
	switch {
	case p.Issued <= 0, Number(p.Orig.Number) == "" && p.Orig.URI == "", len(p.Dest.Numbers)+len(p.Dest.URIs) == 0:
		return nil, fmt.Errorf("%w: a claim is missing", errForm)
	case p.kind == shaken && p.Attest != Full && p.Attest != Partial && p.Attest != Gateway:
		return nil, fmt.Errorf("%w: the attestation is not A, B or C", errForm)
	case p.kind == div && (p.Div == nil || Number(p.Div.Number) == ""):
		return nil, fmt.Errorf("%w: it does not say who diverted", errForm)
	}
	return p, nil
}
