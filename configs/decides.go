package configs

import (
	"net/url"
	"path/filepath"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/cluster"
	"tandem/dialplan/block"
)

var (
	fenceSchema = block.Schema("command timeout after")
	storeSchema = block.Schema("servers authority certificate key credentials replicas")
)

// decides reads who decides which of two nodes serves.
func (l *loader) decides(r *block.Reader) {
	c := &l.config.Cluster
	if r.OneOf("witness", "", "none") == "none" {
		c.Decides = cluster.ByHand
	}
	if r.OneOf("role", "vote", "vote", "keepalived") == "keepalived" {
		c.Decides = cluster.ByKeepalived
	}
}

// checkDecides wants two nodes and one decider.
func (l *loader) checkDecides(r *block.Reader, at hcl.Range, witnesses int) {
	c := &l.config.Cluster
	if c.Decides == cluster.ByVote {
		if len(c.Fence.Command) > 0 {
			r.Fail(at, "nobody to fence", "With a witness the majority decides, and a node that loses it stops serving by itself. A fence belongs to witness = \"none\".")
		}
		return
	}
	if len(c.Store.Servers) > 0 {
		r.Fail(at, "two stores", "Without a witness each of the two nodes has a store of its own; an outside store goes with a witness, or with a single node.")
	}
	switch nodes := len(c.Members) - witnesses; {
	case witnesses > 0:
		r.Fail(at, "two deciders", "A witness votes, and here somebody else decides: remove the witness block, or %s.", map[cluster.Decides]string{
			cluster.ByHand: `witness = "none"`, cluster.ByKeepalived: `role = "keepalived"`}[c.Decides])
	case nodes != 2:
		r.Fail(at, "not a pair", "Without a witness a cluster is two nodes, and here are %d.", nodes)
	}
	if c.Decides == cluster.ByHand {
		if len(c.Fence.Command) == 0 {
			l.diags = append(l.diags, block.Warnf(at, "no witness", "When the serving node dies, the other one has everything and does not promote itself: neither can tell a dead machine from a cut cable. Somebody has to make sure that it is off, and run `tandem failover --force`. A witness, or a fence, does it without a person."))
		}
		return
	}
	l.diags = append(l.diags, block.Warnf(at, "no witness", "keepalived decides which node serves. Two machines that do not hear each other's VRRP both serve, and calls break; a witness cannot be fooled so."))
	if len(c.Addresses) > 0 {
		r.Fail(at, "two deciders", "The address is keepalived's: put it into its virtual_ipaddress, and remove the address blocks here.")
	}
	if len(c.Fence.Command) > 0 {
		r.Fail(at, "two deciders", "keepalived decides, so nothing is fenced here.")
	}
}

// fence reads what turns the other machine off.
func (l *loader) fence(b *hcl.Block) {
	r := l.open(b.Body, fenceSchema)
	r.Require("command")
	f := &l.config.Cluster.Fence
	for _, w := range r.Words("command") {
		f.Command = append(f.Command, w.Text)
	}
	if len(f.Command) > 0 && !filepath.IsAbs(f.Command[0]) {
		r.Fail(r.Range("command"), "not a path", "%q is no absolute path. The command is run without a shell: [\"/usr/sbin/fence_ipmilan\", \"--ip=10.0.0.9\", \"--action=off\"].", f.Command[0])
	}
	f.Timeout = r.Duration("timeout", 30*time.Second, time.Second, 5*time.Minute)
	f.After = r.Duration("after", 3*time.Second, time.Second, 5*time.Minute)
}

// checkShards refuses what belongs to pairs.
func (l *loader) checkShards(r *block.Reader, at hcl.Range) {
	if c := &l.config.Cluster; c.Decides != cluster.ByVote || len(c.Fence.Command) > 0 || len(c.Store.Servers) > 0 {
		r.Fail(at, "not with shards", "Shards are decided by the votes of all nodes, and keep their records there: witness, role, fence and store belong to pairs.")
	}
}

// store reads an outside NATS cluster.
func (l *loader) store(b *hcl.Block) {
	r := l.open(b.Body, storeSchema)
	r.Require("servers")
	s := &l.config.Cluster.Store
	for _, w := range r.Words("servers") {
		u, err := url.Parse(w.Text)
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" {
			r.Fail(w.At, "not a server", "%q is no server of NATS, as in \"tls://nats-1.example.com:4222\".", w.Text)
			continue
		}
		s.Servers = append(s.Servers, w.Text)
	}
	file := func(name string) string {
		if f := r.Text(name, ""); f != "" {
			return l.path(f)
		}
		return ""
	}
	s.Authority, s.Certificate, s.Key, s.Credentials = file("authority"), file("certificate"), file("key"), file("credentials")
	if (s.Certificate == "") != (s.Key == "") {
		r.Fail(b.DefRange, "half a pair", "A certificate and its key belong together.")
	}
	s.Replicas = r.Int("replicas", 3, 1, 5)
}
