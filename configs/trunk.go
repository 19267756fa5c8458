package configs

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/transport"
	"tandem/trunk"
)

var (
	trunkSchema = block.Schema(`proxy proxies domain realm username password channels channels_in channels_out cps cps_in cps_out
		minutes_per_day minutes_per_month timezone
		numbers prefix uri user_phone called identity privacy diversion caller_id own any_caller_id codecs srtp prack follow_redirects portability dtmf`,
		"register", "accept", "probe", "health", "headers", "stir")
	acceptSchema = block.Schema("addresses names")
	probeSchema  = block.Schema("interval timeout up down")
)

// trunks reads the carriers. It comes after the listeners, whose transports they must share.
func (l *loader) trunks() {
	names := map[string]bool{}
	for _, b := range l.blocks {
		if b.Type == "trunk" && !names[b.Labels[0]] { // the dialplan reports names that stand twice
			names[b.Labels[0]] = true
			l.trunk(b)
		}
	}
}

func (l *loader) trunk(b *hcl.Block) {
	r := l.open(b.Body, trunkSchema)
	c := trunk.Config{Name: b.Labels[0]}
	if !trunkName(c.Name) {
		r.Fail(b.LabelRanges[0], "not a name", "A trunk's name is of letters, digits, - and _, and begins with a letter: it stands in routes as trunk.NAME and in metrics.")
	}
	l.proxies(r, &c)
	l.account(r, &c)
	trunkLimits(r, &c)
	l.numbers(r, &c)
	for _, w := range r.Words("codecs") {
		if !codecIsKnown(w.Text) {
			r.Fail(w.At, "unknown codec", "%q is not known: write name or name/rate, such as \"PCMA\" or \"opus/48000/2\".", w.Text)
		}
		c.Codecs = append(c.Codecs, w.Text)
	}
	c.PRACK = trunk.Reliability(r.OneOf("prack", string(trunk.ReliableSupported), string(trunk.ReliableOff), string(trunk.ReliableSupported), string(trunk.ReliableRequired)))
	c.DTMF = trunk.DTMF(r.OneOf("dtmf", string(trunk.DTMFAuto), string(trunk.DTMFAuto), string(trunk.DTMFEvents), string(trunk.DTMFInfo), string(trunk.DTMFInband)))
	c.SRTP = r.OneOf("srtp", "off", "off", "optional", "required")
	for _, inner := range r.Blocks {
		switch inner.Type {
		case "register":
			l.register(&c, r, inner)
		case "health":
			l.health(&c, inner)
		case "accept":
			l.accept(&c, inner)
		case "probe":
			l.probe(&c, inner)
		case "headers":
			l.trunkHeaders(&c, inner)
		case "stir":
			l.trunkSTIR(&c, inner)
		}
	}
	l.config.Trunks = append(l.config.Trunks, c.WithDefaults())
}

// trunkName tells whether a name can be referred to as trunk.NAME.
func trunkName(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (i == 0 || (s[i] < '0' || s[i] > '9') && s[i] != '-' && s[i] != '_') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// proxies reads where the carrier is: one proxy or several in the order of failover.
func (l *loader) proxies(r *block.Reader, c *trunk.Config) {
	var words []block.Word
	if r.Has("proxy") {
		words = append(words, block.Word{Text: r.Text("proxy", ""), At: r.Range("proxy")})
	}
	words = append(words, r.Words("proxies")...)
	switch {
	case r.Has("proxy") && r.Has("proxies"):
		r.Fail(r.Range("proxies"), "said twice", "Write either \"proxy\" or the list \"proxies\".")
	case len(words) == 0:
		r.Require("proxy")
	}
	for _, w := range words {
		if t, ok := l.proxy(r, w); ok {
			c.Proxies = append(c.Proxies, t)
		}
	}
	if c.Domain = r.Text("domain", ""); c.Domain != "" {
		if u, err := sip.ParseURI("sip:" + c.Domain); err != nil || u.User != "" || u.Params != "" || !isHost(u.Host) {
			r.Fail(r.Range("domain"), "not a domain", "%q is no host name and no IP address.", c.Domain)
		}
	}
}

// proxy reads "sip.carrier.example", "192.0.2.1:5060;transport=tcp" or a sip or sips URI.
func (l *loader) proxy(r *block.Reader, w block.Word) (t transport.Target, ok bool) {
	text := w.Text
	if !strings.HasPrefix(text, "sip:") && !strings.HasPrefix(text, "sips:") {
		text = "sip:" + text
	}
	u, err := sip.ParseURI(text)
	if err != nil || u.User != "" || !isHost(u.Host) {
		r.Fail(w.At, "not a proxy", "Write where the carrier is: a name (\"sip.carrier.example\"), or host:port, with \";transport=tcp\" or \";transport=tls\" behind it where that is known.")
		return t, false
	}
	t = transport.Target{Host: strings.ToLower(u.Host), Port: u.Port, Secure: u.Scheme == "sips"}
	if name, given := u.Params.Get("transport"); given {
		if t.Proto = trunk.ProtoOf(name); t.Proto == 0 {
			r.Fail(w.At, "unknown transport", "A carrier is reached over udp, tcp or tls, not over %q.%s", name, block.DidYouMean(name, []string{"udp", "tcp", "tls"}))
			return t, false
		}
	}
	want := t.Proto
	if t.Secure {
		want = transport.TLS
	}
	if want != 0 && !l.listensOn(want) {
		r.Fail(w.At, "no listener", "Calls to and from this carrier need a listen block with transport = %q: its requests come there.", strings.ToLower(want.String()))
	}
	return t, true
}

func (l *loader) listensOn(p transport.Proto) bool {
	for _, b := range l.config.Transport.Listen {
		if b.Proto == p {
			return true
		}
	}
	return false
}

// account reads the credentials. They are for one realm only: a challenge of another one is not answered.
func (l *loader) account(r *block.Reader, c *trunk.Config) {
	realm := ""
	if c.Domain != "" {
		u, _ := sip.ParseURI("sip:" + c.Domain)
		realm = u.Host
	} else if len(c.Proxies) > 0 {
		realm = c.Proxies[0].Host
	}
	c.Credential = l.credential(r, r.Text("realm", realm))
}

// credential reads a username and its password; without them it has no name.
func (l *loader) credential(r *block.Reader, realm string) digest.Credential {
	username := r.Text("username", "")
	if !printable(username) {
		r.Fail(r.Range("username"), "not a user name", "A user name is one line.")
	}
	e := r.Expr("password")
	none := digest.Credential{Realm: realm}
	switch {
	case e == nil && username != "":
		r.Fail(r.Range("username"), "missing password", "An account at a carrier has a password: password = secret(\"file:PATH\").")
		return none
	case e == nil:
		return none
	case username == "":
		r.Fail(e.Range(), "missing username", "A password needs the username that it is of.")
		return none
	}
	s, ok := l.password(e)
	switch {
	case !ok:
		return digest.Credential{Username: username, Realm: realm}
	case s.password != "":
		return digest.NewAccount(username, realm, s.password)
	}
	return s.credential(username, realm)
}

// codecIsKnown tells whether the media room takes a codec of that name.
func codecIsKnown(text string) bool {
	name, rest, given := strings.Cut(text, "/")
	if given {
		rate, _, _ := strings.Cut(rest, "/")
		n, err := strconv.Atoi(rate)
		return name != "" && err == nil && n >= 1000 && n <= 192000
	}
	for _, known := range []string{"PCMA", "PCMU", "G722", "opus", "G729", "GSM", "G723", "iLBC", "AMR", "AMR-WB", "speex", "CN", "telephone-event"} {
		if strings.EqualFold(name, known) {
			return true
		}
	}
	return false
}

func (l *loader) accept(c *trunk.Config, b *hcl.Block) {
	r := l.open(b.Body, acceptSchema)
	c.Accept.On = true
	for _, w := range r.Words("addresses") {
		if p, err := netip.ParsePrefix(w.Text); err == nil {
			if p.Bits() == 0 {
				r.Fail(w.At, "everybody", "%q is every address there is: whoever calls would be this carrier.", w.Text)
			}
			c.Accept.Addresses = append(c.Accept.Addresses, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()).Masked())
		} else if a, err := netip.ParseAddr(strings.Trim(w.Text, "[]")); err == nil {
			c.Accept.Addresses = append(c.Accept.Addresses, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
		} else if isHost(w.Text) && !strings.Contains(w.Text, "/") {
			c.Accept.Hosts = append(c.Accept.Hosts, strings.ToLower(w.Text))
		} else {
			r.Fail(w.At, "not an address", "%q is no address (\"198.51.100.7\"), no network (\"198.51.100.0/24\") and no host name.", w.Text)
		}
	}
	for _, w := range r.Words("names") {
		if !isHost(w.Text) {
			r.Fail(w.At, "not a name", "%q is no host name. A wildcard does not count: SIP knows none in certificates (RFC 5922).", w.Text)
		}
		c.Accept.Names = append(c.Accept.Names, strings.ToLower(w.Text))
	}
	if len(c.Accept.Names) > 0 && !l.listensOn(transport.TLS) {
		r.Fail(r.Range("names"), "no listener", "Names stand in certificates, so this needs a listen block with transport = \"tls\".")
	}
}

func (l *loader) probe(c *trunk.Config, b *hcl.Block) {
	r := l.open(b.Body, probeSchema)
	c.Probe = trunk.Probe{
		Interval: r.Duration("interval", 30*time.Second, time.Second, time.Hour),
		Timeout:  r.Duration("timeout", trunk.DefaultTimeout, 100*time.Millisecond, 30*time.Second),
		Up:       r.Int("up", trunk.DefaultUp, 1, 100),
		Down:     r.Int("down", trunk.DefaultDown, 1, 100),
	}
}

// carriers compares two sets of trunks, field by field. Passwords are compared and not shown.
func carriers(before, after []trunk.Config) []Change {
	was, is := map[string]trunk.Config{}, map[string]trunk.Config{}
	for _, c := range before {
		was[c.Name] = c
	}
	for _, c := range after {
		is[c.Name] = c
	}
	var out []Change
	for _, name := range slices.Sorted(maps.Keys(merged(was, is))) {
		a, had := was[name]
		b, has := is[name]
		switch {
		case !had:
			out = append(out, Change{Kind: "trunk", Name: name, What: "added", To: b.Domain})
			continue
		case !has:
			out = append(out, Change{Kind: "trunk", Name: name, What: "removed", From: a.Domain})
			continue
		}
		if secrets(a) != secrets(b) {
			out = append(out, Change{Kind: "password", Name: "trunk." + name, What: "changed"})
		}
		a, b = shown(a), shown(b)
		for _, f := range fields("trunk", a, b) {
			out = append(out, Change{"trunk", name, "changed", f.Name + " " + f.From, f.Name + " " + f.To})
		}
	}
	return out
}

// secrets is the credentials of a trunk, to be compared.
func secrets(c trunk.Config) string {
	all := []any{c.Credential}
	for _, r := range c.Registers {
		all = append(all, r.Credential)
	}
	return fmt.Sprint(all...)
}

// shown is a trunk without what is not shown.
func shown(c trunk.Config) trunk.Config {
	c.Credential = digest.Credential{Username: c.Credential.Username, Realm: c.Credential.Realm}
	c.Registers = slices.Clone(c.Registers)
	for i := range c.Registers {
		r := &c.Registers[i]
		r.Credential = digest.Credential{Username: r.Credential.Username, Realm: r.Credential.Realm}
	}
	return c
}
