package call

import (
	"hash/maphash"
	"strconv"
	"strings"

	"tandem/sip"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// allow is what we answer in Allow inside a dialog, and offer in our own requests.
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, MESSAGE, REFER"

// allow is that of one leg: carriers transfer nobody.
func (l *Leg) allow() string {
	if l.trunk != nil {
		return strings.TrimSuffix(allow, ", REFER")
	}
	return allow
}

// allowOutside is what may be asked outside a dialog.
func (s *Switchboard) allowOutside() string {
	const always = "INVITE, ACK, CANCEL, OPTIONS, REGISTER"
	if s.proxy != nil {
		return always + ", MESSAGE"
	}
	return always
}

// options answers the ping of a peer, and what we can do.
func (s *Switchboard) options(f transport.Flow, m *sip.Message) {
	if fail := sip.CheckRequire(m, supportedIn(m)...); fail != nil {
		s.answer(f, m, fail)
		return
	}
	w := sip.NewWriter(make([]byte, 0, 512))
	w.Respond(m, 200, "", s.statelessTag(m))
	w.Add("Allow", allow)
	w.Add("Accept", "application/sdp")
	w.Add("Supported", "timer, 100rel, outbound, path, replaces, norefersub")
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
