package stir

import (
	"fmt"
	"strings"

	"tandem/sip"
)

const (
	// longestValue bounds one Identity value, in bytes: a PASSporT with a long URL has about 600.
	longestValue = 4096
	// mostValues bounds those of one request: a SHAKEN one and one for each diversion.
	mostValues = 8
)

// readIdentity reads one value of an Identity header (RFC 8224 §4): the token, and what the parameters repeat of it. A value
// that is nothing but parameters, or has none at all, is an error like any other.
func readIdentity(value string) (*passport, error) {
	if len(value) > longestValue {
		return nil, fmt.Errorf("%w: it has %d bytes", errForm, len(value))
	}
	token, rest, ok := strings.Cut(value, ";")
	if !ok {
		return nil, errNoInfo
	}
	params := sip.Params(";" + rest)
	info, ok := params.Get("info")
	if info = strings.TrimSpace(info); !ok || len(info) < 3 || info[0] != '<' || info[len(info)-1] != '>' {
		return nil, errNoInfo
	}
	p, err := readPassport(strings.TrimSpace(token))
	if err != nil {
		return nil, err
	}
	if alg, ok := params.Get("alg"); ok && alg != "ES256" {
		return nil, errAlgorithm
	}
	if ppt, ok := params.Get("ppt"); ok && ppt != p.kind {
		return nil, fmt.Errorf("%w: ppt is %q outside and %q inside", errForm, ppt, p.kind)
	}
	if p.x5u != info[1:len(info)-1] {
		return nil, fmt.Errorf("%w: info and x5u differ", errForm)
	}
	return p, nil
}

// writeIdentity is the value of the header for a signed token.
func writeIdentity(token, x5u, kind string) string {
	return token + ";info=<" + x5u + ">;alg=ES256;ppt=" + sip.Quote(kind)
}
