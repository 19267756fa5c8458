package configs

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"tandem/cluster"
	"tandem/dialplan/block"
)

var (
	clusterSchema = block.Schema("election preferred witness role", "node name", "witness name", "address prefix", "hook", "fence", "store")
	memberSchema  = block.Schema("address", "shard prefix")
	witnessSchema = block.Schema("address")
	movingSchema  = block.Schema("interface")
	hookSchema    = block.Schema("command url timeout")
)

// Cluster is the pair that the switch belongs to. Without members it is alone.
type Cluster struct {
	Members   []cluster.Member
	Election  time.Duration
	Preferred string
	Addresses []cluster.Address
	Hook      cluster.Hook
	Decides   cluster.Decides
	Fence     cluster.Fence
	Store     cluster.Store
	Shards    []Shard // more than a pair: each node owns one; none: a pair
	Shard     string  // which of them this is the configuration of; empty: of the whole machine
	Home      string  // folder with the identity of the machine, where it is not that of the state
}

// ClusterDir is the folder of the state engine, with the identity of the node.
func (n Node) ClusterDir() string { return filepath.Join(n.StateDir, "cluster") }

// IdentityDir is the folder with the identity of this machine.
func (c *Config) IdentityDir() string {
	if c.Cluster.Home != "" {
		return c.Cluster.Home
	}
	return c.Node.ClusterDir()
}

// cluster reads the pair. Who of its members this machine is says the identity in the state folder, so that one
// configuration serves all of them.
func (l *loader) cluster(b *hcl.Block) {
	if b == nil {
		return
	}
	c := &l.config.Cluster
	r := l.open(b.Body, clusterSchema)
	c.Election = election(r)
	l.decides(r)
	witnesses := 0
	for _, inner := range r.Blocks {
		switch inner.Type {
		case "node", "witness":
			l.member(inner)
			if inner.Type == "witness" {
				witnesses++
			}
		case "address":
			l.moving(inner)
		case "hook":
			l.roleHook(inner)
		case "fence":
			l.fence(inner)
		case "store":
			l.store(inner)
		}
	}
	if len(c.Members) == 0 && len(c.Store.Servers) > 0 && c.Decides == cluster.ByVote {
		return // a single node, whose state is kept elsewhere
	}
	if len(l.shards) > 0 {
		l.checkShards(r, b.DefRange)
		l.arrange(r, b.DefRange)
		return
	}
	l.checkDecides(r, b.DefRange, witnesses)
	if nodes := len(c.Members) - witnesses; c.Decides == cluster.ByVote && (nodes != 2 || witnesses != 1) {
		r.Fail(b.DefRange, "not a pair", "A cluster is two nodes and a witness, and here are %d and %d. Without a witness nobody can tell a dead peer from a cut cable, so neither of two machines may promote itself; the witness is a small third one that runs the same program. Two machines alone say witness = \"none\", and a person decides.", nodes, witnesses)
	}
	if c.Preferred = r.Text("preferred", ""); c.Preferred != "" {
		known := false
		for _, m := range c.Members {
			known = known || m.Name == c.Preferred && !m.Witness
		}
		if !known {
			r.Fail(r.Range("preferred"), "unknown node", "%q is no node of this cluster.", c.Preferred)
		}
	}
}

// elections are the election times that have a name: of machines of their own in one network, and of virtual ones, which are not run for a moment
// now and then.
var elections = map[string]time.Duration{"lan": 150 * time.Millisecond, "vm": 300 * time.Millisecond}

func election(r *block.Reader) time.Duration {
	if expr := r.Expr("election"); expr != nil {
		if v, diags := expr.Value(nil); !diags.HasErrors() && v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
			if t, ok := elections[v.AsString()]; ok {
				return t
			}
		}
	}
	return r.Duration("election", elections["lan"], 100*time.Millisecond, 5*time.Second)
}

func (l *loader) member(b *hcl.Block) {
	m := cluster.Member{Name: b.Labels[0], Witness: b.Type == "witness"}
	schema := memberSchema
	if m.Witness {
		schema = witnessSchema
	}
	r := l.open(b.Body, schema)
	r.Require("address")
	if err := cluster.CheckName(m.Name); err != nil {
		r.Fail(b.LabelRanges[0], "not a name", "%s.", capital(err.Error()))
	}
	for _, other := range l.config.Cluster.Members {
		if other.Name == m.Name {
			r.Fail(b.LabelRanges[0], "declared twice", "There is a member %q already.", m.Name)
		}
	}
	text := r.Text("address", "127.0.0.1:7300")
	host, port, err := net.SplitHostPort(text)
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || n < 1 || n > 65534 || !isHost(host) {
		r.Fail(r.Range("address"), "not an address", "%q is not host:port. Write where the others reach this machine, as in \"10.0.0.1:7300\"; the next port is used too.", text)
	}
	m.Host, m.Port = host, n
	l.config.Cluster.Members = append(l.config.Cluster.Members, m)
	for _, inner := range r.Blocks {
		l.shard(m.Name, inner)
	}
}

// moving reads an address that is where the active node is.
func (l *loader) moving(b *hcl.Block) {
	r := l.open(b.Body, movingSchema)
	r.Require("interface")
	p, err := netip.ParsePrefix(b.Labels[0])
	if err != nil {
		r.Fail(b.LabelRanges[0], "not an address", "%q is no address with the length of its network, as in \"198.51.100.10/24\".", b.Labels[0])
		return
	}
	l.config.Cluster.Addresses = append(l.config.Cluster.Addresses, cluster.Address{Prefix: p, Interface: r.Text("interface", "")})
}

func (l *loader) roleHook(b *hcl.Block) {
	r := l.open(b.Body, hookSchema)
	h := &l.config.Cluster.Hook
	for _, w := range r.Words("command") {
		h.Command = append(h.Command, w.Text)
	}
	if len(h.Command) > 0 && !filepath.IsAbs(h.Command[0]) {
		r.Fail(r.Range("command"), "not a path", "%q is no absolute path. The command is run without a shell: [\"/usr/local/bin/move-address\", \"--now\"].", h.Command[0])
	}
	h.URL = r.Text("url", "")
	if u, err := url.Parse(h.URL); h.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		r.Fail(r.Range("url"), "not a URL", "%q is no http or https URL.", h.URL)
	}
	if len(h.Command) == 0 && h.URL == "" {
		r.Fail(b.DefRange, "nobody is told", "A hook has a command or a url.")
	}
	h.Timeout = r.Duration("timeout", 10*time.Second, time.Second, 5*time.Minute)
}
