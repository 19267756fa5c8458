package configs

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
)

// seenShards are two nodes behind a NAT and a third that peers see as it is.
const seenShards = `
node "pbx" { domains = ["pbx.example.com"] }
listen "udp" {
  transport = "udp"
  address   = "0.0.0.0:5060"
}
listen "wss" {
  transport   = "wss"
  address     = "0.0.0.0:443"
  certificate = "acme"
}
acme { email = "ops@example.com" }
turn { address = "0.0.0.0:3478" }
cluster {
  node "a" {
    address = "10.0.0.1:7300"
    shard "10.0.0.11/24" {
      interface      = "eth0"
      public_address = "203.0.113.11"
    }
  }
  node "b" {
    address = "10.0.0.2:7300"
    shard "10.0.0.12/24" {
      interface      = "eth0"
      public_address = "203.0.113.12"
    }
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

func TestShardBehindNAT(t *testing.T) {
	c := loaded(t, map[string]string{"c.hcl": seenShards})
	for i, want := range []struct{ own, seen, advertised, public string }{
		{"10.0.0.11", "203.0.113.11", "203.0.113.11", "203.0.113.11"}, {"10.0.0.12", "203.0.113.12", "203.0.113.12", "203.0.113.12"},
		{"198.51.100.13", "198.51.100.13", "", "invalid IP"},
	} {
		s := c.Shard(i)
		if s.Node.PublicAddress != want.seen {
			t.Errorf("shard %d is seen at %s", i, s.Node.PublicAddress)
		}
		for j, port := range []string{":5060", ":443"} {
			if l := s.Transport.Listen[j]; l.Address != want.own+port || l.Advertise != want.advertised {
				t.Errorf("shard %d listens at %s and says %q", i, l.Address, l.Advertise)
			}
		}
		relay := s.TURN.Server
		if relay.Address != want.own+":3478" || !relay.Free || relay.Public.String() != want.public || s.TURN.Advertise != want.seen {
			t.Errorf("shard %d has the relay %+v, told as %s", i, relay, s.TURN.Advertise)
		}
		at := netip.MustParseAddr
		media := map[netip.Addr]netip.Addr{
			at("10.0.0.11"): at("10.0.0.11"), at("203.0.113.11"): at("10.0.0.11"), at("10.0.0.12"): at("10.0.0.12"), at("203.0.113.12"): at("10.0.0.12"),
			at("198.51.100.13"): at("198.51.100.13"),
		}
		if !maps.Equal(relay.Media, media) {
			t.Errorf("shard %d relays to %v", i, relay.Media)
		}
		if _, edge := c.SIPAddress(i); edge.String() != want.own+":5060" {
			t.Errorf("others reach shard %d at %v", i, edge)
		}
	}
	if c.TURN.Server.Media != nil || c.Transport.Listen[0].Advertise != "" {
		t.Error("one shard's configuration has changed the whole")
	}
	if s := c.Shard(1); !slices.Equal(s.ACME.Domains, []string{"pbx.example.com"}) {
		t.Errorf("ACME %+v", s.ACME)
	}
}
