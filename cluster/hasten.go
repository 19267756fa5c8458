package cluster

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// When a process dies its kernel closes its connections at once, long before anybody misses a heartbeat. It is no proof: a router that
// is restarted does the same. So nobody is elected sooner than raft allows; but then at once, instead of when raft next looks, which may be an
// election time later. The witness looks first and the switches a moment after it: it has given the old leader up when they ask for its vote.

// cord is a member's connection to us that tells when it ends.
type cord struct {
	net.Conn
	member string
	ended  chan<- string // of door
}

func (c cord) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		select {
		case c.ended <- c.member:
		default: // enough are told already
		}
	}
	return n, err
}

// linked names the member behind a connection by its certificate.
func linked(c *tls.Conn, ended chan<- string) net.Conn {
	return cord{Conn: c, member: c.ConnectionState().PeerCertificates[0].Subject.CommonName, ended: ended}
}

// hasten is called when a connection of a member has ended; it gives what calls look, when it was the leader's, at the time to look.
func (r *role) hasten(member string) <-chan time.Time {
	if _, id := r.raft.LeaderWithID(); member != string(id) || r.raft.State() != raft.Follower {
		return nil
	}
	wait := r.timers
	if !r.e.self.Witness {
		wait += r.timers / 10
	}
	return time.After(wait)
}

// look has raft look for its leader's last heartbeat now: it does so whenever the time that it allows becomes shorter.
func (r *role) look() {
	c := r.raft.ReloadableConfig()
	whole := c.HeartbeatTimeout
	c.HeartbeatTimeout -= lookShorter
	if r.raft.ReloadConfig(c) == nil {
		c.HeartbeatTimeout = whole
		_ = r.raft.ReloadConfig(c)
	}
}

const lookShorter = time.Millisecond
