package trunk

import (
	"net/netip"
	"slices"
	"time"

	"tandem/sip/digest"
	"tandem/sip/transport"
)

// Config is one trunk of the configuration. It never changes, and two that are equal mean the same.
type Config struct {
	Name    string
	Proxies []transport.Target // in the order of failover
	Domain  string             // host of the URIs that we write towards the carrier, and of our AOR there
	// Credential proves us to the carrier; its Realm is the only one that is answered. Empty Username: none.
	Credential digest.Credential
	Registers  []Register
	Accept     Accept
	Probe      Probe
	Health     Health

	Channels Limit // calls at once
	CPS      Limit // new calls in any second

	MinutesPerDay   int    // that calls to the carrier may talk; 0: no limit
	MinutesPerMonth int    // the same
	Timezone        string // of the days; empty: UTC

	Numbers    Format // how the carrier writes numbers
	TechPrefix string // put before each called number
	Tel        bool   // called numbers as tel: URIs
	UserPhone  bool   // user=phone on sip: URIs with numbers
	Called     Source // where a call's called number stands
	Identity   Identity
	Private    bool     // the caller's number is withheld on every call
	CallerID   string   // shown where a caller has no number of ours, E.164; empty: anonymous
	Own        []string // further numbers that may be shown, E.164; a trailing * stands for any digits
	AnyCaller  bool     // numbers that are not ours may be shown: calls passed on from elsewhere
	Codecs     []string // allowed, in order; nil: those of the media room
	SRTP       string   // "off", "optional", "required"
	Headers    Headers  // of INVITEs to the carrier
	STIR       STIR
	Diversion  bool // who has diverted a call is said, by RFC 5806
	History    bool // and by RFC 7044
	PRACK      Reliability
	Redirects  bool // a 3xx is followed, to numbers that the plan lets the caller call
	DTMF       DTMF
	Portable   bool // npdi and rn of the called number (RFC 4694) are passed on to the carrier
}

// STIR is whether calls to the carrier are signed, and what becomes of those from it that are not as they should be.
type STIR struct {
	Sign bool
	// Attestation of a caller who has the number that is shown, of one whom we know, and of one from another trunk: "A", "B",
	// "C", or "none", which is not signed.
	Owned, Known, Transit string
	Verify                Verify
}

// DTMF is how the carrier is told of keys where it takes no telephone-events (RFC 4733), or shall not.
type DTMF string

// The ways. The zero value is Auto, too.
const (
	DTMFAuto   DTMF = "auto"    // telephone-events, else INFO, else tones: what the carrier takes
	DTMFEvents DTMF = "rfc4733" // nothing else
	DTMFInfo   DTMF = "info"
	DTMFInband DTMF = "inband"
)

// Reliability is whether provisional responses are acknowledged (RFC 3262).
type Reliability string

// The reliabilities. The zero value is Supported, too.
const (
	ReliableOff       Reliability = "off"       // a call that demands it is refused
	ReliableSupported Reliability = "supported" // where the other side demands it
	ReliableRequired  Reliability = "required"  // always
)

// Verify is what is done with the Identity header of calls from the carrier.
type Verify string

// The policies. The zero value is off, too.
const (
	VerifyOff     Verify = "off"
	VerifyTag     Verify = "tag"     // the called side is told what came of it
	VerifyRequire Verify = "require" // a call that does not pass is refused
)

// On tells whether calls are verified.
func (v Verify) On() bool { return v == VerifyTag || v == VerifyRequire }

// Limit is a limit in each direction and over both; 0: none.
type Limit struct{ Both, In, Out int }

// Register is one registration of ours.
type Register struct {
	Expires time.Duration // that we ask for
	Each    bool          // at every proxy at once; else at the first that answers
	User    string        // of our AOR at the carrier
	Retry   time.Duration // base of the backoff (RFC 5626 §4.5)
	Bulk    bool          // a whole block of numbers (RFC 6140)
	// Credential proves this registration; empty Username: that of the trunk.
	Credential digest.Credential
}

// Accept is what makes a call the carrier's. Every part that is given must hold; nothing given and On: the call comes
// from an address of a proxy. Without On it comes from where we are registered. A call to the contact that we registered is
// the carrier's whatever stands here.
type Accept struct {
	On        bool
	Addresses []netip.Prefix
	Hosts     []string // names whose addresses count too, looked up again and again
	Names     []string // of the peer's certificate, in small letters
}

// Probe is how we ask whether the carrier lives.
type Probe struct {
	Interval time.Duration // 0: never
	Timeout  time.Duration // of one OPTIONS
	Up, Down int           // that many answers, or silences, in a row make a target live or dead
}

// Format is how a carrier writes numbers.
type Format string

// The formats, for +442079460018 dialled from Britain.
const (
	E164            Format = "e164"              // +442079460018
	E164WithoutPlus Format = "e164-without-plus" // 442079460018
	National        Format = "national"          // 02079460018, and 0033140000000 for one abroad
	International   Format = "international"     // 00442079460018
)

// Source is where the called number of a call from the carrier stands.
type Source string

// The sources.
const (
	FromRequest   Source = "request-uri"
	FromTo        Source = "to"
	FromPCalled   Source = "p-called-party-id"
	FromDiversion Source = "diversion" // whom the call was for before it was diverted
)

// Identity is the header that carries the caller's number beside From.
type Identity string

// The identities.
const (
	IdentityFrom Identity = "from"
	IdentityPAI  Identity = "pai"  // P-Asserted-Identity, RFC 3325
	IdentityRPID Identity = "rpid" // Remote-Party-ID
)

// Defaults of a Config.
const (
	DefaultExpires = 10 * time.Minute
	DefaultRetry   = 30 * time.Second
	DefaultTimeout = 4 * time.Second
	DefaultUp      = 2
	DefaultDown    = 3
)

// WithDefaults fills what is not set.
func (c Config) WithDefaults() Config {
	if c.Domain == "" && len(c.Proxies) > 0 {
		c.Domain = hostPort(c.Proxies[0])
	}
	c.Registers = slices.Clone(c.Registers)
	for i := range c.Registers {
		r := &c.Registers[i]
		if r.Expires == 0 {
			r.Expires = DefaultExpires
		}
		if r.Retry == 0 {
			r.Retry = DefaultRetry
		}
	}
	c.Health = c.Health.withDefaults()
	if c.Probe.Timeout == 0 {
		c.Probe.Timeout = DefaultTimeout
	}
	if c.Probe.Up == 0 {
		c.Probe.Up = DefaultUp
	}
	if c.Probe.Down == 0 {
		c.Probe.Down = DefaultDown
	}
	if c.Numbers == "" {
		c.Numbers = E164
	}
	if c.Called == "" {
		c.Called = FromRequest
	}
	if c.Identity == "" {
		c.Identity = IdentityFrom
	}
	return c
}

// hostPort is a target's host and, where it was given, its port, as a URI has them.
func hostPort(t transport.Target) string {
	if a, err := netip.ParseAddr(t.Host); err == nil {
		if t.Port != 0 {
			return netip.AddrPortFrom(a, t.Port).String()
		}
		if a.Is6() {
			return "[" + t.Host + "]"
		}
		return t.Host
	}
	if t.Port != 0 {
		return t.Host + ":" + itoa(int(t.Port))
	}
	return t.Host
}
