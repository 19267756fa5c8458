package configs

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
	"tandem/media/turn"
	"tandem/token"
)

var turnSchema = block.Schema("address advertise ports per_user allocations urls secret lifetime")

// TURN is what pages are told of relays, and the one that we run.
type TURN struct {
	Server    *turn.Config // ours; nil: none
	Advertise string       // host that pages are told of ours; empty: the one that they came to
	URLs      []string     // of relays elsewhere
	Keys      token.Keys   // that passwords for those are made with; none: they ask for none
	Lifetime  time.Duration
}

// turn reads the relays. It comes after media and listeners, whose ports it must not take.
func (l *loader) turn(b *hcl.Block) {
	if b == nil {
		return
	}
	r, t := l.open(b.Body, turnSchema), &l.config.TURN
	t.Lifetime = r.Duration("lifetime", 12*time.Hour, 10*time.Minute, month)
	for _, w := range r.Words("urls") {
		if u, err := url.Parse(w.Text); err != nil || u.Scheme != "turn" && u.Scheme != "turns" && u.Scheme != "stun" || strings.ContainsAny(w.Text, "<>\", ") {
			r.Fail(w.At, "not a relay", "Write it as in \"turn:turn.example.com:3478?transport=udp\"; turns: and stun: are known too.")
			continue
		}
		t.URLs = append(t.URLs, w.Text)
	}
	if r.Has("secret") {
		if key := l.tokenSecret(r, "secret"); key != "" {
			t.Keys = token.Keys{[]byte(key)}
		}
		if !r.Has("urls") {
			r.Fail(r.Range("secret"), "nothing to sign", "secret is what a relay of `urls` knows (coturn: static-auth-secret). Our own takes the passwords of pages.")
		}
	}
	if r.Has("address") {
		l.ownTURN(r, t)
		return
	}
	for _, name := range []string{"advertise", "ports", "per_user", "allocations"} {
		if r.Has(name) {
			r.Fail(r.Range(name), "no relay of ours", "It says how we run one: write its address, as in address = \"0.0.0.0:3478\".")
		}
	}
	if !r.Has("urls") {
		r.Fail(b.DefRange, "no relay", "Run one with address = \"0.0.0.0:3478\", or name one with urls.")
	}
}

// turnPorts reads the range that clients are lent ports of.
func turnPorts(r *block.Reader, c *turn.Config) {
	c.FirstPort, c.LastPort = 40001, 41000
	if !r.Has("ports") {
		return
	}
	low, high, ok := strings.Cut(r.Text("ports", ""), "-")
	first, err1 := strconv.Atoi(strings.TrimSpace(low))
	last, err2 := strconv.Atoi(strings.TrimSpace(high))
	if !ok || err1 != nil || err2 != nil || first < 1024 || last > 65535 || first > last {
		r.Fail(r.Range("ports"), "not a range of ports", "Write the first and the last, between 1024 and 65535, as in \"40001-41000\".")
		return
	}
	c.FirstPort, c.LastPort = uint16(first), uint16(last)
}

// ownTURN reads the relay that we run.
func (l *loader) ownTURN(r *block.Reader, t *TURN) {
	c := &turn.Config{Address: r.Text("address", ""), Realm: l.config.Node.Realm, MediaPort: l.config.Media.PortForBrowsers()}
	if host, port, ok := l.address(r, "address", c.Address); ok {
		l.collisions(append(l.sockets, bound{"turn", true, host, port, r.Range("address")}, bound{"turn", false, host, port, r.Range("address")}))
	}
	if t.Advertise = r.Text("advertise", ""); t.Advertise != "" && !isHost(t.Advertise) {
		r.Fail(r.Range("advertise"), "not an address", "%q is no host.", t.Advertise)
	}
	if a, err := netip.ParseAddr(l.config.Node.PublicAddress); err == nil {
		c.Public = a
		if t.Advertise == "" {
			t.Advertise = a.String()
		}
	}
	turnPorts(r, c)
	m := l.config.Media
	if c.FirstPort <= m.LastPort && m.FirstPort <= c.LastPort || c.FirstPort <= c.MediaPort && c.MediaPort <= c.LastPort {
		r.Fail(r.Range("ports"), "ports in use", "Media has the ports %d-%d, and %d for browsers: choose others.", m.FirstPort, m.LastPort, c.MediaPort)
	}
	c.PerUser = r.Int("per_user", 8, 1, 1000)
	c.Total = r.Int("allocations", min(1000, int(c.LastPort-c.FirstPort)+1), 1, 65535)
	t.Server = c
}
