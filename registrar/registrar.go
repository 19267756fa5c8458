package registrar

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/transport"
)

// Registrar answers REGISTER. It may be used from any goroutine.
type Registrar struct {
	inForce    atomic.Pointer[policy]
	store      *Store
	authority  *digest.Authority
	accounts   Accounts
	credential func(string) (digest.Credential, bool)
	log        *slog.Logger
	tagKey     [32]byte
	count      counters
}

// counters are what Stats reads.
type counters struct {
	received, accepted, challenged, slowed, refused, repeated, turnedAway, pings atomic.Uint64
	verdicts                                                                     [digest.Slowed + 1]atomic.Uint64
}

// Stats are counts since the start, for metrics.
type Stats struct {
	Received   uint64 // REGISTER requests
	Accepted   uint64 // answered 200, queries and retransmissions among them
	Challenged uint64 // answered 401
	Slowed     uint64 // answered 403 or dropped because their source failed too often
	Refused    uint64 // answered otherwise
	Repeated   uint64 // retransmissions among the accepted
	TurnedAway uint64 // those of the refused that were asked to come back later
	Pings      uint64 // keepalives sent
	Verdicts   map[string]uint64
}

func newRegistrar(cfg Config, store *Store, authority *digest.Authority, accounts Accounts, log *slog.Logger) *Registrar {
	r := &Registrar{store: store, authority: authority, accounts: accounts, credential: accounts.Credential, log: log}
	r.Update(cfg)
	if len(cfg.Key) == 0 {
		_, _ = rand.Read(r.tagKey[:]) // never fails: it ends the process instead
	} else {
		r.tagKey = sha256.Sum256(append([]byte("tandem to-tag 1\x00"), cfg.Key...))
	}
	return r
}

// policy is the part of a Config that a reload may change, with the header lines that it makes.
type policy struct {
	Config
	minExpires string // header line of a 423
	// header lines of an outbound 200 over UDP and over connections; empty: none
	flowTimer, connTimer string
}

// policy is the one in force.
func (r *Registrar) policy() *policy { return r.inForce.Load() }

// Update puts another Config in force for the requests from now on; bindings stay as they are. The Key of To-tags
// and the interval of keepalives stay those of the start.
func (r *Registrar) Update(cfg Config) {
	p := &policy{Config: cfg.withDefaults()}
	p.minExpires = "Min-Expires: " + strconv.Itoa(seconds(p.MinExpires))
	switch {
	case p.FlowTimer > 0:
		p.flowTimer = flowTimer(p.FlowTimer)
		p.connTimer = p.flowTimer
	case p.FlowTimer == 0:
		p.flowTimer, p.connTimer = flowTimer(120*time.Second), flowTimer(20*time.Second)
	}
	r.inForce.Store(p)
}

func flowTimer(d time.Duration) string { return "Flow-Timer: " + strconv.Itoa(seconds(d)) + "\r\n" }

// Store is where the bindings are.
func (r *Registrar) Store() *Store { return r.store }

// Closed tells that a connection is gone.
func (r *Registrar) Closed(f transport.Flow) { r.store.Closed(f) }

// Stats reads the counters.
func (r *Registrar) Stats() Stats {
	c := &r.count
	s := Stats{
		Received: c.received.Load(), Accepted: c.accepted.Load(), Challenged: c.challenged.Load(), Slowed: c.slowed.Load(),
		Refused: c.refused.Load(), Repeated: c.repeated.Load(), TurnedAway: c.turnedAway.Load(), Pings: c.pings.Load(), Verdicts: map[string]uint64{},
	}
	for v := range c.verdicts {
		s.Verdicts[digest.Verdict(v).String()] = c.verdicts[v].Load()
	}
	return s
}

// Receive answers a REGISTER; nil: no answer must be sent.
func (r *Registrar) Receive(now time.Time, f transport.Flow, m *sip.Message) []byte {
	return r.AppendReceive(nil, now, f, m)
}

// AppendReceive appends the answer to a REGISTER to dst, which costs no allocation where dst has room: 1 KB and a bit
// for each contact. It does the steps of RFC 3261 §10.3 in their order. With nothing appended nothing must be sent.
// Validate has passed the message.
func (r *Registrar) AppendReceive(dst []byte, now time.Time, f transport.Flow, m *sip.Message) []byte {
	r.count.received.Add(1)
	aor, refused := r.target(f, m)
	if refused != nil {
		return r.refuse(dst, m, refused)
	}
	res := r.authority.Verify(now, m, r.credential)
	r.count.verdicts[res.Verdict].Add(1)
	switch res.Verdict {
	case digest.OK:
	case digest.Malformed:
		return r.refuse(dst, m, sip.Errorf(400, "%s", res.Reason))
	case digest.Expired:
		return r.refuse(dst, m, sip.Errorf(403, "%s", res.Reason))
	case digest.Slowed:
		return r.slow(dst, m, res.Wait)
	default:
		return r.challenge(dst, now, m, res)
	}
	if !r.accounts.MayRegister(res.Username, aor) {
		r.log.Warn("register for another user's number", "user", res.Username, "aor", aor, "peer", m.Source)
		return r.refuse(dst, m, sip.Errorf(403, "Not your address of record"))
	}
	return r.register(dst, now, f, m, aor, res.Until, res.Repeated)
}

// Register answers a REGISTER whose sender has proven to be user by other means, such as a client certificate.
func (r *Registrar) Register(now time.Time, f transport.Flow, m *sip.Message, user string) []byte {
	return r.AppendRegister(nil, now, f, m, user)
}

// AppendRegister appends what Register gives.
func (r *Registrar) AppendRegister(dst []byte, now time.Time, f transport.Flow, m *sip.Message, user string) []byte {
	r.count.received.Add(1)
	aor, refused := r.target(f, m)
	if refused == nil && !r.accounts.MayRegister(user, aor) {
		refused = sip.Errorf(403, "Not your address of record")
	}
	if refused != nil {
		return r.refuse(dst, m, refused)
	}
	return r.register(dst, now, f, m, aor, time.Time{}, false)
}

// target reads whose bindings a REGISTER is about (RFC 3261 §10.3 steps 1, 2 and 5). None of it depends on which numbers
// exist.
func (r *Registrar) target(f transport.Flow, m *sip.Message) (aor string, refused *sip.StatusError) {
	to, err := m.Address(sip.HeaderTo)
	if err != nil {
		return "", sip.Errorf(400, "Malformed To")
	}
	who, err := sip.ParseURI(to.URI)
	if err != nil || who.Scheme == "tel" || who.User == "" {
		return "", sip.Errorf(400, "To is not an address of record")
	}
	if len(m.CallID()) == 0 || len(m.CallID()) > 256 {
		return "", sip.Errorf(400, "Unusable Call-ID")
	}
	if _, method, err := m.CSeq(); err != nil || method != sip.REGISTER {
		return "", sip.Errorf(400, "Malformed CSeq")
	}
	domain, err := sip.ParseURI(m.RequestURI())
	if err != nil {
		return "", sip.Errorf(400, "Malformed Request-URI")
	}
	if !r.local(&domain, f) || !r.local(&who, f) {
		return "", sip.Errorf(404, "Not our domain")
	}
	if refused = unsupported(m); refused != nil {
		return "", refused
	}
	aor, ok := sip.Unescape(who.User)
	if !ok {
		return "", sip.Errorf(400, "To is not an address of record")
	}
	return aor, nil
}

// unsupported refuses option tags in Require that a registrar of ours does not know (RFC 3261 §8.2.2.3).
func unsupported(m *sip.Message) *sip.StatusError {
	if !m.Has(sip.HeaderRequire) {
		return nil
	}
	var tags []byte
	for tag := range m.Elements(sip.HeaderRequire) {
		if sip.EqualFold(tag, "path") || sip.EqualFold(tag, "outbound") || !sip.IsToken(tag) {
			continue
		}
		if len(tags) > 0 {
			tags = append(tags, ", "...)
		}
		tags = append(tags, tag...)
	}
	if len(tags) == 0 {
		return nil
	}
	e := sip.Errorf(420, "")
	e.Header = "Unsupported: " + string(tags)
	return e
}

// local tells whether a URI's host is ours.
func (r *Registrar) local(u *sip.URI, f transport.Flow) bool {
	for _, d := range r.policy().Domains {
		if sip.EqualFold(d, u.Host) {
			return true
		}
	}
	if a, ok := u.Addr(); ok && a.Unmap() == f.Local().Addr().Unmap() {
		return true
	}
	advertised, err := sip.ParseURI("sip:" + f.SentBy())
	return err == nil && sip.EqualFold(advertised.Host, u.Host)
}

// trustedPath tells whether Path is taken from a source.
func (r *Registrar) trustedPath(source netip.Addr) bool {
	source = source.Unmap()
	return slices.ContainsFunc(r.policy().TrustedPath, func(p netip.Prefix) bool { return p.Contains(source) })
}

// tag is the To-tag of every answer to a request and its retransmissions: 64 bits of a keyed hash (RFC 3261
// §19.3 asks for 32 of randomness).
func (r *Registrar) tag(dst []byte, m *sip.Message) []byte {
	var room [512]byte
	in := append(room[:0], r.tagKey[:]...)
	in = append(append(in, m.CallID()...), 0)
	in = append(append(in, m.FromTag()...), 0)
	if via, err := m.TopVia(); err == nil {
		in = append(append(in, via.Branch()...), 0)
	}
	sum := sha256.Sum256(append(in, m.Header(sip.HeaderCSeq)...))
	return hex.AppendEncode(dst, sum[:8])
}

// seconds rounds up: what has half a second to live is not gone yet.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
