// Package dialog is RFC 3261 §12 as a plain value: identity, route set, remote target and sequence numbers
// of one dialog, without sockets, goroutines or clocks. A Dialog may be copied, kept as a record and carried
// on by another node. It is used by the call room, from the goroutine that owns the call.
package dialog

import (
	"errors"
	"fmt"
	"strings"

	"tandem/sip"
)

// ErrNoDialog means that a message cannot make a dialog: it lacks a tag or a usable Contact.
var ErrNoDialog = errors.New("dialog: message makes no dialog")

// Dialog is one peer-to-peer relation. Texts stand as they go on the wire.
type Dialog struct {
	CallID    string
	LocalTag  string
	RemoteTag string // empty for a peer of RFC 2543

	Local  string // our From value without its tag: `"Alice" <sip:1001@example.com>`
	Remote string // the peer's To value without its tag
	Target string // remote target: the URI of the peer's Contact
	Routes []string

	LocalSeq  uint32 // CSeq of our last request
	RemoteSeq uint32 // CSeq of the peer's last request
	HasRemote bool   // RemoteSeq has been set
}

// FromInvite makes the dialog that a request makes at the side that answers it with localTag
// (RFC 3261 §12.1.1). The error is the 400 that the request deserves.
func FromInvite(m *sip.Message, localTag string) (Dialog, *sip.StatusError) {
	from, errFrom := m.Address(sip.HeaderFrom)
	to, errTo := m.Address(sip.HeaderTo)
	seq, _, errSeq := m.CSeq()
	target, errTarget := contactURI(m)
	if err := errors.Join(errFrom, errTo, errSeq, errTarget); err != nil {
		return Dialog{}, &sip.StatusError{Code: 400, Reason: "Missing or malformed Contact", Err: err}
	}
	d := Dialog{
		CallID: m.CallID(), LocalTag: localTag, RemoteTag: from.Tag(),
		Local: withoutTag(to), Remote: withoutTag(from), Target: target,
		RemoteSeq: seq, HasRemote: true,
	}
	for r := range m.Elements(sip.HeaderRecordRoute) {
		d.Routes = append(d.Routes, r)
	}
	return d, nil
}

// Accept takes what a response to our INVITE adds: the peer's tag, target and route set (RFC 3261 §12.1.2).
// The Dialog is the half that we began with Begin; a copy of it is returned, so that each fork has its own.
func (d Dialog) Accept(resp *sip.Message) (Dialog, error) {
	to, err := resp.Address(sip.HeaderTo)
	if err != nil {
		return d, err
	}
	d.RemoteTag = to.Tag()
	if target, err := contactURI(resp); err == nil {
		d.Target = target
	} else if resp.Status() >= 200 {
		return d, fmt.Errorf("%w: %w", ErrNoDialog, err)
	}
	d.Routes = nil
	for r := range resp.Elements(sip.HeaderRecordRoute) {
		d.Routes = append([]string{r}, d.Routes...)
	}
	return d, nil
}

// Begin is the half of a dialog that a caller has before the first answer. local and remote are name-addr
// values without tags, target is the Request-URI of the first request, routes its Route set.
func Begin(local, remote, target string, routes []string) Dialog {
	return Dialog{
		CallID: sip.NewCallID(), LocalTag: sip.NewTag(),
		Local: local, Remote: remote, Target: target, Routes: routes,
	}
}

// Receive admits a request of the peer inside the dialog (RFC 3261 §12.2.2): out of order is 500. A target
// refresh (INVITE, UPDATE) takes the new Contact.
func (d *Dialog) Receive(m *sip.Message) *sip.StatusError {
	seq, method, err := m.CSeq()
	if err != nil {
		return sip.Errorf(400, "Malformed CSeq")
	}
	if method == sip.ACK || method == sip.CANCEL {
		return nil
	}
	if d.HasRemote && seq < d.RemoteSeq {
		return &sip.StatusError{Code: 500, Reason: "CSeq out of order"}
	}
	d.RemoteSeq, d.HasRemote = seq, true
	if method == sip.INVITE || method == sip.UPDATE {
		d.Refresh(m)
	}
	return nil
}

// Refresh takes a new remote target from a target refresh request or its 2xx; without a usable Contact the
// old one stays.
func (d *Dialog) Refresh(m *sip.Message) {
	if target, err := contactURI(m); err == nil {
		d.Target = target
	}
}

// Matches tells whether a message of the peer belongs to this dialog. asRequest: the peer's tag is in From.
func (d *Dialog) Matches(m *sip.Message) bool {
	local, remote := m.ToTag(), m.FromTag()
	if !m.IsRequest() {
		local, remote = remote, local
	}
	return m.CallID() == d.CallID && local == d.LocalTag && remote == d.RemoteTag
}

// Next raises and returns our sequence number for a new request.
func (d *Dialog) Next() uint32 {
	d.LocalSeq++
	return d.LocalSeq
}

// Write begins a request inside the dialog, or the one that makes it: request line, Via, Max-Forwards, Route,
// From, To, Call-ID and CSeq (RFC 3261 §12.2.1.1). A first route without lr is a strict router: it becomes
// the Request-URI, and the target goes to the end of the Route.
func (d *Dialog) Write(w *sip.Writer, method string, seq uint32, via string, maxForwards int) {
	uri, routes := d.Target, d.Routes
	if len(routes) > 0 && !loose(routes[0]) {
		first, _ := sip.ParseNameAddr(routes[0])
		uri = first.URI
		routes = append(append([]string{}, routes[1:]...), "<"+d.Target+">")
	}
	w.Request(method, uri)
	w.Set(sip.HeaderVia, via)
	w.SetInt(sip.HeaderMaxForwards, maxForwards)
	for _, r := range routes {
		w.Set(sip.HeaderRoute, r)
	}
	w.Set(sip.HeaderFrom, tagged(d.Local, d.LocalTag))
	w.Set(sip.HeaderTo, tagged(d.Remote, d.RemoteTag))
	w.Set(sip.HeaderCallID, d.CallID)
	w.Set(sip.HeaderCSeq, fmt.Sprintf("%d %s", seq, method))
}

// RequestURI is what Write puts into the request line: the target, or a strict router's URI.
func (d *Dialog) RequestURI() string {
	if len(d.Routes) > 0 && !loose(d.Routes[0]) {
		first, _ := sip.ParseNameAddr(d.Routes[0])
		return first.URI
	}
	return d.Target
}

// NextHop is the URI that decides where a request of this dialog is sent (RFC 3261 §8.1.2).
func (d *Dialog) NextHop() string {
	if len(d.Routes) == 0 {
		return d.Target
	}
	a, err := sip.ParseNameAddr(d.Routes[0])
	if err != nil {
		return d.Target
	}
	return a.URI
}

func loose(route string) bool {
	a, err := sip.ParseNameAddr(route)
	if err != nil {
		return true
	}
	u, err := sip.ParseURI(a.URI)
	return err != nil || u.Params.Has("lr")
}

func tagged(value, tag string) string {
	if tag == "" {
		return value
	}
	return value + ";tag=" + tag
}

// withoutTag writes an address as name-addr with every parameter but the tag.
func withoutTag(a sip.NameAddr) string {
	var b strings.Builder
	if a.Display != "" {
		b.WriteString(a.Display)
		b.WriteByte(' ')
	}
	b.WriteString("<" + a.URI + ">")
	for name, value := range a.Params.All() {
		if sip.EqualFold(name, "tag") {
			continue
		}
		b.WriteString(";" + name)
		if value != "" {
			b.WriteString("=" + value)
		}
	}
	return unfold(b.String())
}

// unfold turns folded line ends into blanks: what came folded is written on one line.
func unfold(s string) string {
	if strings.IndexByte(s, '\n') < 0 {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

// contactURI is the URI of the one Contact that INVITE, UPDATE and their 2xx must have (RFC 3261 §8.1.1.8).
func contactURI(m *sip.Message) (string, error) {
	for e := range m.Elements(sip.HeaderContact) {
		a, err := sip.ParseNameAddr(e)
		if err != nil || a.Star {
			return "", sip.ErrAddress
		}
		if _, err := sip.ParseURI(a.URI); err != nil {
			return "", err
		}
		return a.URI, nil
	}
	return "", ErrNoDialog
}
