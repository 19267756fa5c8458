package trunk

import (
	"strings"

	"tandem/sip"
)

// Ported is what a carrier's Request-URI says of number portability (RFC 4694), as parameters from the first ";" on, where the
// URI is for that number; empty: nothing, or nothing that is written as it must be.
func (c *Config) Ported(uri, number string, home Home) string {
	u, err := sip.ParseURI(uri)
	if err != nil || c.Inward(userOf(uri), home) != number {
		return ""
	}
	params := u.Params
	if u.Scheme != "tel" {
		_, rest, ok := strings.Cut(u.User, ";")
		if !ok {
			return ""
		}
		params = sip.Params(";" + rest)
	}
	out := ""
	if params.Has("npdi") {
		out = ";npdi"
	}
	rn, _ := params.Get("rn")
	context, given := params.Get("rn-context")
	switch {
	case rn == "" || len(rn) > 24 || !hexNumber(strings.TrimPrefix(rn, "+")):
		return out
	case rn[0] == '+':
		return out + ";rn=" + rn
	case given && len(context) <= 64 && (hexNumber(strings.TrimPrefix(context, "+")) || domainName(context)): // RFC 4694 §4: a local one needs it
		return out + ";rn=" + rn + ";rn-context=" + context
	}
	return out
}

// WithPorted puts those parameters into a URI of ours, behind the number.
func WithPorted(uri, params string) string {
	if params == "" {
		return uri
	}
	if strings.HasPrefix(uri, "tel:") {
		return uri + params
	}
	user, rest, ok := strings.Cut(uri, "@")
	if !ok {
		return uri
	}
	return user + params + "@" + rest
}

func hexNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == "" }

func domainName(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}
