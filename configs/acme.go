package configs

import (
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tandem/certificate"
	"tandem/dialplan/block"
)

var acmeSchema = block.Schema("domains email directory profile root_ca challenge http_port tls_port")

// acme reads the authority. It comes after the listeners, which say whether one is needed.
func (l *loader) acme(b *hcl.Block) {
	if b == nil {
		for _, at := range l.acmeAt {
			l.diags = append(l.diags, block.Errorf(at, "no authority", "Say who signs it: acme { email = \"you@example.com\" }."))
		}
		return
	}
	if len(l.acmeAt) == 0 {
		l.diags = append(l.diags, block.Warnf(b.DefRange, "not used", "No listener says certificate = \"acme\"."))
	}
	r := l.open(b.Body, acmeSchema)
	c := &certificate.Config{Email: r.Text("email", ""), Directory: r.Text("directory", ""), Profile: r.Text("profile", "")}
	if c.Email != "" && !strings.Contains(c.Email, "@") {
		r.Fail(r.Range("email"), "not an address", "The authority writes to it: you@example.com.")
	}
	if u, err := url.Parse(c.Directory); c.Directory != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		r.Fail(r.Range("directory"), "not an authority", "Its directory is a URL with https://.")
	}
	if r.Has("root_ca") {
		c.RootCA = l.path(r.Text("root_ca", ""))
		if _, err := os.Stat(c.RootCA); err != nil {
			r.Fail(r.Range("root_ca"), "cannot be read", "%s: %s.", c.RootCA, reason(err))
		}
	}
	if c.Challenge = r.OneOf("challenge", "any", "any", "http", "tls"); c.Challenge == "any" {
		c.Challenge = ""
	}
	c.HTTPPort, c.TLSPort = r.Int("http_port", 80, 1, 65535), r.Int("tls_port", 443, 1, 65535)
	for _, w := range r.Words("domains") {
		if !isHost(w.Text) {
			r.Fail(w.At, "not a domain", "%q is no host name and no IP address.", w.Text)
			continue
		}
		c.Domains = append(c.Domains, strings.ToLower(w.Text))
	}
	if !r.Has("domains") {
		c.Domains = publicNames(l.config.Node.Domains)
	}
	if len(c.Domains) == 0 && (!r.Has("domains") || r.Empty("domains")) {
		r.Fail(b.DefRange, "no public name", "No domain of the node is one that an authority signs: write domains = [\"pbx.example.com\"] here.")
	}
	l.config.ACME = c
}

// publicNames are the names that an authority may sign: with a dot, and no address.
func publicNames(all []string) (out []string) {
	for _, n := range all {
		if _, err := netip.ParseAddr(n); err != nil && strings.Contains(strings.Trim(n, "."), ".") {
			out = append(out, n)
		}
	}
	return out
}
