package registrar

import (
	"log/slog"
	"net/netip"
	"time"

	"tandem/sip/digest"
	"tandem/sip/transport"
)

// Config is what a Registrar needs to start. The zero value of a field means its default.
type Config struct {
	// Domains are the hosts that are ours in a Request-URI and in To, without ports. The address that a
	// request came to, and the one advertised there, are ours too.
	Domains []string
	// MinExpires, MaxExpires and DefaultExpires bound a registration: below the first 423, above the second
	// it is cut, and the third is given where a phone does not say; default 1 min, 1 h, 10 min.
	MinExpires, MaxExpires, DefaultExpires time.Duration
	// MaxContacts bounds the bindings of one AOR; one more is 403. Default 10.
	MaxContacts int
	// TrustedPath are the edge proxies whose Path is taken (RFC 3327). From anybody else it is passed over:
	// it would let a phone choose where its calls are sent.
	TrustedPath []netip.Prefix
	// FlowTimer is told to phones that use outbound: how long a silent flow is kept (RFC 5626 §4.4.1).
	// It should be below the transports' idle limit. Default 20 s over connections, so that a phone soon finds out that another node
	// serves, and 120 s over UDP; negative: not told.
	FlowTimer time.Duration
	// Key makes To-tags; nodes that stand in for each other share it. Empty: random.
	Key []byte
	// DropSlowed sends nothing to a source that failed too often, instead of a 403.
	DropSlowed bool
	Keepalive  Keepalive
	// TurnsAway tells whether the phones of an AOR shall come back later that have no binding over the flow that they ask on: the switch
	// drains, or takes in as many as it can. Refreshes, queries and ends are answered all the same. It is asked for each REGISTER of a
	// proven user and must not block. nil: nobody is turned away.
	TurnsAway func(aor string) bool
	// Extra appends header lines, each with its end, to the 200 for a phone: what it is told besides. nil: nothing.
	Extra func(dst []byte, aor string, f transport.Flow, now time.Time) []byte
}

// Keepalive says how NAT mappings are kept open. Only UDP bindings get it: on connections the phone pings.
type Keepalive struct {
	// Interval between two pings of one binding, spread evenly; default 25 s, below the 30 s that RFC 4787
	// §4.3 found in the field. Negative: none.
	Interval time.Duration
	// Options sends OPTIONS instead of CRLF CRLF: the phone's answer opens mappings that inbound packets do
	// not refresh. It costs an answer for each.
	Options bool
	// All pings every UDP binding. Otherwise only those whose Contact is not where they come from.
	All bool
	// Rate bounds the pings of one second; default 5000. Above it the interval stretches.
	Rate int
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.MinExpires, time.Minute)
	def(&c.MaxExpires, time.Hour)
	def(&c.DefaultExpires, 10*time.Minute)
	def(&c.Keepalive.Interval, 25*time.Second)
	c.DefaultExpires = min(max(c.DefaultExpires, c.MinExpires), c.MaxExpires)
	if c.MaxContacts <= 0 {
		c.MaxContacts = 10
	}
	if c.Keepalive.Rate <= 0 {
		c.Keepalive.Rate = 5000
	}
	return c
}

// Accounts are the users that may register. They may change at any time: each call sees the newest.
type Accounts interface {
	// Credential finds what a user proves himself with.
	Credential(username string) (digest.Credential, bool)
	// MayRegister tells whether a proven user may bind contacts to a local number. It is false for numbers that
	// do not exist.
	MayRegister(username, aor string) bool
}

// New makes a Registrar. Run must be started for bindings to leave the Store by themselves.
func New(cfg Config, store *Store, authority *digest.Authority, accounts Accounts, log *slog.Logger) *Registrar {
	return newRegistrar(cfg.withDefaults(), store, authority, accounts, log)
}
