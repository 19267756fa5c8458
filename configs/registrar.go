package configs

import (
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
	"tandem/registrar"
)

var (
	registrarSchema = block.Schema("min_expires max_expires default_expires max_contacts trusted_path flow_timer drop_slowed", "keepalive")
	keepaliveSchema = block.Schema("interval options all rate")
)

// month bounds a registration: longer than any phone stays.
const month = 30 * 24 * time.Hour

// registrar reads the block, or gives the defaults where b is nil.
func (l *loader) registrar(b *hcl.Block) {
	c := registrar.Config{
		Domains:    l.config.Node.Domains,
		MinExpires: time.Minute, MaxExpires: time.Hour, DefaultExpires: 10 * time.Minute, MaxContacts: 10,
	}
	if b != nil {
		l.readRegistrar(l.open(b.Body, registrarSchema), &c)
	}
	l.config.Registrar = c
}

func (l *loader) readRegistrar(r *block.Reader, c *registrar.Config) {
	c.MinExpires = r.Duration("min_expires", c.MinExpires, time.Second, month)
	c.MaxExpires = r.Duration("max_expires", max(c.MaxExpires, c.MinExpires), time.Second, month)
	c.DefaultExpires = r.Duration("default_expires", min(max(c.DefaultExpires, c.MinExpires), c.MaxExpires), time.Second, month)
	if c.MinExpires > c.MaxExpires {
		r.Fail(r.Range("min_expires"), "minimum above maximum", "min_expires is %v and max_expires %v.", c.MinExpires, c.MaxExpires)
	} else if c.DefaultExpires < c.MinExpires || c.DefaultExpires > c.MaxExpires {
		r.Fail(r.Range("default_expires"), "out of range", "default_expires must lie between min_expires (%v) and max_expires (%v).", c.MinExpires, c.MaxExpires)
	}
	c.MaxContacts = r.Int("max_contacts", c.MaxContacts, 1, 100)
	c.FlowTimer = r.Duration("flow_timer", 0, 10*time.Second, 24*time.Hour)
	c.DropSlowed = r.Bool("drop_slowed", false)
	for _, w := range r.Words("trusted_path") {
		if p, ok := prefix(w.Text); ok {
			c.TrustedPath = append(c.TrustedPath, p)
		} else {
			r.Fail(w.At, "not a network", "Write an address or a network, as in \"192.0.2.1\" or \"192.0.2.0/24\".")
		}
	}
	for i, b := range r.Blocks {
		if i > 0 {
			l.twice(b, r.Blocks[0])
			continue
		}
		k := l.open(b.Body, keepaliveSchema)
		c.Keepalive.Interval = k.Duration("interval", 0, time.Second, time.Hour)
		c.Keepalive.Options = k.Bool("options", false)
		c.Keepalive.All = k.Bool("all", false)
		c.Keepalive.Rate = k.Int("rate", 0, 1, 1_000_000)
	}
}

func prefix(text string) (netip.Prefix, bool) {
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		return p.Masked(), err == nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}
