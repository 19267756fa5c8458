package registrar

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/transport"
)

const realm = "example.com"

var (
	start    = time.Now()
	ourAddr  = netip.MustParseAddrPort("192.0.2.1:5060")
	homeAddr = netip.MustParseAddrPort("192.0.2.100:5060")
	edgeAddr = netip.MustParseAddrPort("203.0.113.5:5060")
	silent   = slog.New(slog.NewTextHandler(io.Discard, nil))
)

// link is a transport's link that keeps what is sent.
type link struct {
	proto  transport.Proto
	id     uint64
	closed atomic.Bool
	mu     sync.Mutex
	sent   []string
}

var linkIDs atomic.Uint64

func newLink(p transport.Proto) *link { return &link{proto: p, id: linkIDs.Add(1)} }

func (l *link) Proto() transport.Proto       { return l.proto }
func (l *link) ID() uint64                   { return l.id }
func (l *link) Listener() string             { return "test" }
func (l *link) SentBy(netip.AddrPort) string { return "pbx.example.net:5060" }
func (l *link) Alive() bool                  { return !l.closed.Load() }
func (l *link) Names() []string              { return nil }
func (l *link) Send(_, remote netip.AddrPort, raw []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, remote.String()+" "+string(raw))
	return nil
}

func (l *link) count() int { return len(l.all()) }

func (l *link) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent[:len(l.sent):len(l.sent)]
}

func (l *link) flow(remote netip.AddrPort) transport.Flow {
	return transport.NewFlow(l, ourAddr, remote)
}

func udpFlow(remote netip.AddrPort) transport.Flow { return newLink(transport.UDP).flow(remote) }

// office is who may register in these tests: 1001 and 1002 with their number as user name and password, admin for any
// number of the house, and carol for alice's.
type office struct{}

func (office) Credential(user string) (digest.Credential, bool) {
	switch user {
	case "1001", "1002", "user", "watson", "null-\x00-null":
		return digest.NewCredential(user, realm, "secret-"+user), true
	}
	return digest.Credential{}, false
}

func (office) MayRegister(user, aor string) bool { return user == aor }

// cached is an office whose hashes are made once.
type cached struct{ creds map[string]digest.Credential }

func (c cached) Credential(user string) (digest.Credential, bool) {
	v, ok := c.creds[user]
	return v, ok
}
func (c cached) MayRegister(user, aor string) bool { return user == aor }

func newTestRegistrar(cfg Config) *Registrar {
	if cfg.Domains == nil {
		cfg.Domains = []string{"example.com"}
	}
	return New(cfg, NewStore(nil), digest.New(digest.Config{Realm: realm}), office{}, silent)
}

// message makes a REGISTER for 1001 out of header lines; those that begin with a name of the base replace it, and "R-URI:" gives
// the Request-URI.
func message(t testing.TB, source netip.AddrPort, lines ...string) *sip.Message {
	t.Helper()
	uri, names := "sip:example.com", []string{"Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards"}
	base := map[string]string{
		"Via":  "SIP/2.0/UDP " + source.String() + ";branch=z9hG4bKb;rport",
		"From": "<sip:1001@example.com>;tag=f", "To": "<sip:1001@example.com>", "Call-ID": "c1", "CSeq": "1 REGISTER", "Max-Forwards": "70",
	}
	var extra []string
	for _, l := range lines {
		n, v, _ := strings.Cut(l, ": ")
		switch _, known := base[n]; {
		case n == "R-URI":
			uri = v
		case known:
			base[n] = v
		default:
			extra = append(extra, l)
		}
	}
	text := "REGISTER " + uri + " SIP/2.0\r\n"
	for _, n := range names {
		text += n + ": " + base[n] + "\r\n"
	}
	return parse(t, source, text+strings.Join(append(extra, ""), "\r\n")+"Content-Length: 0\r\n\r\n")
}

func parse(t testing.TB, source netip.AddrPort, text string) *sip.Message {
	t.Helper()
	m := new(sip.Message)
	if err := m.Parse(text); err != nil {
		t.Fatal(err)
	}
	m.Source = source
	return m
}

// answered reads an answer.
func answered(t testing.TB, raw []byte) *sip.Message {
	t.Helper()
	m := new(sip.Message)
	if err := m.Parse(string(raw)); err != nil {
		t.Fatalf("%v: %q", err, raw)
	}
	return m
}

func contactsOf(m *sip.Message) string {
	var all []string
	for c := range m.Elements(sip.HeaderContact) {
		all = append(all, c)
	}
	return strings.Join(all, " ")
}

// phone registers with digest, as a device does.
type phone struct {
	t        testing.TB
	r        *Registrar
	flow     transport.Flow
	user     string
	password string
	callID   string
	cseq     int
	sess     digest.Session
	last     *sip.Message // request
}

func newPhone(t testing.TB, r *Registrar, user string, f transport.Flow) *phone {
	return &phone{t: t, r: r, flow: f, user: user, password: "secret-" + user, callID: sip.NewCallID()}
}

// register sends a REGISTER, answers the challenge, and gives the final answer.
func (p *phone) register(now time.Time, lines ...string) *sip.Message {
	p.t.Helper()
	cred := digest.NewCredential(p.user, realm, p.password)
	to := "To: <sip:" + p.user + "@example.com>"
	auth := ""
	if n, v, err := p.sess.Authorize(cred, sip.REGISTER, "sip:example.com", nil); err == nil {
		auth = n + ": " + v
	}
	for range 3 {
		p.cseq++
		all := append([]string{to, "Call-ID: " + p.callID, fmt.Sprintf("CSeq: %d REGISTER", p.cseq), fmt.Sprintf("X: %d", p.cseq)}, lines...)
		if auth != "" {
			all = append(all, auth)
		}
		p.last = message(p.t, p.flow.Remote(), all...)
		resp := answered(p.t, p.r.Receive(now, p.flow, p.last))
		if resp.Status() != 401 {
			return resp
		}
		n, v, err := p.sess.Answer(resp, cred, sip.REGISTER, "sip:example.com", nil)
		if err != nil {
			return resp
		}
		auth = n + ": " + v
	}
	p.t.Fatal("challenged for ever")
	return nil
}
