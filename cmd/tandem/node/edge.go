package node

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/proxy"
	"tandem/sip/transport"
)

// A Path value of ours is a flow token (RFC 5626 §5.2): whose phone, which of his, and a code that the cluster's key makes, so
// that nobody else can. It names the phone and not its connection: it leads to where the phone is now, at any node that
// serves the shard.
const (
	pathPrefix = "p."
	phoneSize  = 6  // bytes of a phone's hash: one among the few of an extension
	codeSize   = 12 // bytes of the code
)

var pathText = base64.RawURLEncoding

// pathUser is the user part of the Path to a binding of a shard.
func (n *Node) pathUser(shard string, b *registrar.Binding) string {
	phone := phoneOf(b)
	named := pathText.EncodeToString([]byte(b.AOR)) + "." + phone
	return pathPrefix + named + "." + n.pathCode(shard, named)
}

func (n *Node) pathCode(shard, named string) string {
	h := hmac.New(sha256.New, n.pathKey)
	h.Write([]byte(shard + "\x00" + named))
	return pathText.EncodeToString(h.Sum(nil)[:codeSize])
}

// phoneOf tells the phones of an extension apart: by instance and flow, or by where they are.
func phoneOf(b *registrar.Binding) string {
	id := b.Contact
	if b.Instance != "" {
		id = b.Instance + " " + strconv.Itoa(int(b.RegID))
	}
	sum := sha256.Sum256([]byte(id))
	return pathText.EncodeToString(sum[:phoneSize])
}

// paths are those of this shard.
type paths struct{ n *Node }

// Ours implements proxy.Paths.
func (p paths) Ours(user string) bool {
	named, ok := strings.CutPrefix(user, pathPrefix)
	at := strings.LastIndexByte(named, '.')
	return ok && at > 0 && hmac.Equal([]byte(named[at+1:]), []byte(p.n.pathCode(p.n.shard(), named[:at])))
}

// Inside implements proxy.Paths.
func (p paths) Inside(source netip.Addr) bool {
	x := p.n.opts.Directory.at(source)
	return x != nil && x.name != p.n.shard()
}

// Phone implements proxy.Paths.
func (p paths) Phone(user string) (proxy.Target, bool) {
	parts := strings.Split(strings.TrimPrefix(user, pathPrefix), ".")
	aor, err := pathText.DecodeString(parts[0])
	if err != nil || len(parts) != 3 {
		return proxy.Target{}, false
	}
	for _, b := range p.n.bindings.Lookup(string(aor), time.Now()) {
		if phoneOf(&b) == parts[1] {
			return proxy.Target{URI: b.RequestURI(), Routes: b.Route(), Flow: b.Flow}, true
		}
	}
	return proxy.Target{}, false
}

// Toward implements proxy.Paths.
func (p paths) Toward(uri sip.URI) (transport.Flow, bool) {
	a, ok := uri.Addr()
	if !ok {
		return transport.Flow{}, false
	}
	x := p.n.opts.Directory.named(a)
	if x == nil || x.name == p.n.shard() {
		return transport.Flow{}, false
	}
	return p.n.toward(x), true
}

// toward is the flow to another shard.
func (n *Node) toward(x *distantShard) transport.Flow {
	own := n.opts.Directory.shard(n.shard())
	return n.layer.Attach(transport.UDP, own.listener, own.edge, x.edge)
}

// sends is the flow over which a request to a binding leaves: its own, or that to the shard where the phone is.
func (n *Node) sends(b *registrar.Binding) transport.Flow {
	if len(b.Path) == 1 && n.opts.Directory != nil {
		if a, err := sip.ParseNameAddr(b.Path[0]); err == nil {
			if u, err := sip.ParseURI(a.URI); err == nil {
				if f, ok := (paths{n}).Toward(u); ok {
					return f
				}
			}
		}
	}
	return b.Flow
}

// shard is the one that this node serves or stands by for; empty: the switch has none.
func (n *Node) shard() string { return n.config.Load().Cluster.Shard }

// locator knows the phones of this shard and, by the directory, those of all others.
type locator struct{ n *Node }

// Lookup implements call.Locator. Phones of other shards have a Path, and of a phone that has come here from another shard the
// binding that it left there is left out.
func (l locator) Lookup(aor string, now time.Time) []registrar.Binding {
	all := l.n.bindings.Lookup(aor, now)
	d := l.n.opts.Directory
	if d == nil {
		return all
	}
	here := len(all)
	for _, x := range d.shards {
		if x.name == l.n.shard() || !x.served() {
			continue
		}
		for _, b := range x.store.Load().Lookup(aor, now) {
			b.Path = []string{"<sip:" + l.n.pathUser(x.name, &b) + "@" + x.edge.String() + ";transport=udp;lr>"}
			all = append(all, b)
		}
	}
	if len(all) == here {
		return all
	}
	slices.SortStableFunc(all, func(a, b registrar.Binding) int { return b.Registered.Compare(a.Registered) })
	kept := all[:0:0]
	for _, b := range all {
		if !slices.ContainsFunc(kept, func(k registrar.Binding) bool { return samePhone(&k, &b) }) {
			kept = append(kept, b)
		}
	}
	slices.SortStableFunc(kept, func(a, b registrar.Binding) int {
		return cmp.Or(cmp.Compare(b.Q, a.Q), cmp.Compare(len(a.Path), len(b.Path)))
	})
	return kept
}

// samePhone tells whether two bindings lead to one phone by one flow.
func samePhone(a, b *registrar.Binding) bool {
	if a.Instance != "" || b.Instance != "" {
		return a.Instance == b.Instance && a.RegID == b.RegID
	}
	return a.Contact == b.Contact
}
