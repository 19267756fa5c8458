package pages

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Session is an extension that is lent to a page for a while.
type Session struct {
	Extension string   `json:"extension"`
	Name      string   `json:"name"`
	Username  string   `json:"username"` // to prove itself with
	Password  string   `json:"password"`
	Domain    string   `json:"domain"`
	Expires   int64    `json:"expires"` // seconds since 1970: when the password ends
	Numbers   []Number `json:"numbers"` // to dial
}

// Number is one that a page suggests to dial.
type Number struct {
	Number string `json:"number"`
	Name   string `json:"name"`
}

// Guests lend extensions to whoever has the token of a link.
type Guests struct {
	Token string
	Until time.Time // when the link ends
	// Lend chooses an extension: again, where that is one of them, otherwise one that nobody uses. It may be called by many at
	// once. An error is for the person at the page.
	Lend func(again string) (Session, error)
}

// ServeHTTP answers POST {"token": …, "extension": …} with a Session.
func (g *Guests) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "a session begins with POST", http.StatusMethodNotAllowed)
		return
	}
	// A foreign page can send JSON only after asking, and nobody here says yes; nor may it come as a form.
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/json" {
		http.Error(w, "application/json is taken here", http.StatusUnsupportedMediaType)
		return
	}
	var asked struct{ Token, Extension string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&asked); err != nil {
		http.Error(w, "that is not {\"token\": …}", http.StatusBadRequest)
		return
	}
	if subtle.ConstantTimeCompare([]byte(asked.Token), []byte(g.Token)) != 1 || !time.Now().Before(g.Until) {
		http.Error(w, "this link is no longer good", http.StatusForbidden)
		return
	}
	s, err := g.Lend(asked.Extension)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	reply(w, s)
}
