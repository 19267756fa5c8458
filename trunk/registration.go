package trunk

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"tandem/sip"
	"tandem/sip/digest"
)

// Registration keeps one binding of ours alive at a carrier (RFC 3261 §10.2): a plain value, stepped by its owner.
// Tick says when a REGISTER must leave; the owner finds a flow, has Write write it, and gives back what became of it
// by Receive or Failed.
type Registration struct {
	cfg    Register
	cred   digest.Credential
	domain string
	line   string

	callID, tag string
	seq         uint32
	session     digest.Session
	header      [2]string // credentials of the next REGISTER
	answered    int       // challenges of this attempt

	asking   time.Time // when the REGISTER that waits for its answer is given up; zero: none waits
	next     time.Time // when the next one leaves
	expires  time.Time // when the binding ends; zero: there is none
	ask      time.Duration
	failures int  // in a row
	attempt  int  // targets tried in a row: the owner counts its hops by it
	leaving  bool // the binding is being removed
	state    Reg
	why      string

	routes []string // Service-Route (RFC 3608)
	uris   []string // P-Associated-URI (RFC 7315)
}

// Reg is how a registration stands.
type Reg uint8

// The states of a registration.
const (
	RegTrying Reg = iota
	Registered
	RegRefused // the carrier does not want these credentials or this account
	RegFailed  // no answer, or a failure of its own
)

var regNames = [...]string{"trying", "registered", "refused", "failed"}

// String is the state as it is shown.
func (r Reg) String() string { return regNames[r] }

// patience is how long a REGISTER waits for its final answer before the next target is tried: shorter than Timer F,
// since a carrier that needs longer does not take calls either.
const patience = 8 * time.Second

// backoffLimit is the longest wait between two attempts (RFC 5626 §4.5: max-time).
const backoffLimit = 30 * time.Minute

// maxChallenges bounds the answers of one attempt: a peer may call every nonce stale.
const maxChallenges = 2

// maxRoutes bounds what is kept of Service-Route and P-Associated-URI.
const maxRoutes = 8

// newRegistration begins at once.
func newRegistration(c *Config, reg Register, line string) Registration {
	cred := reg.Credential
	if cred.Username == "" {
		cred = c.Credential
	}
	return Registration{
		cfg: reg, cred: cred, domain: c.Domain, line: line,
		callID: sip.NewCallID(), tag: sip.NewTag(), ask: reg.Expires,
	}
}

// Deadline is when Tick has something to do next; zero: at once.
func (r *Registration) Deadline() time.Time {
	if !r.asking.IsZero() {
		return r.asking
	}
	return r.next
}

// Tick tells whether a REGISTER must leave now. The owner then calls Write, or Failed where there is no way.
func (r *Registration) Tick(now time.Time) bool {
	if !r.expires.IsZero() && !now.Before(r.expires) {
		r.lost(RegFailed, "it has expired")
	}
	if !r.asking.IsZero() {
		if now.Before(r.asking) {
			return false
		}
		r.Failed(now, "no answer")
		return false
	}
	if now.Before(r.next) {
		return false
	}
	r.asking = now.Add(patience)
	r.answered = 0
	r.authorize()
	return true
}

// authorize makes credentials from the last challenge, so that the carrier need not ask each time.
func (r *Registration) authorize() {
	r.header = [2]string{}
	if name, value, err := r.session.Authorize(r.cred, sip.REGISTER, r.uri(), nil); err == nil {
		r.header = [2]string{name, value}
	}
}

func (r *Registration) uri() string { return "sip:" + r.domain }

func (r *Registration) aor() string {
	return "<sip:" + sip.EscapeUser(r.cfg.User) + "@" + r.domain + ">"
}

// Write writes the REGISTER that Tick or Receive asked for. via and host (host:port with URI parameters, as in
// "192.0.2.1:5060;transport=tcp") are those of the flow.
func (r *Registration) Write(w *sip.Writer, via, host, product string) {
	r.seq++
	w.Request(sip.REGISTER, r.uri())
	w.Set(sip.HeaderVia, via)
	w.SetInt(sip.HeaderMaxForwards, 70)
	w.Set(sip.HeaderFrom, r.aor()+";tag="+r.tag)
	w.Set(sip.HeaderTo, r.aor())
	w.Set(sip.HeaderCallID, r.callID)
	w.Set(sip.HeaderCSeq, itoa(int(r.seq))+" REGISTER")
	w.Set(sip.HeaderContact, r.contact(host))
	seconds := int(r.ask / time.Second)
	if r.leaving {
		seconds = 0
	}
	w.SetInt(sip.HeaderExpires, seconds)
	w.Set(sip.HeaderSupported, "path, gruu")
	if r.cfg.Bulk { // RFC 6140 §5.2
		w.Set(sip.HeaderRequire, "gin")
		w.Set(sip.HeaderProxyRequire, "gin")
	}
	if r.header[0] != "" {
		w.Add(r.header[0], r.header[1])
	}
	w.Set(sip.HeaderUserAgent, product)
	w.Finish("", nil)
}

// contact is where the carrier shall send calls. The line is known to the carrier and us alone, so a call that names it
// is the carrier's. Of a block of numbers the carrier puts the called one before the host, and takes bnc away (RFC 6140
// §5.2, §5.3.1); the other parameters stay.
func (r *Registration) contact(host string) string {
	if r.cfg.Bulk {
		return "<sip:" + host + ";line=" + r.line + ";bnc>"
	}
	return "<sip:" + sip.EscapeUser(r.cfg.User) + "@" + host + ";line=" + r.line + ">"
}

// Outcome is what the answer to a REGISTER asks for.
type Outcome uint8

// The outcomes.
const (
	Settled Outcome = iota // nothing now
	Again                  // one more REGISTER at once, to the same target
	Next                   // the target failed: Tick goes on with the next one
)

// Receive takes an answer.
func (r *Registration) Receive(now time.Time, m *sip.Message) Outcome {
	seq, _, err := m.CSeq()
	if err != nil || seq != r.seq || r.asking.IsZero() || m.Status() < 200 {
		return Settled
	}
	switch status := m.Status(); {
	case status < 300:
		r.accepted(now, m)
	case status == 401 || status == 407:
		return r.challenged(now, m)
	case status == 423:
		return r.tooBrief(now, m)
	case status == 403 || status == 404 || status == 604 || status == 603:
		r.refused(now, m.Reason())
	default:
		r.Failed(now, itoa(status)+" "+m.Reason())
		if wait := retryAfter(m); wait > 0 {
			r.next = now.Add(min(wait, backoffLimit))
			r.attempt = 0
		}
		return Next
	}
	return Settled
}

// accepted takes a 2xx: how long the binding lives, and the way of calls.
func (r *Registration) accepted(now time.Time, m *sip.Message) {
	granted := r.granted(m)
	r.asking, r.failures, r.attempt, r.why = time.Time{}, 0, 0, ""
	r.state, r.expires = Registered, now.Add(granted)
	// At a spread time before it ends, so that trunks do not all come at once, with room for a second try.
	r.next = now.Add(granted*60/100 + rand.N(max(granted*25/100, 1)))
	r.routes, r.uris = nil, nil
	for v := range m.Elements(sip.HeaderServiceRoute) {
		if _, err := sip.ParseNameAddr(v); err == nil && len(r.routes) < maxRoutes {
			r.routes = append(r.routes, strings.Join(strings.Fields(v), " "))
		}
	}
	if v, ok := m.Named("P-Associated-URI"); ok {
		for e := range sip.List(v) {
			if a, err := sip.ParseNameAddr(e); err == nil && len(r.uris) < maxRoutes {
				r.uris = append(r.uris, a.URI)
			}
		}
	}
}

// granted is what the 2xx says of our own contact, or of all (RFC 3261 §10.2.4).
func (r *Registration) granted(m *sip.Message) time.Duration {
	granted := r.ask
	if n, ok := m.Seconds(sip.HeaderExpires); ok {
		granted = time.Duration(n) * time.Second
	}
	for e := range m.Elements(sip.HeaderContact) {
		a, err := sip.ParseNameAddr(e)
		if err != nil {
			continue
		}
		u, err := sip.ParseURI(a.URI)
		if err != nil {
			continue
		}
		line, _ := u.Params.Get("line")
		if v, ok := a.Params.Get("expires"); ok && (line == r.line || r.cfg.Bulk && u.Params.Has("bnc")) {
			if n, ok := sip.ParseSeconds(v); ok {
				granted = time.Duration(n) * time.Second
			}
		}
	}
	return min(max(granted, 2*time.Second), 24*time.Hour)
}

func (r *Registration) challenged(now time.Time, m *sip.Message) Outcome {
	if r.answered++; r.cred.Username == "" || r.answered > maxChallenges {
		r.refused(now, "credentials refused")
		return Settled
	}
	name, value, err := r.session.Answer(m, r.cred, sip.REGISTER, r.uri(), nil)
	if err != nil {
		r.refused(now, explain(err, m, r.cred.Realm))
		return Settled
	}
	r.header, r.asking = [2]string{name, value}, now.Add(patience)
	return Again
}

// explain says what an operator can do about a challenge that was not answered.
func explain(err error, m *sip.Message, realm string) string {
	if errors.Is(err, digest.ErrRealm) {
		return "the carrier asks for the realm " + askedRealm(m) + ", not " + sip.Quote(realm) + ": set `realm` if that is right"
	}
	return err.Error()
}

// askedRealm is the first realm of a challenge, quoted, for a message.
func askedRealm(m *sip.Message) string {
	for _, id := range []sip.HeaderID{sip.HeaderWWWAuthenticate, sip.HeaderProxyAuthenticate} {
		v := m.Header(id)
		if i := strings.Index(strings.ToLower(v), "realm="); i >= 0 {
			v, _, _ = strings.Cut(v[i+len("realm="):], ",")
			return sip.Quote(sip.Unquote(sip.Trim(v)))
		}
	}
	return "of another"
}

// tooBrief takes a 423: the carrier names the shortest time (RFC 3261 §10.2.8).
func (r *Registration) tooBrief(now time.Time, m *sip.Message) Outcome {
	least, ok := m.Seconds(sip.HeaderMinExpires)
	wanted := time.Duration(least) * time.Second
	if !ok || wanted <= r.ask || wanted > 24*time.Hour {
		r.Failed(now, "423 "+m.Reason())
		return Next
	}
	r.ask, r.asking = wanted, now.Add(patience)
	r.authorize() // a count is used once
	return Again
}

// refused is the end of an attempt that no other target would mend: the account or its password is wrong. Asking often
// locks accounts, so the wait is the longest at once.
func (r *Registration) refused(now time.Time, why string) {
	r.asking, r.session = time.Time{}, digest.Session{}
	r.lost(RegRefused, why)
	r.failures++
	r.next = now.Add(max(r.backoff(false), 5*time.Minute))
	r.attempt = 0
}

// Failed notes that the target at hand did not answer, or could not be reached. The owner tells by Exhausted when that
// was the last one.
func (r *Registration) Failed(now time.Time, why string) {
	r.asking = time.Time{}
	r.attempt++
	r.next = now
	r.why = why
	if r.expires.IsZero() {
		r.state = RegFailed
	}
}

// Exhausted notes that no target is left: the next round begins after the backoff of RFC 5626 §4.5.
// other: another registration at the carrier stands.
func (r *Registration) Exhausted(now time.Time, why string, other bool) {
	r.asking, r.attempt = time.Time{}, 0
	r.failures++
	r.next = now.Add(r.backoff(other))
	if why != "" {
		r.why = why
	}
	if r.expires.IsZero() {
		r.state = RegFailed
	}
}

// backoff is between half and all of the base doubled for each failure in a row, and thrice that where another flow to
// the carrier stands (RFC 5626 §4.5: 30 and 90 s).
func (r *Registration) backoff(other bool) time.Duration {
	upper := r.cfg.Retry
	if other {
		upper *= 3
	}
	for i := 0; i < r.failures && upper < backoffLimit; i++ {
		upper *= 2
	}
	upper = min(upper, backoffLimit)
	return upper/2 + rand.N(upper/2+1)
}

func (r *Registration) lost(s Reg, why string) {
	r.expires, r.routes, r.uris = time.Time{}, nil, nil
	r.state, r.why = s, why
}

// Leave makes the next REGISTER one that removes the binding; false: there is none.
func (r *Registration) Leave(now time.Time) bool {
	if r.state != Registered {
		return false
	}
	r.leaving, r.asking, r.next = true, time.Time{}, now
	return true
}

// retryAfter is what a response's Retry-After asks for; 0: nothing.
func retryAfter(m *sip.Message) time.Duration {
	v, _, _ := strings.Cut(m.Header(sip.HeaderRetryAfter), ";")
	v, _, _ = strings.Cut(v, "(")
	n, _ := sip.ParseSeconds(sip.Trim(v))
	return time.Duration(n) * time.Second
}
