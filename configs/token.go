package configs

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
	"tandem/token"
)

var tokenSchema = block.Schema("secret previous api_key longest")

// DefaultTokenLife is how long a short-lived password is good for where nobody says.
const DefaultTokenLife = time.Hour

// Token is what short-lived passwords are made with.
type Token struct {
	Keys    token.Keys    // none: that of the state folder
	APIKey  string        // what web applications show to be given one; empty: only the admin socket gives them
	Longest time.Duration // that may be asked for
}

// shortest is the least length of a secret that passwords are made with: with less it could be guessed from one of them.
const shortestTokenSecret = 16

func (l *loader) token(b *hcl.Block) {
	t := &l.config.Token
	t.Longest = 24 * time.Hour
	if b == nil {
		return
	}
	r := l.open(b.Body, tokenSchema)
	t.Longest = r.Duration("longest", t.Longest, time.Second, month)
	for _, name := range []string{"secret", "previous"} {
		if key := l.tokenSecret(r, name); key != "" {
			t.Keys = append(t.Keys, []byte(key))
		}
	}
	t.APIKey = l.tokenSecret(r, "api_key")
	if r.Has("previous") && !r.Has("secret") {
		r.Fail(r.Range("previous"), "no secret", "previous is the secret before the one that secret names.")
	}
}

// tokenSecret is the secret itself, since it signs.
func (l *loader) tokenSecret(r *block.Reader, name string) string {
	e := r.Expr(name)
	if e == nil {
		return ""
	}
	s, ok := l.password(e)
	switch {
	case !ok:
	case s.password == "":
		r.Fail(r.Range(name), "a hash", "A hash proves nothing here: write secret(\"env:NAME\") or secret(\"file:PATH\").")
	case len(s.password) < shortestTokenSecret:
		r.Fail(r.Range(name), "too short", "It has %d characters at least: `openssl rand -hex 32` makes a good one.", shortestTokenSecret)
	}
	return s.password
}
