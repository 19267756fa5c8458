package configs

import (
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

var (
	nodeSchema = block.Schema("domains public_address state_dir admin_socket http realm name_servers")
	cdrSchema  = block.Schema("file")
	logSchema  = block.Schema("level format")
)

func (l *loader) node() {
	l.single("node", func(b *hcl.Block) {
		if b == nil {
			l.failFile(l.dir, "no node", "A configuration says what it answers for: node \"pbx-1\" { domains = [\"example.com\"] }.")
			return
		}
		l.readNode(b)
	})
}

func (l *loader) readNode(b *hcl.Block) {
	n := &l.config.Node
	n.Name = b.Labels[0]
	r := l.open(b.Body, nodeSchema)
	r.Require("domains")
	for _, w := range r.Words("domains") {
		if !isHost(w.Text) {
			r.Fail(w.At, "not a domain", "%q is no host name and no IP address.", w.Text)
			continue
		}
		n.Domains = append(n.Domains, strings.ToLower(strings.Trim(w.Text, "[]")))
	}
	if r.Empty("domains") {
		r.Fail(r.Range("domains"), "no domain", "Name at least one: what phones register to.")
	}
	if len(n.Domains) > 0 {
		n.Realm = n.Domains[0]
	}
	// An IPv6 address has colons, which part user, realm and password in what is hashed; the realm is known, so they do no harm.
	n.Realm = r.Text("realm", n.Realm)
	if _, err := netip.ParseAddr(n.Realm); err != nil && strings.ContainsAny(n.Realm, "\"\\\r\n:") {
		r.Fail(r.Range("realm"), "not a realm", "A realm is one line without quotes, colons and backslashes.")
	}
	if n.PublicAddress = r.Text("public_address", "auto"); n.PublicAddress == "auto" {
		n.PublicAddress = ""
	} else if _, err := netip.ParseAddr(n.PublicAddress); err != nil {
		r.Fail(r.Range("public_address"), "not an address", "Write an IP address, or \"auto\" where that of the interface is right.")
	}
	n.StateDir = l.path(r.Text("state_dir", DefaultStateDir))
	n.AdminSocket = filepath.Join(n.StateDir, "admin.sock")
	if r.Has("admin_socket") {
		n.AdminSocket = l.path(r.Text("admin_socket", ""))
	}
	// sun_path of a Unix socket holds 108 bytes on Linux, the last of them zero.
	if socket := n.AdminSocket; len(socket) > 107 {
		r.Fail(r.Range("admin_socket"), "path too long", "The path of a socket has 107 characters at most.")
	}
	for _, w := range r.Words("name_servers") {
		if server, ok := nameServer(w.Text); ok {
			n.NameServers = append(n.NameServers, server)
		} else {
			r.Fail(w.At, "not a name server", "Write the IP address of a name server, and its port where it is not 53: \"192.0.2.53\", \"127.0.0.1:5353\".")
		}
	}
	if n.HTTP = r.Text("http", DefaultHTTP); n.HTTP != "" {
		if host, port, ok := l.address(r, "http", n.HTTP); ok {
			l.sockets = append(l.sockets, bound{"http", false, host, port, r.Range("http")})
		}
	}
}

// nameServer is the host:port of a name server that is written as an address with or without a port.
func nameServer(text string) (string, bool) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return netip.AddrPortFrom(a, 53).String(), true
	}
	p, err := netip.ParseAddrPort(text)
	return p.String(), err == nil && p.Port() != 0
}

// isHost tells whether a text is a host name (RFC 1123) or an IP address.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return true
	}
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i] | 0x20; (c < 'a' || c > 'z') && (label[i] < '0' || label[i] > '9') && label[i] != '-' {
				return false
			}
		}
	}
	return true
}

// address checks host:port where a socket is to be bound, and gives both.
func (l *loader) address(r *block.Reader, name, text string) (host string, port int, ok bool) {
	host, p, err := net.SplitHostPort(text)
	if err != nil {
		if _, number := strconv.Atoi(text); number == nil {
			r.Fail(r.Range(name), "no host", "Write the host too, as in \"0.0.0.0:%s\" or \"127.0.0.1:%s\".", text, text)
		} else if isHost(text) {
			r.Fail(r.Range(name), "no port", "Write the port too, as in %q.", net.JoinHostPort(strings.Trim(text, "[]"), "5060"))
		} else {
			r.Fail(r.Range(name), "not an address", "%q is not host:port. Write one such as \"0.0.0.0:5060\" or \"[::]:5060\".", text)
		}
		return "", 0, false
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		r.Fail(r.Range(name), "not a port", "A port is a number from 0 to 65535, and %q is not (0: any that is free).", p)
		return "", 0, false
	}
	if host != "" && !isHost(host) {
		r.Fail(r.Range(name), "not an address", "%q is no IP address and no host name.", host)
		return "", 0, false
	}
	return host, port, true
}

// cdr reads where call records go. It comes after the node, whose folder is the default.
func (l *loader) cdr(b *hcl.Block) {
	l.config.CDR = filepath.Join(l.config.Node.StateDir, "cdr.jsonl")
	if b == nil {
		return
	}
	if name := l.open(b.Body, cdrSchema).Text("file", "cdr.jsonl"); name == "" {
		l.config.CDR = ""
	} else if filepath.IsAbs(name) {
		l.config.CDR = name
	} else {
		l.config.CDR = filepath.Join(l.config.Node.StateDir, name)
	}
}

func (l *loader) log(b *hcl.Block) {
	l.config.Log = Log{Level: slog.LevelInfo, Format: "text"}
	if b == nil {
		return
	}
	r := l.open(b.Body, logSchema)
	level := r.OneOf("level", "info", "debug", "info", "warn", "error")
	_ = l.config.Log.Level.UnmarshalText([]byte(level)) // one of four that it knows
	l.config.Log.Format = r.OneOf("format", "text", "text", "json")
}
