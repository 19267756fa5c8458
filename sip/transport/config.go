package transport

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"runtime"
	"time"
)

// Proto is a SIP transport as it stands in a Via (RFC 3261 §18, RFC 7118 §5).
type Proto uint8

// The transports that we speak.
const (
	UDP Proto = iota + 1
	TCP
	TLS
	WS
	WSS
)

var protoNames = [...]string{UDP: "UDP", TCP: "TCP", TLS: "TLS", WS: "WS", WSS: "WSS"}

// String is the token of a Via: UDP, TCP, TLS, WS or WSS.
func (p Proto) String() string {
	if p == 0 || int(p) >= len(protoNames) {
		return "UNKNOWN"
	}
	return protoNames[p]
}

// Reliable tells whether the transport retransmits by itself (RFC 3261 §17).
func (p Proto) Reliable() bool { return p != UDP }

// Secure tells whether the hop is encrypted.
func (p Proto) Secure() bool { return p == TLS || p == WSS }

// Listen is one listening socket of the switch.
type Listen struct {
	Name        string   // the block's label, for logs and metrics
	Proto       Proto    // what is spoken on it
	Address     string   // host:port to bind; the host may be 0.0.0.0, [::] or empty
	Advertise   string   // host or host:port that peers outside see; empty: the address a packet came to
	Certificate string   // PEM file, TLS and WSS; read again when it changes
	Key         string   // PEM file, TLS and WSS
	Issued      bool     // TLS and WSS: Config.Issue gives the certificate; no files
	ClientCA    string   // PEM file: ask for a client certificate and verify it against these; empty: none asked
	Pages       bool     // WS and WSS: requests that are no WebSocket handshake go to Config.Pages
	Origins     []string // WS and WSS: Origins admitted; empty: only requests without Origin or from our own host; "*": any
}

// Limits bound what strangers may hold. The zero value of a field means its default.
type Limits struct {
	Connections          int           // all connections together; default 20000
	ConnectionsPerSource int           // from one IP address (IPv6: one /64); default 200
	ConnectionRate       int           // accepted in a second, above which they wait; default 400 for each core
	WriteQueue           int           // bytes waiting in one connection before it is closed; default 256 KiB
	FirstMessage         time.Duration // from accept to the first whole message; default 10 s
	Idle                 time.Duration // nothing received on a connection; default 10 min
	Write                time.Duration // one write; default 10 s
	Message              int           // bytes of one message; default 65535
	Dial                 time.Duration // opening a connection, TLS included; default 5 s
}

// withDefaults fills the zero fields.
func (l Limits) withDefaults() Limits {
	fill := func(field *int, def int) {
		if *field <= 0 {
			*field = def
		}
	}
	last := func(field *time.Duration, def time.Duration) {
		if *field <= 0 {
			*field = def
		}
	}
	fill(&l.Connections, 20000)
	fill(&l.ConnectionsPerSource, 200)
	fill(&l.ConnectionRate, 400*runtime.GOMAXPROCS(0))
	fill(&l.WriteQueue, 256<<10)
	fill(&l.Message, maxMessage)
	l.Message = min(l.Message, maxMessage)
	last(&l.FirstMessage, 10*time.Second)
	last(&l.Idle, 10*time.Minute)
	last(&l.Write, 10*time.Second)
	last(&l.Dial, 5*time.Second)
	return l
}

// Budget is how much strangers may say before anything of it is read: whole messages (and STUN requests) in
// a second. The zero Budget lets everything through.
type Budget struct {
	Rate  float64 // of one source (IPv6: one /64); 0: not limited
	Burst int     // of one source at once; default: two seconds of Rate
	Total float64 // of all strangers together; 0: not limited
}

// Config is what the transport room needs to start.
type Config struct {
	Listen []Listen
	Limits Limits
	// UDPReaders is the number of sockets (SO_REUSEPORT) of each UDP listener; 0: one for each core, at most 8.
	UDPReaders int
	// Strangers is the budget of every source that Known does not know.
	Strangers Budget
	// Known tells the sources whose messages cost no budget: registered phones and trunks. It is called for
	// each message while Strangers is set, from the goroutines that read, so it must be quick. nil: nobody.
	Known func(source netip.Addr) bool
	// Serves tells whether this node is the one that serves; nil: it always is. While it is not, datagrams are read and dropped,
	// nothing leaves, and what comes or would leave over a connection waits for a while: nobody sends it again. It is asked for
	// each message and must not block. A Layer takes it at its start.
	Serves func() bool
	// Admits tells whether what arrives is taken, where that differs from Serves; nil: it does not. It is asked as Serves is.
	Admits func() bool
	// Begins tells whether a request that begins something is taken: one outside of any dialog, but for CANCEL and ACK. Over a connection it
	// waits, and what comes behind it too. nil: where Admits says so. It is asked as Serves is.
	Begins func() bool
	// Away lets listeners bind addresses that this machine has not taken yet: those of a node that it stands by for.
	Away bool
	// Pages answers requests for web pages on the listeners that serve them, from the goroutine of the connection; nil: none
	// does. What it writes is kept until it is whole.
	Pages http.Handler
	// Issue gives the certificate of the listeners that have no files: that of an authority which signs while we run. It is
	// called in the handshake, and must answer at once; nil: there are none.
	Issue func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// TicketKeys are those by which TLS sessions are resumed, the one that seals first; nil: each listener makes its own. Nodes that
	// have the same resume each other's sessions. It is asked each minute, so keys may change by the clock.
	TicketKeys func(now time.Time) [][32]byte
	// RootCA is a PEM file with the authorities that servers we connect to over TLS are verified against;
	// empty: the system's.
	RootCA string
}
