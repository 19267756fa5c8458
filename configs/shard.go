package configs

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tandem/cluster"
	"tandem/dialplan/block"
	"tandem/media/turn"
	"tandem/sip/transport"
)

// mostMembers is how many machines a cluster of shards has at most: each holds a copy of every shard's records, and the store
// keeps five of a record (NATS JetStream).
const mostMembers = 5

var shardSchema = block.Schema("interface backup public_address")

// Shard is a part of the phones and calls, with an address of its own. It is a pair of its own too: one node owns it, a second
// stands by for it, and all others have a vote and a copy.
type Shard struct {
	Name    string // that of the node that owns it
	Backup  string // the node that stands by
	Address cluster.Address
	Public  netip.Addr       // what peers outside see instead, where a NAT or a cloud stands between; invalid: Address
	Members []cluster.Member // of its group: owner and backup serve, the others are its witnesses
}

// readShard is a shard as it stands in the file.
type readShard struct {
	Shard
	at, backupAt hcl.Range
}

// shard reads what a node owns.
func (l *loader) shard(owner string, b *hcl.Block) {
	r := l.open(b.Body, shardSchema)
	r.Require("interface")
	p, err := netip.ParsePrefix(b.Labels[0])
	if err != nil {
		r.Fail(b.LabelRanges[0], "not an address", "%q is no address with the length of its network, as in \"198.51.100.11/24\": that at which the phones of this shard find it.", b.Labels[0])
		return
	}
	s := readShard{at: b.DefRange, backupAt: b.DefRange}
	s.Name, s.Address = owner, cluster.Address{Prefix: p, Interface: r.Text("interface", "")}
	if s.Backup = r.Text("backup", ""); s.Backup != "" {
		s.backupAt = r.Range("backup")
	}
	if s.Public = public(r); s.Public == p.Addr() {
		s.Public = netip.Addr{}
	}
	for _, other := range l.shards {
		switch {
		case other.Name == owner:
			r.Fail(b.DefRange, "declared twice", "Node %q has a shard already: a node owns one.", owner)
			return
		case other.Address.Prefix.Addr() == p.Addr():
			r.Fail(b.LabelRanges[0], "address in use", "The shard of node %q has this address.", other.Name)
			return
		case s.Public.IsValid() && (other.Public == s.Public || other.Address.Prefix.Addr() == s.Public):
			r.Fail(r.Range("public_address"), "address in use", "The shard of node %q is seen at this address.", other.Name)
			return
		}
	}
	l.shards = append(l.shards, s)
}

// public reads the address that peers outside see.
func public(r *block.Reader) (a netip.Addr) {
	if !r.Has("public_address") {
		return a
	}
	a, err := netip.ParseAddr(r.Text("public_address", ""))
	if err != nil {
		r.Fail(r.Range("public_address"), "not an address", "Write the IP address at which peers outside see this shard, as in \"203.0.113.11\".")
	}
	return a
}

// Seen is the address at which peers outside find the shard.
func (s Shard) Seen() netip.Addr {
	if s.Public.IsValid() {
		return s.Public
	}
	return s.Address.Prefix.Addr()
}

// arrange makes the groups of the shards once all members are known.
func (l *loader) arrange(r *block.Reader, at hcl.Range) {
	c := &l.config.Cluster
	var nodes []cluster.Member
	for _, m := range c.Members {
		if !m.Witness {
			nodes = append(nodes, m)
		}
	}
	switch {
	case len(l.shards) != len(nodes):
		r.Fail(at, "a node without a shard", "Where one node has a shard, each has one: here are %d nodes and %d shards. What shall never serve is a `witness`.", len(nodes), len(l.shards))
		return
	case len(nodes) < 2 || len(c.Members) < 3:
		r.Fail(at, "too few machines", "Shards need two nodes and a witness, or three nodes: a majority must be left when one of them is gone.")
		return
	case len(c.Members) > mostMembers:
		r.Fail(at, "too many machines", "A cluster of shards has %d machines at most, witnesses included, and here are %d.", mostMembers, len(c.Members))
		return
	}
	if c.Decides != cluster.ByVote || len(c.Fence.Command) > 0 {
		r.Fail(at, "not with shards", "With shards a majority of the machines decides who serves: leave `witness`, `role` and `fence` out.")
	}
	if r.Has("preferred") {
		r.Fail(r.Range("preferred"), "not with shards", "With shards each node prefers to serve its own.")
	}
	if len(c.Addresses) > 0 {
		r.Fail(at, "not with shards", "With shards the addresses that move are those of the shards: leave `address` of the cluster out.")
	}
	for i := range l.shards {
		l.group(i, nodes)
	}
	l.checkPorts(r, at)
}

// group says who takes part in a shard. Its ports are its own, so that groups do not meet.
func (l *loader) group(i int, nodes []cluster.Member) {
	s := &l.shards[i]
	if s.Backup == "" {
		at := slices.IndexFunc(nodes, func(m cluster.Member) bool { return m.Name == s.Name })
		s.Backup = nodes[(at+1)%len(nodes)].Name
	}
	if s.Backup == s.Name || !slices.ContainsFunc(nodes, func(m cluster.Member) bool { return m.Name == s.Backup }) {
		l.diags = append(l.diags, block.Errorf(s.backupAt, "no backup", "%q cannot stand by for the shard of %q: it is another node of this cluster that does.", s.Backup, s.Name))
		return
	}
	for _, m := range l.config.Cluster.Members {
		m.Port += 2 * i
		m.Witness = m.Name != s.Name && m.Name != s.Backup
		s.Members = append(s.Members, m)
	}
	l.config.Cluster.Shards = append(l.config.Cluster.Shards, s.Shard)
}

// checkPorts finds members of one machine whose ports would meet: each uses two for each shard.
func (l *loader) checkPorts(r *block.Reader, at hcl.Range) {
	members, span := l.config.Cluster.Members, 2*len(l.shards)
	for i, a := range members {
		if a.Port+span-1 > 65535 {
			r.Fail(at, "not a port", "Member %q uses %d ports from %d on, two for each shard, and the last one is 65535.", a.Name, span, a.Port)
		}
		for _, b := range members[:i] {
			if a.Host == b.Host && a.Port < b.Port+span && b.Port < a.Port+span {
				r.Fail(at, "port in use", "Members %q and %q are at one host, and each uses %d ports from its own on, two for each shard.", b.Name, a.Name, span)
			}
		}
	}
}

// shardListeners wants listeners that every shard can have at its own address.
func (l *loader) shardListeners() {
	if len(l.config.Cluster.Shards) == 0 {
		return
	}
	udp := false
	for _, b := range l.blocks {
		switch b.Type {
		case "listen":
			r := block.Open(b.Body, listenSchema, l.ctx, &hcl.Diagnostics{})
			host, _, _ := net.SplitHostPort(r.Text("address", ""))
			if a, err := netip.ParseAddr(host); host != "" && (err != nil || !a.IsUnspecified()) {
				l.diags = append(l.diags, block.Errorf(r.Range("address"), "not with shards", "Each shard listens at an address of its own: write 0.0.0.0 or [::] and the port."))
			}
			if r.Has("advertise") {
				l.diags = append(l.diags, block.Errorf(r.Range("advertise"), "not with shards", "Each shard has an address of its own, and peers see that. Behind a NAT write `public_address` into each block `shard`."))
			}
			udp = udp || r.Text("transport", "") == "udp"
		case "node":
			if r := block.Open(b.Body, nodeSchema, l.ctx, &hcl.Diagnostics{}); r.Has("public_address") && r.Text("public_address", "auto") != "auto" {
				l.diags = append(l.diags, block.Errorf(r.Range("public_address"), "not with shards", "Each shard has an address of its own, and peers see that. Behind a NAT write `public_address` into each block `shard`."))
			}
		}
	}
	l.shardRelay()
	if !udp {
		l.failFile(l.dir, "no udp", "Shards hand requests to each other over UDP: add a `listen` with transport = \"udp\".")
	}
}

// shardRelay wants a relay that every shard can run at its own address.
func (l *loader) shardRelay() {
	if l.config.TURN.Server == nil {
		return
	}
	if host, _, _ := net.SplitHostPort(l.config.TURN.Server.Address); host != "" {
		if a, err := netip.ParseAddr(host); err != nil || !a.IsUnspecified() {
			l.failFile(l.dir, "not with shards", "Each shard has a relay at an address of its own: write address = \"0.0.0.0:3478\" or \"[::]:3478\" into the block turn.")
		}
	}
	if l.config.TURN.Advertise != "" {
		l.failFile(l.dir, "not with shards", "Each shard has a relay of its own, and pages are told its address: leave `advertise` out of the block turn, and write `public_address` into each block `shard` behind a NAT.")
	}
}

// relay is that of shard i. It leads to media of every shard: a page is called from all of them.
func (c *Config) relay(i int) *turn.Config {
	r, s := *c.TURN.Server, c.Cluster.Shards[i]
	r.Address, r.Free, r.Public = atHost(r.Address, s.Address.Prefix.Addr().String()), true, s.Public
	r.Media = map[netip.Addr]netip.Addr{}
	for _, other := range c.Cluster.Shards {
		at := other.Address.Prefix.Addr()
		r.Media[at], r.Media[other.Seen()] = at, at
	}
	return &r
}

// Shard is the configuration of one shard on this machine: listeners, relay and media at its own address, and folders, sockets
// and ports of its own. i counts Cluster.Shards.
func (c *Config) Shard(i int) *Config {
	out, s := *c, c.Cluster.Shards[i]
	host := s.Address.Prefix.Addr().String()
	out.Cluster.Shard, out.Cluster.Home = s.Name, c.Node.ClusterDir()
	out.Cluster.Members, out.Cluster.Preferred = s.Members, s.Name
	out.Cluster.Addresses = []cluster.Address{s.Address}
	out.Node.StateDir = c.Node.ShardDir(s.Name)
	out.Node.AdminSocket = c.Node.ShardSocket(s.Name)
	out.Node.PublicAddress = s.Seen().String()
	if c.Node.HTTP != "" {
		out.Node.HTTP = movedPort(c.Node.HTTP, i)
	}
	if c.CDR != "" {
		out.CDR = shardFile(c.CDR, c.Node.StateDir, out.Node.StateDir, s.Name)
	}
	if c.TURN.Server != nil {
		out.TURN.Server, out.TURN.Advertise = c.relay(i), s.Seen().String()
	}
	out.Transport.Listen = make([]transport.Listen, len(c.Transport.Listen))
	for j, listen := range c.Transport.Listen {
		listen.Address = atHost(listen.Address, host)
		if s.Public.IsValid() {
			listen.Advertise = s.Public.String()
		}
		out.Transport.Listen[j] = listen
	}
	return &out
}

// OfShard is the configuration of the shard that a node owns; of no shard: the whole. An error is a sentence for the operator.
func (c *Config) OfShard(owner string) (*Config, error) {
	if owner == "" {
		return c, nil
	}
	i := slices.IndexFunc(c.Cluster.Shards, func(s Shard) bool { return s.Name == owner })
	if i < 0 {
		return nil, fmt.Errorf("the shard of node %q has gone from the cluster block: this needs a restart", owner)
	}
	return c.Shard(i), nil
}

// SIPAddress is where the other shards reach shard i: the UDP listener at its address.
func (c *Config) SIPAddress(i int) (listener string, at netip.AddrPort) {
	for _, l := range c.Transport.Listen {
		if l.Proto == transport.UDP {
			at, _ = netip.ParseAddrPort(atHost(l.Address, c.Cluster.Shards[i].Address.Prefix.Addr().String()))
			return l.Name, at
		}
	}
	return "", netip.AddrPort{} // not with a configuration that was loaded
}

// ShardDir is the folder of a shard's state.
func (n Node) ShardDir(shard string) string { return filepath.Join(n.StateDir, "shards", shard) }

// ShardSocket is the admin socket of a shard.
func (n Node) ShardSocket(shard string) string { return filepath.Join(n.ShardDir(shard), "admin.sock") }

// atHost puts another host before the port of an address.
func atHost(address, host string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return net.JoinHostPort(host, port)
}

// movedPort is an address some ports higher; port 0 stays, any that is free.
func movedPort(address string, by int) string {
	host, port, err := net.SplitHostPort(address)
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || n == 0 {
		return address
	}
	return net.JoinHostPort(host, strconv.Itoa(n+by))
}

// shardFile is where a shard has a file: in its own folder what lies in the state folder, and under a name of its own what does not.
func shardFile(file, state, own, shard string) string {
	if rest, ok := strings.CutPrefix(file, state+string(filepath.Separator)); ok {
		return filepath.Join(own, rest)
	}
	ext := filepath.Ext(file)
	return strings.TrimSuffix(file, ext) + "-" + shard + ext
}
