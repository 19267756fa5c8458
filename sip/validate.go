package sip

// Limits bound the elements of one message. All are counts of bytes but Headers and Vias. A field that is 0
// has its default.
type Limits struct {
	URI        int // Request-URI (414) and any other URI (400)
	HeaderLine int // one header line with its folds (513)
	Headers    int // header lines (513)
	Tag        int // From and To tag (400)
	Branch     int // branch of any Via (400)
	CallID     int // Call-ID (400)
	Method     int // method (400)
	Body       int // body (413)
	Vias       int // Via values (400)
}

// DefaultLimits admit what RFC 4475 §3.1.1.7 does with its overlong message. Nobody writes to it.
var DefaultLimits = Limits{
	URI: 2048, HeaderLine: 8192, Headers: 200, Tag: 255, Branch: 255, CallID: 255, Method: 64, Body: MaxMessage, Vias: 100,
}

func (l *Limits) orDefaults() Limits {
	if l == nil {
		return DefaultLimits
	}
	d := DefaultLimits
	pick := func(have, usual int) int {
		if have > 0 {
			return have
		}
		return usual
	}
	return Limits{
		URI: pick(l.URI, d.URI), HeaderLine: pick(l.HeaderLine, d.HeaderLine), Headers: pick(l.Headers, d.Headers),
		Tag: pick(l.Tag, d.Tag), Branch: pick(l.Branch, d.Branch), CallID: pick(l.CallID, d.CallID),
		Method: pick(l.Method, d.Method), Body: pick(l.Body, d.Body), Vias: pick(l.Vias, d.Vias),
	}
}

// Validate tells whether every room may rely on a message: nil when it is well-formed and within the limits
// (nil: DefaultLimits). Otherwise, for a request, what to answer with where CanRespond allows it; a response
// is to be dropped. It does not judge what depends on who we are: Require, Accept, Max-Forwards of 0, methods
// and unknown schemes in From, To and Contact are the business of the rooms behind.
//
// A peer of RFC 2543 passes: no branch, no From tag, no Max-Forwards, no Content-Length.
func Validate(m *Message, lim *Limits) *StatusError {
	c := check{m: m, lim: lim.orDefaults()}
	if !EqualFold(m.version, "SIP/2.0") {
		return &StatusError{Code: 505}
	}
	if m.fault != "" {
		return bad(m.fault)
	}
	if m.n > c.lim.Headers {
		return &StatusError{Code: 513, Reason: "Too many headers"}
	}
	if err := c.requestLine(); err != nil {
		return err
	}
	for i := 0; i < m.n; i++ {
		if err := c.line(i); err != nil {
			return err
		}
	}
	for _, id := range mandatory {
		if c.seen&(1<<id) == 0 {
			return bad("Missing " + id.Name())
		}
	}
	if !m.IsRequest() {
		return nil
	}
	if len(m.body) > c.lim.Body {
		return &StatusError{Code: 413}
	}
	return c.target()
}

// mandatory are the headers without which nothing can be answered or matched (RFC 3261 §8.1.1). Max-Forwards
// is mandatory too, but RFC 2543 did not have it.
var mandatory = [...]HeaderID{HeaderVia, HeaderFrom, HeaderTo, HeaderCallID, HeaderCSeq}

// singletons are the headers that may stand once only: a second one would be read by one room and not by
// another (RFC 3261 §7.3.1, RFC 4475 §3.3.8 and §3.3.9).
const singletons uint64 = 1<<HeaderFrom | 1<<HeaderTo | 1<<HeaderCallID | 1<<HeaderCSeq | 1<<HeaderMaxForwards |
	1<<HeaderContentLength | 1<<HeaderContentType | 1<<HeaderExpires | 1<<HeaderMinExpires | 1<<HeaderEvent |
	1<<HeaderReferTo | 1<<HeaderReferredBy | 1<<HeaderReplaces | 1<<HeaderSessionExpires | 1<<HeaderMinSE |
	1<<HeaderRSeq | 1<<HeaderRAck

// check is one run of Validate.
type check struct {
	m    *Message
	lim  Limits
	seen uint64 // bit 1<<HeaderID: a line with that id was there
	vias int
}

func bad(reason string) *StatusError { return &StatusError{Code: 400, Reason: reason} }

func malformed(id HeaderID) *StatusError {
	if id == HeaderOther {
		return bad("Malformed header")
	}
	return bad("Malformed " + id.Name())
}

// line checks header line i by itself.
func (c *check) line(i int) *StatusError {
	s := c.m.at(i)
	if int(s.end)-int(s.name) > c.lim.HeaderLine {
		return &StatusError{Code: 513, Reason: "Header line too long"}
	}
	id, value := s.id, c.m.raw[s.value:s.valueEnd]
	if !isText(value) {
		return malformed(id)
	}
	bit := uint64(1) << id
	if c.seen&bit&singletons != 0 {
		return bad("Repeated " + id.Name())
	}
	c.seen |= bit
	ok := true
	switch id {
	case HeaderVia:
		ok = c.via(value)
	case HeaderFrom, HeaderTo:
		ok = c.party(value)
	case HeaderContact:
		// A refusal needs no Contact of ours to be right, and is better heard than dropped.
		ok = c.m.status >= 300 || c.addresses(value, true)
	case HeaderRoute, HeaderRecordRoute, HeaderPath, HeaderServiceRoute:
		ok = c.m.status >= 300 || c.addresses(value, false)
	case HeaderCallID:
		ok = len(value) <= c.lim.CallID && isCallID(value)
	case HeaderCSeq:
		return c.cseq()
	case HeaderMaxForwards, HeaderExpires:
		// Over the range is not malformed: MaxForwards and Seconds say what becomes of it (RFC 4475 §3.1.2.4).
		ok = isDigits(value)
	}
	if !ok {
		return malformed(id)
	}
	return nil
}

// requestLine checks a request's method and the size of its URI.
func (c *check) requestLine() *StatusError {
	switch m := c.m; {
	case !m.IsRequest():
		return nil
	case len(m.method) > c.lim.Method || !IsToken(m.method):
		return bad("Malformed method")
	case len(m.uri) > c.lim.URI:
		return &StatusError{Code: 414}
	}
	return nil
}

// target checks the Request-URI (RFC 3261 §8.2.2.1).
func (c *check) target() *StatusError {
	m := c.m
	u, err := ParseURI(m.uri)
	switch {
	case err == ErrURIScheme && isAbsoluteURI(m.uri):
		return &StatusError{Code: 416}
	case err != nil:
		return bad("Malformed Request-URI")
	case u.Headers != "":
		return bad("Headers in Request-URI") // RFC 3261 §19.1.1, RFC 4475 §3.1.2.11
	}
	return nil
}

// cseq checks number, method, and that the method is that of the request (RFC 3261 §8.1.1.5).
func (c *check) cseq() *StatusError {
	_, method, err := c.m.CSeq()
	switch {
	case err != nil || len(method) > c.lim.Method:
		return malformed(HeaderCSeq)
	case !c.m.IsRequest() || method == c.m.method:
		return nil
	case !KnownMethod(c.m.method): // RFC 4475 §3.1.2.18
		return &StatusError{Code: 501}
	}
	return bad("CSeq does not match the method")
}
