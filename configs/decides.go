package configs

import (
	"path/filepath"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/cluster"
	"tandem/dialplan/block"
)

var fenceSchema = block.Schema("command timeout after")

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
