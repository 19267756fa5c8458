package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/cluster"
	"tandem/console"
	"tandem/test/binary"
	"tandem/test/wire"
)

// Shards is some switches and a witness; each switch owns a shard, and the next one stands by for it.
type Shards struct {
	*Pair
	names      []string // of the switches, in the order of the configuration: each is the backup of the one before
	registered int      // phones, as far as a test counts them
	extra      int      // extensions that were taken for a moment
}

var shardHosts = map[string]string{
	"a": "10.77.0.1", "b": "10.77.0.2", "c": "10.77.0.3", "d": "10.77.0.4", "w": "10.77.0.5", "phones": phoneHost,
}

// shardAddress is where phones find the shard of a node.
var shardAddress = map[string]string{"a": "10.77.0.101", "b": "10.77.0.102", "c": "10.77.0.103", "d": "10.77.0.104"}

const shardConfiguration = `
node "NAME" {
  domains   = ["cluster.example"]
  state_dir = "state"
  http      = ""
}
cluster {
  election = "ELECTION"
NODES  witness "w" { address = "10.77.0.5:7300" }
}
listen "udp" {
  transport = "udp"
  address   = "0.0.0.0:5060"
}
listen "tcp" {
  transport = "tcp"
  address   = "0.0.0.0:5060"
}
listen "ws" {
  transport = "ws"
  address   = "0.0.0.0:5066"
}
limits {
  strangers_rate  = 100000
  strangers_burst = 100000
  strangers_total = 1000000
}
media {
  ports         = "20000-20999"
  private_peers = true
}
class "office" {}
extensions { file = "phones.csv" }
route "internal" {
  from = [class.office]
  to   = "xxxx"
  dial {
    extension = call.to
    timeout   = "20s"
  }
}
` + office + boxes

// shardNode is what stands in the configuration for each switch.
func shardNode(name string) string {
	seen := ""
	if name == "c" { // peers outside see it at another address, which the phones of the rig are told and do not use
		seen = `public_address = "203.0.113.13"`
	}
	return fmt.Sprintf(`
  node %q {
    address = "%s:7300"
    shard "%s/24" {
      interface = "eth0"
      %s
    }
  }
`, name, shardHosts[name], shardAddress[name], seen)
}

// NewShards makes a cluster of the switches a, b and so on as a person would; the first is where it begins.
func NewShards(t testing.TB, election time.Duration, names ...string) *Shards {
	t.Helper()
	hosts, nodes := map[string]string{"w": shardHosts["w"], "phones": phoneHost}, ""
	for _, name := range names {
		hosts[name] = shardHosts[name]
		nodes += shardNode(name)
	}
	s := &Shards{names: names, Pair: &Pair{wires: newWires(t, hosts), t: t, dir: t.TempDir(), nodes: map[string]*process{}}}
	for _, name := range append(slices.Clone(names), "w") {
		dir := filepath.Join(s.dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s.write(name, "switch.hcl", strings.NewReplacer("NAME", name, "ELECTION", election.String(), "NODES", nodes).Replace(shardConfiguration))
		s.write(name, "phones.csv", phoneTable())
		s.write(name, "password", binary.Password)
		s.nodes[name] = &process{name: name, dir: dir}
	}
	t.Cleanup(func() {
		s.stop()
		for name, n := range s.nodes {
			if t.Failed() && n.out != nil {
				t.Logf("%s:\n%s", name, n.out)
			}
		}
	})
	s.command(names[0], "cluster", "init", "--name", names[0])
	s.start(names[0])
	for _, name := range append(slices.Clone(names[1:]), "w") {
		var token string
		s.eventually(20*time.Second, "a token", func() bool {
			out, err := s.try(names[0], "cluster", "invite", name)
			token = strings.TrimSpace(out)
			return err == nil
		})
		s.eventually(20*time.Second, name+" has joined", func() bool {
			_, err := s.try(name, "cluster", "join", token)
			return err == nil
		})
		s.start(name)
	}
	s.eventually(120*time.Second, "cluster whole", s.allWhole)
	s.home() // the first nodes may have taken the shards of those that came later
	return s
}

// home brings every shard to the node that owns it, as a person does.
func (s *Shards) home() {
	s.t.Helper()
	for _, shard := range s.names {
		if node := s.at(shard); node != shard {
			s.eventually(20*time.Second, "shard "+shard+" is at home", func() bool {
				_, err := s.try(node, "failover", "--shard", shard)
				return err == nil || s.at(shard) == shard
			})
		}
	}
	s.eventually(60*time.Second, "cluster whole", func() bool {
		return s.allWhole() && !slices.ContainsFunc(s.names, func(n string) bool { return s.at(n) != n })
	})
}

// part is the state of a node's part in a shard; ok is false when it does not answer.
func (s *Shards) part(node, shard string) (st cluster.Status, ok bool) {
	st, err := console.Dial(filepath.Join(s.dir, node, "state", "shards", shard, "admin.sock")).Cluster()
	return st, err == nil
}

// at is the node that has the address of a shard; empty: none has.
func (s *Shards) at(shard string) string {
	for _, name := range s.names {
		if s.has(name, shardAddress[shard]) {
			return name
		}
	}
	return ""
}

// epochs are those in which the shards are served.
func (s *Shards) epochs() map[string]uint64 {
	all := map[string]uint64{}
	for _, shard := range s.names {
		st, _ := s.part(s.at(shard), shard)
		all[shard] = st.Epoch
	}
	return all
}

func (s *Shards) allWhole() bool {
	for _, shard := range s.names {
		if !s.shardWhole(shard) {
			return false
		}
	}
	return true
}

// shardWhole is true when one of the two serves a shard, and the other follows.
func (s *Shards) shardWhole(shard string) bool {
	serves := s.at(shard)
	active, ok := s.part(serves, shard)
	if !ok || active.Role != "active" || !active.Held || active.Degraded || active.Waits > 0 || len(active.Problems) > 0 {
		return false
	}
	for _, m := range active.Members {
		var report struct{ Hot bool }
		if m.Role == "standby" && json.Unmarshal(m.Report, &report) == nil && report.Hot && len(m.Leads) > 0 {
			return true
		}
	}
	return false
}

// phoneAt is one phone in the phones' namespace, registered at a shard.
func (s *Shards) phoneAt(shard, user string) *wire.Phone {
	s.t.Helper()
	var line *wire.Line
	s.inside("phones", func() { line = wire.UDP(s.t, phoneHost, 0, shardAddress[shard]+":5060") })
	phone := wire.NewPhone(line, user, binary.Password)
	phone.Register()
	return phone
}

// known waits until every node knows a number of registrations, of whichever shard.
func (s *Shards) known(registrations int) {
	s.t.Helper()
	s.eventually(10*time.Second, "registrations known everywhere", func() bool {
		for _, shard := range s.names {
			st, _ := s.part(s.at(shard), shard)
			for _, m := range st.Members {
				var r struct{ Directory int }
				if m.Node == st.Node && (json.Unmarshal(m.Report, &r) != nil || r.Directory != registrations) {
					return false
				}
			}
		}
		return true
	})
}
