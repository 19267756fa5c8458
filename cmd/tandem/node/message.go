package node

import (
	"time"

	"tandem/sip"
	"tandem/sip/proxy"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// messages forwards what is no call between extensions: MESSAGE, to every phone of the one it is for.
type messages struct{ n *Node }

// Forward takes a request that the switchboard has admitted.
func (p messages) Forward(tx *transaction.Server, m *sip.Message) {
	if m.Method() != sip.MESSAGE {
		_ = tx.Respond(sip.AppendResponse(nil, m, 405, "", tx.Tag()))
		return
	}
	uri, err := sip.ParseURI(m.RequestURI())
	extension, known := p.n.config.Load().Plan.Extension(uri.Number())
	if err != nil || !known {
		_ = tx.Respond(sip.AppendResponse(nil, m, 404, "", tx.Tag()))
		return
	}
	var targets []proxy.Target
	for _, b := range locator(p).Lookup(extension.Number, time.Now()) {
		if f := p.n.sends(&b); f.Alive() {
			targets = append(targets, proxy.Target{URI: b.RequestURI(), Routes: b.Route(), Flow: f})
		}
	}
	proxy.Forward(p.n.table, tx, m, targets)
}

// transports are those that the switch listens on, in the order in which a name is resolved for them.
func transports(listen []transport.Listen) (out []transport.Proto) {
	for _, p := range []transport.Proto{transport.UDP, transport.TCP, transport.TLS} {
		for _, l := range listen {
			if l.Proto == p {
				out = append(out, p)
				break
			}
		}
	}
	return out
}
