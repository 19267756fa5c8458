// Package pages is what the switch serves to web browsers: a telephone at /phone, and /tandem.js, a script that makes one
// in somebody else's page. Both speak SIP over the WebSocket of the same address. Everything that they need is in the
// binary; nothing is loaded from elsewhere, and nothing here is secret: who may call is decided by SIP.
//
// The listeners of sip/transport serve it, the node makes it.
package pages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"
)

//go:generate go run ./bundle/write .

//go:embed web/phone.html web/icon.svg dist
var files embed.FS

// Facts are what every page is told.
type Facts struct {
	Domain  string `json:"domain"` // that extensions belong to
	Version string `json:"version"`
	Guests  bool   `json:"guests"` // extensions are lent to whoever has a link with a token
}

// asset is one file, as it goes out.
type asset struct {
	kind  string // media type
	plain []byte
	tag   string
	// packed is it by gzip, made when a browser first asks; nil where that gains nothing.
	packed func() []byte
}

// Pages answers requests of browsers.
type Pages struct {
	assets map[string]asset // by path
	facts  func() Facts
	guests *Guests
}

// New makes the pages. facts is asked at each request; guests may be nil: nobody is lent an extension.
func New(facts func() Facts, guests *Guests) *Pages {
	p := &Pages{assets: map[string]asset{}, facts: facts, guests: guests}
	for at, file := range map[string]string{
		"/phone": "web/phone.html", "/phone/icon.svg": "web/icon.svg", "/phone/phone.js": "dist/phone.js",
		"/phone/phone.css": "dist/phone.css", "/phone/licences.txt": "dist/licences.txt", "/tandem.js": "dist/tandem.js",
	} {
		content, err := files.ReadFile(file)
		if err != nil {
			panic(err) // they are in the binary
		}
		p.assets[at] = newAsset(file, content)
	}
	return p
}

func newAsset(name string, content []byte) asset {
	sum := sha256.Sum256(content)
	a := asset{kind: mime.TypeByExtension(path.Ext(name)), plain: content, tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
	switch path.Ext(name) { // the tables of a machine may lack them
	case ".js":
		a.kind = "text/javascript; charset=utf-8"
	case ".txt":
		a.kind = "text/plain; charset=utf-8"
	}
	a.packed = sync.OnceValue(func() []byte { return pack(content) })
	return a
}

func pack(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(content) // a Buffer takes everything
	if w.Close() != nil || b.Len() > len(content)*9/10 {
		return nil
	}
	return b.Bytes()
}

// ServeHTTP answers one request.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Content-Security-Policy", policy(r.Host))
	head.Set("Permissions-Policy", "microphone=(self), camera=(self), geolocation=()")
	switch a, ok := p.assets[r.URL.Path]; {
	case r.URL.Path == "/phone/session" && p.guests != nil:
		p.guests.ServeHTTP(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "pages are read only", http.StatusMethodNotAllowed)
	case ok:
		a.serve(w, r)
	case r.URL.Path == "/" || r.URL.Path == "/phone/":
		http.Redirect(w, r, "/phone", http.StatusFound)
	case r.URL.Path == "/phone/config":
		head.Set("Access-Control-Allow-Origin", "*") // pages that embed tandem.js ask too, and it says what any 401 would
		reply(w, p.facts())
	default:
		http.Error(w, "there is no such page: the telephone is at /phone", http.StatusNotFound)
	}
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Type", a.kind)
	head.Set("ETag", a.tag)
	head.Set("Cache-Control", "no-cache") // kept, and asked for again: another version is another tag
	head.Set("Vary", "Accept-Encoding")
	if strings.HasSuffix(r.URL.Path, "/tandem.js") {
		head.Set("Cross-Origin-Resource-Policy", "cross-origin")
		head.Set("Access-Control-Allow-Origin", "*") // so that a page may pin it with integrity=
	}
	if strings.Contains(r.Header.Get("If-None-Match"), a.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := a.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		if packed := a.packed(); packed != nil {
			head.Set("Content-Encoding", "gzip")
			body = packed
		}
	}
	_, _ = w.Write(body)
}

// plainHost is a Host header that may stand in a policy: no address of IPv6, for which its grammar has no place (CSP 3 §2.3.1).
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)

// policy lets a page load from its own address and speak SIP to it, and nothing else. Some browsers do not count the
// WebSocket of the same address as 'self', so it is named where it can be.
func policy(host string) string {
	connect := "'self'"
	if plainHost.MatchString(host) {
		connect += " ws://" + host + " wss://" + host
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; connect-src " + connect +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}
