package configs

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
	"tandem/sip/transport"
)

var (
	listenSchema = block.Schema("transport address advertise certificate key client_ca origins pages")
	limitsSchema = block.Schema("connections connections_per_source connection_rate strangers_rate strangers_burst strangers_total write_queue first_message idle write message udp_readers")
)

var protos = map[string]transport.Proto{
	"udp": transport.UDP, "tcp": transport.TCP, "tls": transport.TLS, "ws": transport.WS, "wss": transport.WSS,
}

// bound is a socket that will be bound, for the search for two on one port.
type bound struct {
	name string
	udp  bool
	host string
	port int
	at   hcl.Range
}

func (l *loader) listens() {
	all := l.sockets // that of http
	named := map[string]hcl.Range{}
	for _, b := range l.blocks {
		if b.Type != "listen" {
			continue
		}
		if first, ok := named[b.Labels[0]]; ok {
			l.diags = append(l.diags, block.Errorf(b.LabelRanges[0], "declared twice", "The listen %q is there already, at %s:%d.", b.Labels[0], first.Filename, first.Start.Line))
		}
		named[b.Labels[0]] = b.LabelRanges[0]
		if s, ok := l.listen(b); ok {
			all = append(all, s)
		}
	}
	if len(named) == 0 {
		l.failFile(l.dir, "no listener", "Phones need somewhere to register: listen \"phones\" { transport = \"udp\" … }.")
	}
	l.collisions(all)
}

func (l *loader) listen(b *hcl.Block) (bound, bool) {
	r := l.open(b.Body, listenSchema)
	r.Require("transport", "address")
	set := transport.Listen{Name: b.Labels[0], Address: r.Text("address", ""), Advertise: r.Text("advertise", "")}
	name := r.OneOf("transport", "", "udp", "tcp", "tls", "ws", "wss")
	set.Proto = protos[name]
	l.certificate(r, &set, name)
	l.origins(r, &set, name)
	l.pages(r, &set, name)
	if h := set.Advertise; h != "" && !isHost(strings.Trim(hostOf(h), "[]")) {
		r.Fail(r.Range("advertise"), "not an address", "%q is no host, and no host:port.", h)
	}
	host, port, ok := "", 0, false
	if r.Has("address") && set.Address != "" {
		host, port, ok = l.address(r, "address", set.Address)
	}
	l.config.Transport.Listen = append(l.config.Transport.Listen, set)
	return bound{set.Name, set.Proto == transport.UDP, host, port, r.Range("address")}, ok && set.Proto != 0
}

// hostOf is the host of host or host:port.
func hostOf(s string) string {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") && strings.Count(strings.Trim(s, "[]"), ":") < 2 {
		return s[:i]
	}
	if i := strings.LastIndex(s, "]:"); i >= 0 {
		return s[:i+1]
	}
	return s
}

func (l *loader) certificate(r *block.Reader, set *transport.Listen, proto string) {
	if proto == "" {
		return
	}
	if !set.Proto.Secure() {
		for _, name := range []string{"certificate", "key", "client_ca"} {
			if r.Has(name) {
				r.Fail(r.Range(name), "not for "+proto, "Only tls and wss have a %s.", name)
			}
		}
		return
	}
	r.Require("certificate")
	if given := r.Text("certificate", ""); given == SelfSigned || given == FromACME {
		l.own(r, set, given)
		l.clientCA(r, set)
		return
	}
	if r.Require("key"); !r.Has("certificate") || !r.Has("key") {
		return
	}
	set.Certificate, set.Key = l.path(r.Text("certificate", "")), l.path(r.Text("key", ""))
	if _, err := os.Stat(set.Key); err != nil {
		r.Fail(r.Range("key"), "cannot be read", "%s: %s.", set.Key, reason(err))
		return
	}
	pair, err := tls.LoadX509KeyPair(set.Certificate, set.Key)
	if err != nil {
		r.Fail(r.Range("certificate"), "not a certificate", "%s.", strings.TrimPrefix(reason(err), "Tls: "))
		return
	}
	if pair.Leaf != nil && time.Now().After(pair.Leaf.NotAfter) {
		l.diags = append(l.diags, block.Warnf(r.Range("certificate"), "expired", "The certificate was good until %s.", pair.Leaf.NotAfter.Format(time.DateOnly)))
	}
	l.clientCA(r, set)
}

// own is a certificate that the switch gets itself.
func (l *loader) own(r *block.Reader, set *transport.Listen, given string) {
	if r.Has("key") {
		r.Fail(r.Range("key"), "key of no file", "The switch makes the key of a certificate that is %q itself: leave it out.", given)
	}
	if given == FromACME {
		l.acmeAt = append(l.acmeAt, r.Range("certificate"))
		set.Issued = true
		return
	}
	l.config.SelfSigned = true
	dir := l.config.Node.CertificateDir()
	set.Certificate, set.Key = filepath.Join(dir, "self-signed.crt"), filepath.Join(dir, "self-signed.key")
}

func (l *loader) clientCA(r *block.Reader, set *transport.Listen) {
	if r.Has("client_ca") {
		set.ClientCA = l.path(r.Text("client_ca", ""))
		text, err := os.ReadFile(set.ClientCA)
		if err != nil {
			r.Fail(r.Range("client_ca"), "cannot be read", "%s: %s.", set.ClientCA, reason(err))
		} else if !x509.NewCertPool().AppendCertsFromPEM(text) {
			r.Fail(r.Range("client_ca"), "not a certificate", "%s holds no PEM certificate.", set.ClientCA)
		}
	}
}

func (l *loader) origins(r *block.Reader, set *transport.Listen, proto string) {
	if r.Has("origins") && proto != "" && set.Proto != transport.WS && set.Proto != transport.WSS {
		r.Fail(r.Range("origins"), "not for "+proto, "Only ws and wss have origins: those of web pages.")
		return
	}
	for _, w := range r.Words("origins") {
		u, err := url.Parse(w.Text)
		if w.Text != "*" && (err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") != "") {
			r.Fail(w.At, "not an origin", "An origin is scheme and host, as in \"https://example.com\", or \"*\" for any.")
			continue
		}
		set.Origins = append(set.Origins, w.Text)
	}
}

// pages tells whether a listener serves the telephone for browsers, which it does where it can.
func (l *loader) pages(r *block.Reader, set *transport.Listen, proto string) {
	web := set.Proto == transport.WS || set.Proto == transport.WSS
	if r.Has("pages") && proto != "" && !web {
		r.Fail(r.Range("pages"), "not for "+proto, "Only ws and wss serve web pages.")
		return
	}
	set.Pages = r.Bool("pages", web)
}

// collisions finds two listeners on one port, and UDP listeners among the ports of media.
func (l *loader) collisions(all []bound) {
	for i, a := range all {
		for _, b := range all[:i] {
			if a.udp == b.udp && a.port == b.port && a.port != 0 && sameHost(a.host, b.host) {
				l.diags = append(l.diags, block.Errorf(a.at, "port in use", "%q at %s:%d has this port already.", b.name, b.at.Filename, b.at.Start.Line))
				break
			}
		}
	}
	l.sockets = all
}

// sameHost tells whether two binds would meet: equal addresses, or one for all of the family. [::] takes IPv4 too.
func sameHost(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX != nil || errY != nil {
		return a == b || a == "" || b == ""
	}
	if x == y {
		return true
	}
	any := func(wide, other netip.Addr) bool {
		return wide.IsUnspecified() && (wide.Is6() || other.Is4())
	}
	return any(x, y) || any(y, x)
}

// strangers is what addresses from which nobody proved himself may send, where the configuration does not say: room for
// a phone that comes back and a house of them behind one address, and not for a flood.
var strangers = transport.Budget{Rate: 50, Burst: 400, Total: 5000}

func (l *loader) limits(b *hcl.Block) {
	l.config.Transport.Strangers = strangers
	if b == nil {
		return
	}
	r := l.open(b.Body, limitsSchema)
	budget := &l.config.Transport.Strangers
	budget.Rate = float64(r.Int("strangers_rate", int(strangers.Rate), 1, 1_000_000))
	budget.Burst = r.Int("strangers_burst", strangers.Burst, 1, 1_000_000)
	budget.Total = float64(r.Int("strangers_total", int(strangers.Total), 1, 10_000_000))
	set := &l.config.Transport.Limits
	set.Connections = r.Int("connections", 0, 1, 10_000_000)
	set.ConnectionsPerSource = r.Int("connections_per_source", 0, 1, 10_000_000)
	set.ConnectionRate = r.Int("connection_rate", 0, 1, 1_000_000)
	set.WriteQueue = r.Int("write_queue", 0, 4096, 1<<30)
	set.Message = r.Int("message", 0, 1500, 1<<20)
	set.FirstMessage = r.Duration("first_message", 0, time.Second, time.Hour)
	set.Idle = r.Duration("idle", 0, 10*time.Second, 24*time.Hour)
	set.Write = r.Duration("write", 0, time.Second, time.Hour)
	l.config.Transport.UDPReaders = r.Int("udp_readers", 0, 1, 64)
}
