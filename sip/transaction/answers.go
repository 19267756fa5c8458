package transaction

import (
	"log/slog"
	"runtime/debug"
	"strconv"
	"tandem/sip"
	"tandem/sip/transport"
)

// responseFlow is the way back (RFC 3261 §18.2.2, RFC 3581 §4): the connection, or over UDP the address that
// the top Via asks for.
func responseFlow(f transport.Flow, m *sip.Message, via sip.Via) transport.Flow {
	if f.Proto().Reliable() {
		return f
	}
	source := m.Source
	if !source.IsValid() {
		source = f.Remote()
	}
	return f.To(via.ResponseAddr(source))
}

// answer sends a response that no transaction keeps. When it is lost, the request comes again.
func (t *Table) answer(back transport.Flow, raw []byte) {
	if err := back.Send(raw); err != nil {
		t.log.Debug("stateless response not sent", slog.Any("error", err))
	}
}

// refuseMerged answers a request that came over a second way (RFC 3261 §8.2.2.2).
func (t *Table) refuseMerged(back transport.Flow, m *sip.Message, key []byte) {
	t.loose.merged.Add(1)
	t.answer(back, sip.AppendResponse(nil, m, 482, "Merged Request", t.tag(key)))
}

// refuseFull answers a request for which there is no room. The time to come back is spread over 4 to 11
// seconds, so that those refused together do not return together.
func (t *Table) refuseFull(back transport.Flow, m *sip.Message, key []byte) {
	t.loose.refused.Add(1)
	tag := t.tag(key)
	w := sip.NewWriter(nil)
	w.Respond(m, 503, "", tag)
	w.SetInt(sip.HeaderRetryAfter, 4+int(tag[0])%8)
	w.Finish("", nil)
	if raw, err := w.Bytes(); err == nil {
		t.answer(back, raw)
	}
}

// guardStateless ends a panic in User.Stateless, with a 500 where there is a Via to send it to.
func (t *Table) guardStateless(cause any, f transport.Flow, m *sip.Message, key []byte) {
	t.loose.panics.Add(1)
	t.log.Error("panic in a transaction's user", "panic", cause, "stack", string(debug.Stack()))
	if via, err := m.TopVia(); err == nil && m.Method() != sip.ACK {
		t.answer(responseFlow(f, m, via), sip.AppendResponse(nil, m, 500, "", t.tag(key)))
	}
}

// hundred is the 100 Trying for a request; a Timestamp comes back in it (RFC 3261 §8.2.6.1).
func hundred(req *sip.Message) string {
	w := sip.NewWriter(make([]byte, 0, 512))
	w.Respond(req, 100, "", "")
	if stamp, ok := req.Named("Timestamp"); ok {
		w.Add("Timestamp", stamp)
	}
	w.Finish("", nil)
	raw, _ := w.Bytes()
	return string(raw)
}

// ack is the ACK for a final response that is not a 2xx (RFC 3261 §17.1.1.3): the INVITE's Request-URI, top
// Via, From, Call-ID, CSeq number and Route, the response's To.
func ack(invite string, response *sip.Message) string {
	var req sip.Message
	if req.Parse(invite) != nil {
		return ""
	}
	to := response.Header(sip.HeaderTo)
	w := sip.NewWriter(make([]byte, 0, 512))
	writeHopRequest(w, &req, sip.ACK, to)
	w.Finish("", nil)
	raw, _ := w.Bytes()
	return string(raw)
}

// cancel is the CANCEL for an INVITE (RFC 3261 §9.1), with a Reason where one is given (RFC 3326).
func cancel(invite, reason string) ([]byte, error) {
	var req sip.Message
	if err := req.Parse(invite); err != nil {
		return nil, err
	}
	w := sip.NewWriter(make([]byte, 0, 512))
	writeHopRequest(w, &req, sip.CANCEL, req.Header(sip.HeaderTo))
	if reason != "" {
		w.Set(sip.HeaderReason, reason)
	}
	w.Finish("", nil)
	return w.Bytes()
}

// writeHopRequest begins a request that goes the same way as the INVITE and belongs to the same branch. The
// To value may be folded, as it came.
func writeHopRequest(w *sip.Writer, invite *sip.Message, method, to string) {
	w.Request(method, invite.RequestURI())
	for via := range invite.Elements(sip.HeaderVia) {
		w.Set(sip.HeaderVia, via)
		break
	}
	w.Copy(invite, sip.HeaderRoute)
	w.SetInt(sip.HeaderMaxForwards, 70)
	w.Copy(invite, sip.HeaderFrom)
	w.Set(sip.HeaderTo, unfold(to))
	w.Copy(invite, sip.HeaderCallID)
	seq, _, _ := invite.CSeq()
	w.Set(sip.HeaderCSeq, strconv.FormatUint(uint64(seq), 10)+" "+method)
}

// unfold makes one line of a value that was folded (RFC 3261 §7.3.1).
func unfold(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] == '\r' || s[i] == '\n' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] == '\r' || b[i] == '\n' {
					b[i] = ' '
				}
			}
			return string(b)
		}
	}
	return s
}

// withoutBody is a request as it was but for a body worth the trouble.
func withoutBody(text string) string {
	var m sip.Message
	if m.Parse(text) != nil || len(m.Body()) < 256 {
		return text
	}
	var edits []sip.Edit
	if i := m.Index(sip.HeaderContentLength); i >= 0 {
		edits = append(edits, sip.Edit{Line: i, Kind: sip.EditReplace, Text: "Content-Length: 0"})
	}
	raw := m.Splice(make([]byte, 0, len(text)), edits...)
	return string(raw[:len(raw)-len(m.Body())])
}
