package call

import (
	"strings"

	"tandem/sip"
)

// refer is what a REFER asks for (RFC 3515).
type refer struct {
	number   string    // user part of the target
	host     string    // and its host
	replaces *replaces // the call that the target is in already; nil: it is to be called
	silent   bool      // no NOTIFYs are wanted (RFC 4488)
}

// replaces names a dialog (RFC 3891 §6.1), with the tags as we know them.
type replaces struct {
	callID, local, remote string
	earlyOnly             bool
}

// readRefer reads a REFER and refuses what leads elsewhere: the target is a number of ours, or one that our plan takes
// outside, never an address that somebody chose.
func (c *Call) readRefer(l *Leg, m *sip.Message) (refer, *sip.StatusError) {
	var values []string
	for v := range m.Elements(sip.HeaderReferTo) {
		values = append(values, v)
	}
	if len(values) != 1 { // RFC 3515 §2.4.2
		return refer{}, sip.Errorf(400, "One Refer-To is needed")
	}
	a, err := sip.ParseNameAddr(values[0])
	if err != nil {
		return refer{}, sip.Errorf(400, "Malformed Refer-To")
	}
	u, err := sip.ParseURI(a.URI)
	if err != nil {
		return refer{}, sip.Errorf(400, "Unusable Refer-To")
	}
	if method, ok := u.Params.Get("method"); ok && method != sip.INVITE {
		return refer{}, sip.Errorf(403, "Only calls are transferred")
	}
	r := refer{number: u.Number(), host: u.Host}
	if value, ok := m.Named("Refer-Sub"); ok {
		value, _, _ = strings.Cut(value, ";")
		r.silent = sip.EqualFold(sip.Trim(value), "false")
	}
	for pair := range strings.SplitSeq(u.Headers, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if sip.EqualFold(name, "Replaces") {
			text, ok := sip.Unescape(value)
			if r.replaces = parseReplaces(text); !ok || r.replaces == nil {
				return refer{}, sip.Errorf(400, "Malformed Replaces")
			}
		}
	}
	switch {
	case r.replaces != nil: // where the other side of that dialog is does not matter: the dialog is ours
	case u.Scheme != "tel" && !c.board.local(c.board.Settings(), l.flow, u):
		return refer{}, sip.Errorf(403, "Domain not served here")
	case r.number == "":
		return refer{}, sip.Errorf(400, "Refer-To names nobody")
	}
	return r, nil
}

// instead is the transferor's own call that a REFER names and that nobody has answered yet: there is no leg to give away. It ends, as if the phone
// had cancelled it first (RFC 5589 §7), and the same number is called for the side that stays. nil: it is another's, or answered.
func (r *refer) instead(l *Leg) *Call {
	asked := l.in()
	s := asked.Snapshot()
	if l.role != roleUAS || s.State != "ringing" && s.State != "routing" {
		return nil
	}
	r.number, r.host, r.replaces = s.Dialled, "", nil
	return asked
}

// parseReplaces reads the value of a Replaces header; nil: malformed.
func parseReplaces(value string) *replaces {
	callID, params, _ := strings.Cut(value, ";")
	r := &replaces{callID: sip.Trim(callID)}
	for param := range strings.SplitSeq(params, ";") {
		name, v, _ := strings.Cut(sip.Trim(param), "=")
		switch {
		case sip.EqualFold(name, "to-tag"):
			r.local = sip.Trim(v)
		case sip.EqualFold(name, "from-tag"):
			r.remote = sip.Trim(v)
		case sip.EqualFold(name, "early-only"):
			r.earlyOnly = true
		}
	}
	if r.callID == "" || r.local == "" || r.remote == "" {
		return nil
	}
	return r
}

// replaced is the leg whose dialog a Replaces names, if it is one of that extension's own; nobody may take another's call.
func (s *Switchboard) replaced(r *replaces, extension string) (*Leg, *sip.StatusError) {
	l := s.legs.find(r.local, r.callID)
	if l == nil { // JsSIP writes the tags of a call that came in the other way round
		if l = s.legs.find(r.remote, r.callID); l != nil {
			r.local, r.remote = r.remote, r.local
		}
	}
	if l == nil || l.trunk != nil {
		return nil, &sip.StatusError{Code: 481}
	}
	if l.party != extension {
		return nil, sip.Errorf(403, "Not your call")
	}
	return l, nil
}
