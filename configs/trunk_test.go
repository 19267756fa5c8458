package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/sip/transport"
	"tandem/trunk"
)

const trunkFile = `
node "x" { domains = ["example.com"] }
listen "udp" {
  transport = "udp"
  address   = "127.0.0.1:0"
}
listen "tcp" {
  transport = "tcp"
  address   = "127.0.0.1:0"
}
trunk "a" {
  proxies  = ["sip.carrier-a.example", "192.0.2.1:5070;transport=tcp"]
  username = "acct"
  password = secret("file:password")
  register { expires = "10m" }
  accept   { addresses = ["198.51.100.0/24", "192.0.2.9", "sbc.carrier-a.example"] }
  channels = 60
  cps      = 10
  numbers  = "e164-without-plus"
  codecs   = ["PCMA", "PCMU"]
  probe    { interval = "30s" }
}
route "out" {
  to = "+[1-9]x{6,14}"
  dial { trunks = [trunk.a] }
  failover {
    on          = ["5xx", "timeout", "unreachable"]
    first_reply = "4s"
  }
}
`

func loadTrunks(t *testing.T, text, password string) *Config {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"x.hcl": text, "password": password} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, diags := Load(dir)
	if cfg == nil {
		t.Fatal(diags)
	}
	return cfg
}

func TestATrunkIsRead(t *testing.T) {
	cfg := loadTrunks(t, trunkFile, "secret")
	if len(cfg.Trunks) != 1 {
		t.Fatal(cfg.Trunks)
	}
	c := cfg.Trunks[0]
	if len(c.Proxies) != 2 || c.Proxies[0] != (transport.Target{Host: "sip.carrier-a.example"}) ||
		c.Proxies[1] != (transport.Target{Host: "192.0.2.1", Port: 5070, Proto: transport.TCP}) {
		t.Error("proxies:", c.Proxies)
	}
	if c.Domain != "sip.carrier-a.example" || c.Credential.Realm != "sip.carrier-a.example" || c.Credential.Username != "acct" || c.Credential.MD5 == "" {
		t.Error("account:", c.Domain, c.Credential)
	}
	if len(c.Registers) != 1 || c.Registers[0].Expires != 10*time.Minute || c.Registers[0].User != "acct" {
		t.Errorf("register: %+v", c.Registers)
	}
	if !c.Accept.On || len(c.Accept.Addresses) != 2 || c.Accept.Addresses[1].String() != "192.0.2.9/32" || len(c.Accept.Hosts) != 1 {
		t.Errorf("accept: %+v", c.Accept)
	}
	if c.Channels.Both != 60 || c.CPS.Both != 10 || c.Numbers != trunk.E164WithoutPlus || c.Probe.Interval != 30*time.Second || c.Probe.Down != 3 {
		t.Errorf("%+v", c)
	}
}

func TestChangesOfTrunksAreToldWithoutPasswords(t *testing.T) {
	before := loadTrunks(t, trunkFile, "secret")
	if lines := Diff(before, loadTrunks(t, trunkFile, "secret")); len(lines) != 0 {
		t.Error("nothing changed, and yet", lines)
	}
	text := strings.Join(Diff(before, loadTrunks(t, strings.Replace(trunkFile, "channels = 60", "channels = 30", 1), "another")), "\n")
	if !strings.Contains(text, "password trunk.a changed") || !strings.Contains(text, "trunk a changed: channels {60 0 0} -> channels {30 0 0}") {
		t.Error(text)
	}
	for _, hidden := range []string{"secret", "another", before.Trunks[0].Credential.MD5} {
		if strings.Contains(text, hidden) {
			t.Errorf("%q is told", hidden)
		}
	}
}
