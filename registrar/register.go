package registrar

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// change is what a REGISTER of a proven user asks for, read and checked as far as it can be without the bindings. Its
// contacts travel beside it, so that their array can stay on the stack.
type change struct {
	aor, callID string
	cseq        uint32
	star        bool
	path        []string
	outbound    bool      // one of the contacts is a flow of an instance (RFC 5626)
	direct      bool      // nobody stands between the phone and us
	until       time.Time // when the credentials expire that it was proven by; zero: never
	told        bool      // the Journal must be told: something has changed besides the time
	repeated    bool      // a retransmission: nothing is changed
	crowded     bool      // who has no binding over this flow is turned away
	flow        transport.Flow
	source      netip.AddrPort
	agent       string
}

// register does steps 6 to 8 of RFC 3261 §10.3: all contacts are changed, or none. No binding outlives the credentials
// that it was made with: until, where it is not zero.
func (r *Registrar) register(dst []byte, now time.Time, f transport.Flow, m *sip.Message, aor string, until time.Time, repeated bool) []byte {
	var room [4]contact
	c := change{aor: aor, callID: m.CallID(), repeated: repeated, flow: f, source: m.Source, direct: true}
	c.cseq, _, _ = m.CSeq()
	c.agent = agentOf(m)
	contacts, star, refused := r.contacts(room[:0], m)
	if c.until = until; !until.IsZero() {
		for i := range contacts {
			contacts[i].expires = min(contacts[i].expires, until.Sub(now))
		}
	}
	if c.star = star; refused == nil {
		refused = r.read(&c, contacts, m)
	}
	if away := r.policy().TurnsAway; away != nil {
		c.crowded = away(aor)
	}
	if refused != nil {
		return r.refuse(dst, m, refused)
	}
	start := len(dst)
	dst = r.begin200(dst, now, m, &c)
	sh := r.store.shard(aor)
	sh.mu.Lock()
	refused = r.store.apply(sh, now, &c, contacts, r.policy().MaxContacts)
	if refused == nil {
		dst = appendContacts(dst, sh.aors[aor], now)
	}
	sh.mu.Unlock()
	if refused != nil {
		if refused.Code == 503 {
			r.count.turnedAway.Add(1)
		}
		return r.refuse(dst[:start], m, refused)
	}
	r.count.accepted.Add(1)
	if c.repeated {
		r.count.repeated.Add(1)
	}
	if f.Proto().Reliable() && !f.Alive() { // it closed meanwhile, perhaps before the binding was there to be removed
		r.store.Closed(f)
	}
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}

// agentOf is the User-Agent, cut.
func agentOf(m *sip.Message) string {
	agent := m.Header(sip.HeaderUserAgent)
	return agent[:min(len(agent), maxAgentText)]
}

// read takes the way that a request came: its Path, and whether its flow is the phone's.
func (r *Registrar) read(c *change, contacts []contact, m *sip.Message) (refused *sip.StatusError) {
	vias := 0
	for range m.Elements(sip.HeaderVia) {
		vias++
	}
	c.direct = vias <= 1
	if m.Has(sip.HeaderPath) && r.trustedPath(m.Source.Addr()) {
		if c.path, refused = pathOf(m); refused != nil {
			return refused
		}
	}
	for i := range contacts {
		c.outbound = c.outbound || contacts[i].regID != 0
	}
	if c.outbound && !c.direct && !firstHopOutbound(c.path) {
		return sip.Errorf(439, "First Hop Lacks Outbound Support") // RFC 5626 §6, §11.6
	}
	return nil
}

// pathOf reads the Path values (RFC 3327 §4): each a name-addr with lr. They are copied: a message is not kept.
func pathOf(m *sip.Message) ([]string, *sip.StatusError) {
	var path []string
	total := 0
	for text := range m.Elements(sip.HeaderPath) {
		a, err := sip.ParseNameAddr(text)
		u, err2 := sip.ParseURI(a.URI)
		total += len(text)
		if err != nil || err2 != nil || u.Scheme == "tel" || !u.Params.Has("lr") || total > maxPathText || len(path) == maxPaths {
			return nil, sip.Errorf(400, "Unusable Path")
		}
		path = append(path, string(oneLine(nil, text)))
	}
	return path, nil
}

// firstHopOutbound tells whether the proxy next to the phone, whose Path is the last, keeps flows (RFC 5626 §5.1).
func firstHopOutbound(path []string) bool {
	if len(path) == 0 {
		return false
	}
	a, _ := sip.ParseNameAddr(path[len(path)-1])
	u, err := sip.ParseURI(a.URI)
	return err == nil && u.Params.Has("ob")
}

// oneLine copies text; line ends of folding become blanks.
func oneLine(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' {
			dst = append(dst, ' ')
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// apply changes the bindings of one AOR as asked, all or none. The caller holds the shard.
func (s *Store) apply(sh *shard, now time.Time, c *change, contacts []contact, maxContacts int) *sip.StatusError {
	list := s.purge(sh, c.aor, now)
	if len(contacts) == 0 && !c.star || c.repeated {
		return nil // a query (RFC 3261 §10.2.3), or a retransmission
	}
	// The Call-ID and CSeq of a binding seen again are a retransmission whose nonce has aged meanwhile: it is answered
	// with what there is. A phone counts CSeq up for everything else (RFC 3261 §10.2).
	for i := range list {
		if list[i].CallID == c.callID && list[i].CSeq == c.cseq {
			c.repeated = true
			return nil
		}
	}
	if refused := c.check(list, contacts, maxContacts); refused != nil {
		return refused
	}
	if c.star {
		s.removeAll(sh, c.aor, list)
		return nil
	}
	for i := range contacts {
		list = s.applyOne(sh, now, c, &contacts[i], list)
	}
	if c.told {
		s.keep(sh, c.aor, list)
	}
	return nil
}

// turnedAwayFor is how many seconds a phone that is turned away shall wait at least, see sip.RetryAfter.
const turnedAwayFor = 5

// check refuses the whole request when one of its contacts is older than its binding (step 7: 500), when there would be
// too many, or when its phone shall come back later.
func (c *change) check(list []Binding, contacts []contact, maxContacts int) *sip.StatusError {
	late := func(b *Binding) bool { return b.CallID == c.callID && b.CSeq > c.cseq }
	count := len(list)
	if c.star {
		for i := range list {
			if late(&list[i]) {
				return sip.Errorf(500, "CSeq out of order")
			}
		}
		return nil
	}
	for i := range contacts {
		at := contacts[i].find(list)
		switch {
		case at >= 0 && late(&list[at]):
			return sip.Errorf(500, "CSeq out of order")
		case c.crowded && contacts[i].expires > 0 && (at < 0 || list[at].Flow != c.flow):
			return &sip.StatusError{Code: 503, Header: sip.RetryAfter(turnedAwayFor)}
		case at >= 0 && contacts[i].expires == 0:
			count--
		case at < 0 && contacts[i].expires > 0:
			count++
		}
	}
	if count > maxContacts && count > len(list) {
		return sip.Errorf(403, "Too many contacts")
	}
	return nil
}

func (c *contact) find(list []Binding) int {
	for i := range list {
		if c.matches(&list[i]) {
			return i
		}
	}
	return -1
}

func (s *Store) removeAll(sh *shard, aor string, list []Binding) {
	if len(list) == 0 {
		return
	}
	flows := make([]transport.Flow, len(list))
	for i := range list {
		flows[i] = list[i].Flow
	}
	s.keep(sh, aor, nil)
	for _, f := range flows {
		sh.leave(f, aor, nil)
	}
}

// applyOne makes, refreshes or removes one binding, and gives the new list.
func (s *Store) applyOne(sh *shard, now time.Time, c *change, x *contact, list []Binding) []Binding {
	at := x.find(list)
	switch {
	case at < 0 && x.expires == 0:
		return list
	case at < 0:
		aor := strings.Clone(c.aor) // it must not pin the message
		if len(list) > 0 {
			aor = list[0].AOR
		}
		list = append(list, Binding{AOR: aor})
		at = len(list) - 1
	case x.expires == 0:
		c.told = true
		flow := list[at].Flow
		copy(list[at:], list[at+1:])
		list[len(list)-1] = Binding{}
		list = list[:len(list)-1]
		sh.leave(flow, c.aor, list)
		return list
	}
	b := &list[at]
	old := b.Flow
	c.fill(b, x, now)
	if sh.flows == nil {
		sh.aors, sh.flows = map[string][]Binding{}, map[uint64][]string{}
	}
	if old != b.Flow {
		sh.join(b)
		sh.leave(old, c.aor, list)
	}
	return list
}

// fill writes a contact into its binding. A refresh that says the same as before keeps the texts that are there.
func (c *change) fill(b *Binding, x *contact, now time.Time) {
	var room [512]byte
	params := x.appendParams(room[:0])
	same := b.Contact == x.addr.URI && string(b.Params) == string(params) && b.CallID == c.callID &&
		b.UserAgent == c.agent && b.Instance == x.instance
	if !same {
		b.write(x, params, c.callID, c.agent)
	}
	if !slices.Equal(b.Path, c.path) {
		b.Path, same = c.path, false
	}
	same = same && b.Flow == c.flow && b.Source == c.source && b.RegID == x.regID && b.Q == x.q
	b.Flow, b.Source = c.flow, c.source
	b.CSeq, b.RegID, b.Q = c.cseq, x.regID, x.q
	b.NAT = len(c.path) == 0 && behindNAT(&x.uri, c.flow, c.source)
	b.Registered, b.Expires = now, now.Add(x.expires)
	if kept := c.keeps(now, x.expires); !same || b.Expires.After(b.kept) || b.kept.After(kept) {
		b.kept, c.told = kept, true
	}
}

// A binding is kept for longer than it was granted, so that a phone that says the same again and again costs a write each few times
// only. Who goes on after a fault believes in a phone that has gone for so much longer at most.
const (
	slackFactor = 3 // times what was granted,
	slackMost   = time.Hour
)

// keeps is until when the Journal shall have a binding. Neither does it outlive the credentials there.
func (c *change) keeps(now time.Time, granted time.Duration) time.Time {
	kept := now.Add(granted + min(slackFactor*granted, slackMost))
	if !c.until.IsZero() && c.until.Before(kept) {
		return c.until
	}
	return kept
}

// write copies the texts of a binding into one string, so that it costs one allocation and pins no message.
func (b *Binding) write(x *contact, params []byte, callID, agent string) {
	var room [768]byte
	buf := append(append(append(append(append(room[:0], x.addr.URI...), params...), callID...), x.instance...), agent...)
	text := string(buf)
	cut := func(n int) string {
		s := text[:n]
		text = text[n:]
		return s
	}
	b.Contact = cut(len(x.addr.URI))
	b.Params = sip.Params(cut(len(params)))
	b.CallID = cut(len(callID))
	b.Instance = cut(len(x.instance))
	b.UserAgent = cut(len(agent))
}
