package call

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"tandem/dialplan"
	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/transport"
)

// supported are the option tags that a request for a call may require of us.
var supported = []string{"timer", "replaces", "norefersub"}

// supportedIn are those and what an INVITE may demand.
func supportedIn(m *sip.Message) []string {
	if m.Method() == sip.INVITE {
		return append(supported[:len(supported):len(supported)], rel100)
	}
	return supported
}

// preliminary checks what can be said of a request outside a dialog without a transaction: methods that live in
// dialogs only, extensions demanded, and whether it carries credentials at all.
func (s *Switchboard) preliminary(f transport.Flow, m *sip.Message) *sip.StatusError {
	switch m.Method() {
	case sip.BYE, sip.INFO, sip.UPDATE, sip.PRACK, sip.NOTIFY:
		return &sip.StatusError{Code: 481}
	}
	if !sip.KnownMethod(m.Method()) {
		return &sip.StatusError{Code: 501, Header: "Allow: " + s.allowOutside()}
	}
	if fail := sip.CheckRequire(m, supportedIn(m)...); fail != nil {
		return fail
	}
	carrier := s.carrierOf(f, m)
	_, neighbour := s.fromNeighbour(m)
	if m.Method() == sip.INVITE {
		if fail := mayRely(m, carrier); fail != nil {
			return fail
		}
		if fail := sip.CheckAccept(m); fail != nil {
			return fail
		}
	}
	if !m.Has(sip.HeaderAuthorization) && carrier == nil && !neighbour {
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
	if user, fail = s.prove(settings, f, m); fail != nil {
		return "", fail
	}
	return user, s.mayCall(settings, f, m, user)
}

// prove is the extension whose credentials a request carries, or the answer to a request that proves nothing.
func (s *Switchboard) prove(settings *Settings, f transport.Flow, m *sip.Message) (user string, fail *sip.StatusError) {
	result := s.authority.Verify(time.Now(), m, func(username string) (digest.Credential, bool) {
		if s.accounts != nil {
			return s.accounts(username)
		}
		c, ok := settings.Credentials[username]
		return c, ok
	})
	switch result.Verdict {
	case digest.OK:
		return result.Username, nil
	case digest.Malformed:
		return "", &sip.StatusError{Code: 400, Reason: result.Reason}
	case digest.Expired:
		return "", &sip.StatusError{Code: 403, Reason: result.Reason}
	case digest.Slowed:
		s.stats.Throttled.Add(1)
		return "", &sip.StatusError{Code: 403, Header: "Retry-After: " + strconv.Itoa(1+int(result.Wait/time.Second))}
	case digest.Wrong:
		s.stats.AuthFailures.Add(1)
		s.log.Info("credentials refused", "method", m.Method(), "user", printable(result.Username), "reason", result.Reason, "peer", f.Remote())
		fail = s.challenge(m, false)
		fail.Reason = result.Reason
		return "", fail
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
	switch {
	case errors.Is(err, sip.ErrURIScheme):
		return &sip.StatusError{Code: 416}
	case err != nil:
		return sip.Errorf(400, "Malformed Request-URI")
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

// local tells whether a URI's host is one that we answer for: a domain, the public address, or the address of
// ours that the peer talks to.
func (s *Switchboard) local(settings *Settings, f transport.Flow, u sip.URI) bool {
	for _, d := range settings.Domains {
		if strings.EqualFold(d, u.Host) {
			return true
		}
	}
	if a, ok := u.Addr(); ok {
		return a.Unmap() == f.Local().Addr().Unmap() || a.String() == settings.PublicAddress
	}
	sentBy, _, _ := strings.Cut(f.SentBy(), ":")
	return strings.EqualFold(sentBy, u.Host)
}

// instanceOf is the phone behind a flow (RFC 5626 +sip.instance), if the extension registered over it; it finds the
// phone again when its connection is gone.
func (s *Switchboard) instanceOf(extension string, f transport.Flow, now time.Time) string {
	for _, b := range s.locator.Lookup(extension, now) {
		if b.Flow == f {
			return b.Instance
		}
	}
	return ""
}
