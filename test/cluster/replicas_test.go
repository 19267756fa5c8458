package cluster

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tandem/test/wire"
	"tandem/token"
)

// office is what the rig's configuration has besides for what people set.
const office = `
schedule "office" {
  timezone = "UTC"
  open     = ["daily 00:00-24:00"]
}
`

// What people have set at one node counts at the other, and so does a password that one made; each says which plan it runs.
func TestSettingsGoOn(t *testing.T) {
	p := NewPair(t, election, office)
	from := p.serving()
	p.command(from, "forward", "1001", "--busy", "1002")
	p.command(from, "dnd", "1003", "on")
	p.command(from, "dnd", "1004", "on")
	p.command(from, "dnd", "1004", "off")
	p.command(from, "night", "office", "on")
	if out, err := p.try(other(from), "dnd", "1005", "on"); err == nil || !strings.Contains(out, "stands by") {
		t.Errorf("set at the standby: %v, %s", err, out)
	}
	var pass token.Pass
	if err := json.Unmarshal([]byte(p.command(from, "token", "1007", "--for", "10m", "--json")), &pass); err != nil {
		t.Fatal(err)
	}
	p.kill(from)
	p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(from), virtual) })
	to := other(from)
	for _, want := range []struct{ command, what string }{
		{"forward 1001", "forward busy 1002"}, {"forward 1003", "do not disturb on"}, {"forward 1004", "do not disturb off"}, {"night office", "by hand"},
	} {
		out := strings.Join(strings.Fields(p.command(to, strings.Fields(want.command)...)), " ")
		if !strings.Contains(out, want.what) {
			t.Errorf("%s: %s", want.command, out)
		}
	}
	var line *wire.Line
	p.inside("phones", func() { line = wire.UDP(t, phoneHost, 0, virtual+":5060") })
	phone := wire.NewPhone(line, "1007", pass.Password)
	phone.Login = pass.Username
	phone.Register()
	if out := p.command(to, "cluster", "status"); !strings.Contains(out, ", plan ") || strings.Contains(out, "runs plan") {
		t.Errorf("plans: %s", out)
	}
	p.start(from)
	p.eventually(60*time.Second, "whole again", p.whole)
	p.write(from, "another.hcl", "class \"another\" {}\n")
	p.command(from, "reload")
	p.eventually(10*time.Second, "different plans are told", func() bool {
		return strings.Contains(p.command(to, "cluster", "status"), "node "+from+" runs plan")
	})
}
