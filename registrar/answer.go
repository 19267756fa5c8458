package registrar

import (
	"strconv"
	"time"

	"tandem/sip"
	"tandem/sip/digest"
)

// begin200 writes an acceptance up to its Contacts (RFC 3261 §10.3 step 8).
func (r *Registrar) begin200(dst []byte, now time.Time, m *sip.Message, c *change) []byte {
	dst = r.respond(dst, m, 200, "")
	dst = append(dst, "Date: "...) // phones without a clock of their own take ours (§10.2.4)
	dst = now.UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT")
	dst = append(dst, "\r\nSupported: path, outbound\r\n"...)
	for _, p := range c.path { // RFC 3327 §5.3
		dst = append(append(append(dst, "Path: "...), p...), "\r\n"...)
	}
	if c.outbound { // RFC 5626 §6
		dst = append(dst, "Require: outbound\r\n"...)
		if c.direct {
			if p := r.policy(); c.flow.Proto().Reliable() {
				dst = append(dst, p.connTimer...)
			} else {
				dst = append(dst, p.flowTimer...)
			}
		}
	}
	if extra := r.policy().Extra; extra != nil {
		dst = extra(dst, c.aor, c.flow, now)
	}
	return dst
}

// appendContacts lists the bindings with what is left of their lives. Parameters stand outside the brackets whether or not
// the phone wrote any: inside they would be the URI's (RFC 4475 §3.3.12).
func appendContacts(dst []byte, list []Binding, now time.Time) []byte {
	for i := range list {
		b := &list[i]
		dst = append(append(append(dst, "Contact: <"...), b.Contact...), '>')
		dst = append(append(dst, b.Params...), ";expires="...)
		dst = append(strconv.AppendInt(dst, int64(seconds(b.Expires.Sub(now))), 10), "\r\n"...)
	}
	return dst
}

// respond begins an answer with the request's own To-tag.
func (r *Registrar) respond(dst []byte, m *sip.Message, code int, reason string) []byte {
	var room [16]byte
	w := sip.NewWriter(dst)
	w.Respond(m, code, reason, string(r.tag(room[:0], m)))
	dst, _ = w.Bytes() // nothing of ours in it can be unsafe
	return dst
}

// refuse answers anything but 200 and 401.
func (r *Registrar) refuse(dst []byte, m *sip.Message, e *sip.StatusError) []byte {
	r.count.refused.Add(1)
	return r.finish(r.respond(dst, m, e.Code, e.Reason), e.Header)
}

func (r *Registrar) finish(dst []byte, header string) []byte {
	if header != "" {
		dst = append(append(dst, header...), "\r\n"...)
	}
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}

// challenge answers 401 (RFC 3261 §22.1), and says what is wrong with a bearer token.
func (r *Registrar) challenge(dst []byte, now time.Time, m *sip.Message, res digest.Result) []byte {
	r.count.challenged.Add(1)
	dst = r.respond(dst, m, 401, res.Reason)
	return r.finish(r.authority.AppendChallenge(dst, sip.HeaderWWWAuthenticate, now, m, res.Verdict == digest.Stale), "")
}

// slow answers a source that failed too often, the same for names that exist and those that do not: it depends on the
// failures alone. A 403 ends the attempts of most phones and tools, where a 401 would ask for the next guess and a 503
// would send phones to another node; Retry-After is not defined for it (RFC 3261 §20.33), but harmless, and tells the
// operator who reads a trace what is going on.
func (r *Registrar) slow(dst []byte, m *sip.Message, wait time.Duration) []byte {
	r.count.slowed.Add(1)
	if r.policy().DropSlowed {
		return dst
	}
	return r.finish(r.respond(dst, m, 403, ""), "Retry-After: "+strconv.Itoa(seconds(wait)))
}
