package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tandem/token"
)

// PassSwitch issues passwords that expire, for web pages to register with.
type PassSwitch interface {
	// Issue makes a pass for an extension; it fails where there is none, or where life is longer than allowed. Zero: the
	// usual life.
	Issue(extension string, life time.Duration) (token.Pass, error)
	// MayIssue tells whether a key is the one that web applications show.
	MayIssue(key string) bool
}

// passes is the part of the admin API that issues passwords.
func passes(mux *http.ServeMux, s PassSwitch) {
	mux.HandleFunc("POST /v1/token", func(w http.ResponseWriter, r *http.Request) { issue(w, r, s) })
}

// guardedPasses is the same for web applications elsewhere: they show a key.
func guardedPasses(mux *http.ServeMux, s PassSwitch) {
	mux.HandleFunc("POST /v1/token", func(w http.ResponseWriter, r *http.Request) {
		scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || !s.MayIssue(strings.TrimSpace(key)) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="tandem"`)
			refuse(w, http.StatusUnauthorized, errors.New("show the key of the block token, as in `Authorization: Bearer KEY`"))
			return
		}
		issue(w, r, s)
	})
}

func issue(w http.ResponseWriter, r *http.Request, s PassSwitch) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	w.Header().Set("Cache-Control", "no-store")
	var life time.Duration
	if text := r.FormValue("for"); text != "" {
		var err error
		if life, err = time.ParseDuration(text); err != nil || life <= 0 {
			refuse(w, http.StatusUnprocessableEntity, fmt.Errorf("%q is no length of time: write one as in 30m or 8h", text))
			return
		}
	}
	pass, err := s.Issue(r.FormValue("extension"), life)
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	reply(w, pass)
}

// Issue asks for a pass.
func (c *Client) Issue(extension string, life time.Duration) (p token.Pass, err error) {
	q := url.Values{"extension": {extension}}
	if life > 0 {
		q.Set("for", life.String())
	}
	return p, c.ask(http.MethodPost, "/v1/token?"+q.Encode(), &p)
}
