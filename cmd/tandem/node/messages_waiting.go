package node

import (
	"bytes"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// registrations is the registrar with an ear for who has come: the phones of an extension with messages are told. Its 200 leaves when
// the change is held.
type registrations struct{ n *Node }

// AppendReceive appends the registrar's answer; nothing where it leaves later.
func (r registrations) AppendReceive(dst []byte, now time.Time, f transport.Flow, m *sip.Message) []byte {
	start := len(dst)
	out := r.n.registrar.AppendReceive(dst, now, f, m)
	if !bytes.HasPrefix(out[start:], []byte("SIP/2.0 200")) {
		return out
	}
	addr, err := sip.ParseNameAddr(m.Header(sip.HeaderTo))
	uri, err2 := sip.ParseURI(addr.URI)
	if err != nil || err2 != nil {
		return out
	}
	if !r.n.lamps.None() {
		r.n.lamps.Registered(uri.Number())
	}
	aor, _ := sip.Unescape(uri.User)
	if r.n.held.settled(aor) {
		return out
	}
	answer, back := bytes.Clone(out[start:]), transport.Reply(f, m)
	r.n.held.after(aor, func(held bool) {
		if held {
			_ = back.Send(answer) // a phone that hears nothing asks again
		}
	})
	return dst[:start]
}

// Closed takes the end of a connection.
func (r registrations) Closed(f transport.Flow) { r.n.registrar.Closed(f) }
