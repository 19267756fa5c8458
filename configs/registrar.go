package configs

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

// Registrar bounds what phones may ask of the registrar.
type Registrar struct {
	MinExpires     time.Duration
	MaxExpires     time.Duration
	DefaultExpires time.Duration // for a REGISTER that names none
	MaxContacts    int           // of one extension
}

var registrarSchema = block.Schema("min_expires max_expires default_expires max_contacts")

// registrar reads the block, or gives the defaults where b is nil.
func (l *loader) registrar(b *hcl.Block) {
	r := l.config.Registrar
	r = Registrar{MinExpires: time.Minute, MaxExpires: 2 * time.Hour, DefaultExpires: time.Hour, MaxContacts: 10}
	if b == nil {
		l.config.Registrar = r
		return
	}
	in := l.open(b.Body, registrarSchema)
	r.MinExpires = in.Duration("min_expires", r.MinExpires, time.Second, 24*time.Hour)
	r.MaxExpires = in.Duration("max_expires", max(r.MaxExpires, r.MinExpires), time.Second, 30*24*time.Hour)
	r.DefaultExpires = in.Duration("default_expires", min(max(r.DefaultExpires, r.MinExpires), r.MaxExpires), time.Second, 30*24*time.Hour)
	r.MaxContacts = in.Int("max_contacts", r.MaxContacts, 1, 100)
	if r.MinExpires > r.MaxExpires {
		in.Fail(in.Range("min_expires"), "minimum above maximum", "min_expires is %v and max_expires %v.", r.MinExpires, r.MaxExpires)
	} else if r.DefaultExpires < r.MinExpires || r.DefaultExpires > r.MaxExpires {
		in.Fail(in.Range("default_expires"), "out of range", "default_expires must lie between min_expires (%v) and max_expires (%v).", r.MinExpires, r.MaxExpires)
	}
	l.config.Registrar = r
}
