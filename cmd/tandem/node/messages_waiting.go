package node

import (
	"bytes"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// registrations is the registrar with an ear for who has come: the phones of an extension with messages are told.
type registrations struct{ n *Node }

// AppendReceive appends the registrar's answer.
func (r registrations) AppendReceive(dst []byte, now time.Time, f transport.Flow, m *sip.Message) []byte {
	start := len(dst)
	out := r.n.registrar.AppendReceive(dst, now, f, m)
	if r.n.boxes.Empty() || !bytes.HasPrefix(out[start:], []byte("SIP/2.0 200")) {
		return out
	}
	if addr, err := sip.ParseNameAddr(m.Header(sip.HeaderTo)); err == nil {
		if uri, err := sip.ParseURI(addr.URI); err == nil {
			r.n.lamps.Registered(uri.Number())
		}
	}
	return out
}

// Closed takes the end of a connection.
func (r registrations) Closed(f transport.Flow) { r.n.registrar.Closed(f) }
