package call

import (
	"hash/maphash"
	"strconv"
	"strings"
	"time"

	"tandem/dialplan"
	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// allow is what we answer in Allow.
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REGISTER, MESSAGE"

// supported are the option tags that a request for a call may require of us.
var supported = []string{"timer"}

// preliminary checks what can be said of a request outside a dialog without a transaction: extensions demanded,
// and whether it carries credentials at all.
func (s *Switchboard) preliminary(f transport.Flow, m *sip.Message) *sip.StatusError {
	if fail := sip.CheckRequire(m, supported...); fail != nil {
		return fail
	}
	if m.Method() == sip.INVITE {
		if fail := sip.CheckAccept(m); fail != nil {
			return fail
		}
	}
	if m.Method() == sip.ACK {
		return nil
	}
	if !m.Has(sip.HeaderAuthorization) {
		return s.challenge(m, false)
	}
	return nil
}

// challenge is a 401 with one WWW-Authenticate for each algorithm (RFC 8760 §2.4).
func (s *Switchboard) challenge(m *sip.Message, stale bool) *sip.StatusError {
	header := ""
	for i, c := range s.authority.Challenge(time.Now(), m, stale) {
		if i > 0 {
			header += "\r\n"
		}
		header += "WWW-Authenticate: " + c
	}
	return &sip.StatusError{Code: 401, Header: header}
}

// admit decides who speaks and whether they may: the extension that the request is authenticated as, and that
// its From must name.
func (s *Switchboard) admit(f transport.Flow, m *sip.Message) (user string, fail *sip.StatusError) {
	settings := s.settings.Load()
	result := s.authority.Verify(time.Now(), m, func(username string) (digest.Credential, bool) {
		c, ok := settings.Credentials[username]
		return c, ok
	})
	switch result.Verdict {
	case digest.OK:
		return result.Username, s.mayCall(settings, f, m, result.Username)
	case digest.Malformed:
		return "", &sip.StatusError{Code: 400, Reason: result.Reason}
	case digest.Slowed:
		s.stats.Throttled.Add(1)
		return "", &sip.StatusError{Code: 403, Header: "Retry-After: " + strconv.Itoa(1+int(result.Wait/time.Second))}
	case digest.Wrong:
		s.stats.AuthFailures.Add(1)
		s.log.Info("credentials refused", "method", m.Method(), "user", result.Username, "peer", f.Remote())
		return "", s.challenge(m, false)
	}
	return "", s.challenge(m, result.Verdict == digest.Stale)
}

// mayCall checks the AOR that the caller speaks for, the domain called, and the hops left.
func (s *Switchboard) mayCall(settings *Settings, f transport.Flow, m *sip.Message, user string) *sip.StatusError {
	from, err := m.Address(sip.HeaderFrom)
	if err != nil {
		return sip.Errorf(400, "Malformed From")
	}
	if u, err := sip.ParseURI(from.URI); err != nil || u.Number() != user || u.Scheme != "tel" && !s.local(settings, f, u) {
		return sip.Errorf(403, "From is not yours")
	}
	target, err := sip.ParseURI(m.RequestURI())
	if err != nil {
		return sip.Errorf(416, "")
	}
	if target.Scheme != "tel" && !s.local(settings, f, target) {
		return sip.Errorf(403, "Domain not served here")
	}
	for route := range m.Elements(sip.HeaderRoute) {
		a, err := sip.ParseNameAddr(route)
		if err != nil {
			return sip.Errorf(400, "Malformed Route")
		}
		if u, err := sip.ParseURI(a.URI); err != nil || !s.local(settings, f, u) {
			return sip.Errorf(403, "Route leads elsewhere")
		}
	}
	if n, ok := m.MaxForwards(); ok && n == 0 {
		return &sip.StatusError{Code: 483}
	}
	return nil
}

// factsOf is what the plan is asked with.
func factsOf(m *sip.Message, user string, now time.Time) dialplan.Facts {
	f := dialplan.Facts{From: user, Now: now}
	if u, err := sip.ParseURI(m.RequestURI()); err == nil {
		f.To = u.Number()
		f.Domain = u.Host
	}
	return f
}

// maxCalls is the class's limit of calls at once; 0: none.
func maxCalls(plan *dialplan.Plan, extension string) int {
	x, _ := plan.Extension(extension)
	class, _ := plan.Class(x.Class)
	return class.MaxCalls
}

// options answers the ping of a peer, and what we can do.
func (s *Switchboard) options(f transport.Flow, m *sip.Message) {
	if fail := sip.CheckRequire(m, supported...); fail != nil {
		s.answer(f, m, fail)
		return
	}
	w := sip.NewWriter(make([]byte, 0, 512))
	w.Respond(m, 200, "", s.statelessTag(m))
	w.Add("Allow", allow)
	w.Add("Accept", "application/sdp")
	w.Add("Supported", "timer, outbound, path")
	w.Add("Server", s.cfg.Product)
	w.Finish("", nil)
	raw, _ := w.Bytes()
	_ = transport.Reply(f, m).Send(raw)
}

// answer sends a failure without a transaction. ACK is never answered.
func (s *Switchboard) answer(f transport.Flow, m *sip.Message, fail *sip.StatusError) {
	if m.Method() != sip.ACK {
		_ = transport.Reply(f, m).Send(s.failure(m, fail, s.statelessTag(m)))
	}
}

// refuse answers a transaction with a failure.
func (s *Switchboard) refuse(tx *transaction.Server, m *sip.Message, fail *sip.StatusError) {
	if err := tx.Respond(s.failure(m, fail, s.statelessTag(m))); err != nil {
		s.log.Debug("refusal not sent", "method", m.Method(), "err", err)
	}
}

// failure writes a failure response.
func (s *Switchboard) failure(m *sip.Message, fail *sip.StatusError, tag string) []byte {
	w := sip.NewWriter(make([]byte, 0, 768))
	w.Respond(m, fail.Code, fail.Reason, tag)
	if fail.Header != "" {
		for line := range strings.SplitSeq(fail.Header, "\r\n") {
			name, value, _ := strings.Cut(line, ": ")
			w.Add(name, value)
		}
	}
	if cause := fail.Cause; cause != 0 {
		w.Set(sip.HeaderReason, cause.ReasonHeader(""))
	}
	w.Add("Server", s.cfg.Product)
	w.Finish("", nil)
	raw, _ := w.Bytes()
	return raw
}

// statelessTag is the same for the same request, so that a retransmission gets the same answer
// (RFC 3261 §8.2.7).
func (s *Switchboard) statelessTag(m *sip.Message) string {
	var h maphash.Hash
	h.SetSeed(s.seed)
	v, _ := m.TopVia()
	for _, part := range []string{m.CallID(), m.FromTag(), v.Branch(), m.Header(sip.HeaderCSeq)} {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0)
	}
	return strconv.FormatUint(h.Sum64(), 36)
}
