package phone

import (
	"slices"

	"github.com/emiago/sipgo/sip"
)

// A dialog is the peer relationship of RFC 3261 §12: a plain value under its Call's lock.
type dialog struct {
	callID    string
	localTag  string
	remoteTag string
	local     string // our From or To value, tag included
	remote    string // the other side's, tag included once known
	target    string // remote target
	routes    []string
	seq       uint32 // last CSeq number we used
	remoteSeq uint32 // highest we received in a request
}

// respond takes what a response to our INVITE says of the dialog (§12.1.2); a later one of another fork replaces it.
func (d *dialog) respond(res *sip.Response) {
	if h := res.To(); h != nil {
		d.remote = h.Value()
	}
	d.remoteTag = toTag(res)
	d.routes = headerValues(res, "Record-Route", "")
	slices.Reverse(d.routes)
	if target := contactURI(res); target != "" {
		d.target = target
	}
}

// dialogOf makes the callee's dialog from an INVITE (§12.1.1).
func dialogOf(req *sip.Request, localTag string) dialog {
	d := dialog{callID: callID(req), localTag: localTag, remoteTag: fromTag(req), target: contactURI(req),
		routes: headerValues(req, "Record-Route", "")}
	if h := req.From(); h != nil {
		d.remote = h.Value()
	}
	if h := req.To(); h != nil {
		d.local = h.Value()
		if tag, _ := h.Params.Get("tag"); tag == "" {
			d.local += ";tag=" + localTag
		}
	}
	if h := req.CSeq(); h != nil {
		d.remoteSeq = h.SeqNo
	}
	return d
}

// draft starts a request inside the dialog (§12.2.1.1). A first route without lr is a strict router: it takes the
// place of the target, which moves to the end of the list.
func (d *dialog) draft(method string) draft {
	out := draft{method: method, target: d.target, routes: slices.Clone(d.routes), from: d.local, to: d.remote, callID: d.callID}
	if len(out.routes) > 0 {
		first := parseAddress(out.routes[0]).uri
		if u, err := parseURI(first); err == nil && !u.has("lr") {
			out.routes = append(out.routes[1:], "<"+d.target+">")
			out.target = first
		}
	}
	return out
}

// A dialogKey finds the Call that a request inside a dialog belongs to.
type dialogKey struct{ callID, localTag string }

func (d *dialog) key() dialogKey { return dialogKey{d.callID, d.localTag} }
