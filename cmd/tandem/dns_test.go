package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/certificate"
	"tandem/configs"
)

// shardsFile is a cluster of three nodes, where c stands by for a.
const shardsFile = `
node "pbx" {
  domains   = ["pbx.example.com", "192.0.2.1"]
  state_dir = "state"
  http      = "127.0.0.1:9090"
}
listen "udp" {
  transport = "udp"
  address   = "0.0.0.0:5060"
}
listen "tls" {
  transport   = "tls"
  address     = "[::]:5061"
  certificate = "self-signed"
}
listen "ws" {
  transport = "ws"
  address   = ":5066"
}
cluster {
  node "a" {
    address = "10.0.0.1:7300"
    shard "198.51.100.11/24" {
      interface = "eth0"
      backup    = "c"
    }
  }
  node "b" {
    address = "10.0.0.2:7300"
    shard "2001:db8::12/64" { interface = "eth0" }
  }
  node "c" {
    address = "10.0.0.3:7300"
    shard "198.51.100.13/24" { interface = "eth0" }
  }
}
route "echo" {
  to = "*43"
  echo {}
}
`

func loadShards(t *testing.T) *configs.Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "switch.hcl"), []byte(shardsFile), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, diags := configs.Load(dir)
	if cfg == nil {
		t.Fatal(diags)
	}
	return cfg
}

func TestRecordsToPublish(t *testing.T) {
	var b strings.Builder
	if err := printRecords(&b, loadShards(t)); err != nil {
		t.Fatal(err)
	}
	const want = `_sip._udp.pbx.example.com. 300 IN SRV 10 100 5060 a.pbx.example.com.
_sip._udp.pbx.example.com. 300 IN SRV 10 100 5060 b.pbx.example.com.
_sip._udp.pbx.example.com. 300 IN SRV 10 100 5060 c.pbx.example.com.
_sips._tcp.pbx.example.com. 300 IN SRV 10 100 5061 a.pbx.example.com.
_sips._tcp.pbx.example.com. 300 IN SRV 10 100 5061 b.pbx.example.com.
_sips._tcp.pbx.example.com. 300 IN SRV 10 100 5061 c.pbx.example.com.
a.pbx.example.com. 300 IN A 198.51.100.11
b.pbx.example.com. 300 IN AAAA 2001:db8::12
c.pbx.example.com. 300 IN A 198.51.100.13
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	b.Reset()
	seen := *loadShards(t)
	seen.Cluster.Shards[2].Public = netip.MustParseAddr("203.0.113.13")
	seen.ACME = &certificate.Config{Domains: []string{"pbx.example.com"}}
	if err := printRecords(&b, &seen); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"c.pbx.example.com. 300 IN A 203.0.113.13\n", "\npbx.example.com. 300 IN A 198.51.100.11\n"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no %q in\n%s", line, b.String())
		}
	}
	none := *loadShards(t)
	none.Node.Domains = []string{"192.0.2.1"}
	if err := printRecords(&b, &none); err == nil {
		t.Error("records without a name")
	}
}

// The configuration of one shard is at its own address, and has folders, sockets and ports of its own.
func TestConfigurationOfAShard(t *testing.T) {
	cfg := loadShards(t)
	seen := map[string]bool{}
	for i, want := range []struct{ name, backup, host string }{{"a", "c", "198.51.100.11"}, {"b", "c", "[2001:db8::12]"}, {"c", "a", "198.51.100.13"}} {
		s := cfg.Shard(i)
		if s.Cluster.Shard != want.name || s.Cluster.Shards[i].Backup != want.backup || s.Cluster.Preferred != want.name {
			t.Errorf("shard %d: %+v", i, s.Cluster.Shards[i])
		}
		if l := s.Transport.Listen; l[0].Address != want.host+":5060" || l[1].Address != want.host+":5061" || l[2].Address != want.host+":5066" {
			t.Errorf("shard %s listens at %+v", want.name, l)
		}
		switches := 0
		for _, m := range s.Cluster.Members {
			if !m.Witness {
				switches++
			}
			if m.Witness == (m.Name == want.name || m.Name == want.backup) || m.Port != 7300+2*i {
				t.Errorf("shard %s: member %+v", want.name, m)
			}
		}
		if switches != 2 || len(s.Cluster.Members) != 3 {
			t.Errorf("shard %s: members %+v", want.name, s.Cluster.Members)
		}
		for _, own := range []string{s.Node.StateDir, s.Node.AdminSocket, s.Node.HTTP, s.CDR} {
			if seen[own] {
				t.Errorf("shard %s shares %s", want.name, own)
			}
			seen[own] = true
		}
		if s.IdentityDir() != cfg.Node.ClusterDir() {
			t.Errorf("identity in %s", s.IdentityDir())
		}
	}
	if cfg.Transport.Listen[0].Address != "0.0.0.0:5060" || cfg.Cluster.Shard != "" {
		t.Error("the configuration of the machine has changed")
	}
}
