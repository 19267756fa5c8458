package configs

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
	"tandem/token"
)

var oauthSchema = block.Schema("issuer audience jwks claim authz_server")

// oauth reads whose bearer tokens are taken; without the block none are.
func (l *loader) oauth(b *hcl.Block) {
	if b == nil {
		return
	}
	r := l.open(b.Body, oauthSchema)
	r.Require("issuer", "audience", "jwks")
	c := &token.OAuthConfig{
		Issuer: r.Text("issuer", ""), Audience: r.Text("audience", ""), Claim: r.Text("claim", "sub"),
		Server: r.Text("authz_server", ""), JWKS: r.Text("jwks", ""),
	}
	server, name := c.Server, "authz_server"
	if server == "" {
		server, name = c.Issuer, "issuer"
	}
	if r.Has(name) && (!webAddress(server) || strings.ContainsAny(server, "\"\\\r\n ")) {
		r.Fail(r.Range(name), "not a server", "Clients are sent there for a token: write its URL, as in \"https://id.example.com\" (authz_server, where the issuer is none).")
	}
	switch {
	case !r.Has("jwks"):
	case strings.Contains(c.JWKS, "://"):
		if !webAddress(c.JWKS) {
			r.Fail(r.Range("jwks"), "not safe", "Keys come over https, from this machine also over http; or from a file.")
		}
	default:
		c.JWKS = l.path(c.JWKS)
		if err := token.CheckKeySet(c.JWKS); err != nil {
			r.Fail(r.Range("jwks"), "no keys", "%s: %s.", c.JWKS, reason(err))
		}
	}
	l.config.OAuth = c
}

// webAddress tells whether a text is an https URL, or an http one of this machine.
func webAddress(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && addr.IsLoopback())
}
