package call

import (
	"tandem/sip"
	"tandem/sip/siptest"
)

// dialogue is a phone's side of one dialog.
type dialogue struct {
	*phone
	callID, local, remote string // From and To values of the phone's requests, with tags
	target                string
	cseq                  int
	request               siptest.Request  // the INVITE of a caller
	invite                siptest.Received // the INVITE that a callee heard
	answered              bool
}

// again sends the INVITE once more, as a retransmission.
func (d *dialogue) again() { d.Send(d.flow, d.request) }

// takes notes what a response says of the dialog.
func (d *dialogue) takes(r siptest.Received) siptest.Received {
	d.remote = r.Header(sip.HeaderTo)
	if a, err := r.Address(sip.HeaderContact); err == nil {
		d.target = a.URI
	}
	return r
}

// hears takes note of the next message, and of the dialog that a response makes.
func (d *dialogue) hears(what string) siptest.Received {
	d.o.Helper()
	r := d.phone.hears(what)
	if r.CSeqMethod() == sip.INVITE && !r.IsRequest() && r.ToTag() != "" {
		d.takes(r)
		if r.Status() >= 300 {
			d.acksRefusal(r)
		}
	}
	return r
}

// acksRefusal sends the ACK that belongs to the INVITE's transaction.
func (d *dialogue) acksRefusal(r siptest.Received) {
	via, _ := r.TopVia()
	uri := d.request.URI
	if uri == "" {
		uri = d.target
	}
	seq, _, _ := r.CSeq()
	d.Send(d.flow, siptest.Request{
		Method: sip.ACK, URI: uri, Branch: via.Branch(), From: oneLine(r.Header(sip.HeaderFrom)), To: r.Header(sip.HeaderTo),
		CallID: r.CallID(), CSeq: int(seq),
	})
}

// acks sends the ACK to a 2xx.
func (d *dialogue) acks(body string) {
	d.Send(d.flow, siptest.Request{
		Method: sip.ACK, URI: d.target, From: d.local, To: d.remote, CallID: d.callID, CSeq: d.cseq, Body: body,
	})
}

// cancels gives the caller's INVITE up.
func (d *dialogue) cancels(lines ...string) {
	d.Send(d.flow, siptest.Request{
		Method: sip.CANCEL, URI: d.request.URI, Branch: d.request.Branch, From: d.local, To: d.request.To,
		CallID: d.callID, CSeq: d.cseq, Lines: lines,
	})
}

// asks sends a request inside the dialog and returns it.
func (d *dialogue) asks(method, body string, lines ...string) siptest.Request {
	d.o.Helper()
	d.cseq++
	r := siptest.Request{
		Method: method, URI: d.target, From: d.local, To: d.remote, CallID: d.callID, CSeq: d.cseq, Body: body,
		Branch: sip.NewBranch(), Lines: append([]string{d.contact()}, lines...),
	}
	d.Send(d.flow, r)
	return r
}

// says answers the INVITE that the callee heard.
func (d *dialogue) says(status int, body string, lines ...string) {
	d.o.Helper()
	d.saysAs(d.Tag(), status, body, lines...)
}

// saysAs answers as one of several phones behind a proxy.
func (d *dialogue) saysAs(tag string, status int, body string, lines ...string) {
	d.o.Helper()
	d.replies(d.invite, status, body, append([]string{d.contact()}, lines...), tag)
}
