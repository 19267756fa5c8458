package configs

import (
	"cmp"
	"crypto/rand"
	"embed"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

//go:embed demo/*.hcl
var demoFiles embed.FS

// DemoOptions are what a demo may be told. The zero value is the demo of the command line.
type DemoOptions struct {
	StateDir string // for certificate, notice and records; empty: a new folder for temporary files
	Host     string // to bind; default 0.0.0.0
	// Ports to bind; 0: the usual ones (5060, 5061, 5066 and 7443), negative: any that is free.
	SIP, TLS, WS, WSS int
	HTTP              string            // of metrics; default DefaultHTTP; "off": not served
	Passwords         map[string]string // by extension; those that are missing are made
}

// DemoPhone is an extension of the demo and what a phone needs to register.
type DemoPhone struct {
	Extension string
	Name      string
	Password  string
}

// DemoSwitch is a demo's configuration, and what is to be printed of it.
type DemoSwitch struct {
	Config  *Config
	Phones  []DemoPhone
	Numbers []DemoNumber
	Hosts   []string // addresses of this machine that phones may register to
}

// DemoNumber is a number to dial, and what answers.
type DemoNumber struct{ Number, What string }

// Demo makes the configuration of a switch with nothing to write: two extensions with fresh passwords, all five
// transports, a self-signed certificate, and numbers that echo, sound and speak. It is that of demo/*.hcl, which is
// also an example to read.
func Demo(o DemoOptions) (*DemoSwitch, error) {
	if o.StateDir == "" {
		dir, err := os.MkdirTemp("", "tandem-demo-")
		if err != nil {
			return nil, fmt.Errorf("demo: %w", err)
		}
		o.StateDir = dir
	}
	hosts := demoHosts()
	d := &DemoSwitch{Hosts: hosts, Numbers: []DemoNumber{
		{"1001, 1002", "the two phones"}, {"9196", "echo"}, {"9197", "1004 Hz tone"}, {"9198", "a notice"},
	}}
	for number, name := range map[string]string{"1001": "Alice", "1002": "Bob"} {
		d.Phones = append(d.Phones, DemoPhone{number, name, cmp.Or(o.Passwords[number], newPassword())})
	}
	slices.SortFunc(d.Phones, func(a, b DemoPhone) int { return cmp.Compare(a.Extension, b.Extension) })
	if err := demoState(o.StateDir); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	l := newLoader(o.StateDir)
	l.demo = true
	l.ctx.Variables["demo"] = o.variables(d)
	entries, err := demoFiles.ReadDir("demo")
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	for _, e := range entries {
		name := "demo/" + e.Name()
		l.readFile(name, func() ([]byte, error) { return demoFiles.ReadFile(name) })
	}
	config, diags := l.load()
	if config == nil {
		return nil, fmt.Errorf("demo: %w", diags)
	}
	d.Config = config
	return d, nil
}

// variables are what demo/*.hcl reads as demo.NAME.
func (o DemoOptions) variables(d *DemoSwitch) cty.Value {
	address := func(port, usual int) cty.Value {
		if port = cmp.Or(port, usual); port < 0 {
			port = 0
		}
		return cty.StringVal(net.JoinHostPort(cmp.Or(o.Host, "0.0.0.0"), fmt.Sprint(port)))
	}
	http := cmp.Or(o.HTTP, DefaultHTTP)
	if http == "off" {
		http = ""
	}
	passwords := map[string]cty.Value{}
	for _, p := range d.Phones {
		passwords[p.Extension] = cty.StringVal(p.Password)
	}
	domains := make([]cty.Value, len(d.Hosts))
	for i, h := range d.Hosts {
		domains[i] = cty.StringVal(h)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"domains":   cty.ListVal(domains),
		"state_dir": cty.StringVal(o.StateDir),
		"http":      cty.StringVal(http),
		"sip":       address(o.SIP, 5060),
		"tls":       address(o.TLS, 5061),
		"ws":        address(o.WS, 5066),
		"wss":       address(o.WSS, 7443),
		"passwords": cty.MapVal(passwords),
	})
}

// demoHosts are the names and addresses of this machine: what a phone may have as its domain. The first is the realm.
func demoHosts() []string {
	hosts := []string{"tandem.demo", "localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && isHost(name) {
		hosts = append(hosts, name)
	}
	addrs, _ := net.InterfaceAddrs() // none: the demo is for this machine alone
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() && !slices.Contains(hosts, p.Addr().String()) {
			hosts = append(hosts, p.Addr().String())
		}
	}
	return hosts
}

// demoState writes what the demo needs on disk: the notice.
func demoState(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "notice.wav"), noticeWAV(), 0o644)
}

// newPassword is 16 letters and digits that can be read out: 80 bits.
func newPassword() string { return strings.ToLower(rand.Text()[:16]) }
