package wire

import (
	"cmp"
	"strings"
	"time"

	"github.com/icholy/digest"
)

// Phone is a user on a line.
type Phone struct {
	*Line
	User, Password, Domain string
	Page                   bool   // its contact is that of JsSIP in a page: under .invalid, with the feature tag for ICE
	MD5                    bool   // take the MD5 challenge, where there is one; else the first
	Login                  string // user name of the credentials; empty: the user's
	regID                  string
	regSeq                 int
}

// NewPhone puts a user on a line.
func NewPhone(l *Line, user, password string) *Phone {
	return &Phone{Line: l, User: user, Password: password, Domain: l.Peer.Addr().String(), regID: Token(), regSeq: 1}
}

// URI is an address of the phone's domain.
func (p *Phone) URI(user string) string { return "sip:" + user + "@" + p.Domain }

// Contact is the value that tells where the phone is.
func (p *Phone) Contact() string {
	uri := "sip:" + p.User + "@" + p.Local.String()
	if p.Proto != "UDP" {
		uri += ";transport=" + strings.ToLower(strings.Replace(p.Proto, "WSS", "WS", 1))
	}
	if p.Page {
		return "<sip:" + p.User + "@" + p.regID[:8] + ".invalid;transport=ws>;+sip.ice"
	}
	return "<" + uri + ">"
}

// New is a request of this user to another, outside of any dialog.
func (p *Phone) New(method, to string) Request {
	return Request{
		Method: method, URI: p.URI(to), From: "<" + p.URI(p.User) + ">;tag=" + Token(), To: "<" + p.URI(to) + ">",
		CallID: Token(), Seq: 1, Contact: p.Contact(),
	}
}

// Registration is the next REGISTER of this phone.
func (p *Phone) Registration(contact string, extra ...string) Request {
	r := p.New("REGISTER", p.User)
	r.URI, r.CallID, r.Seq, r.Contact, r.Extra = "sip:"+p.Domain, p.regID, p.regSeq, contact, extra
	p.regSeq += 2 // one for the challenge
	return r
}

// Register binds the phone's own contact; the answer must be 200.
func (p *Phone) Register() {
	p.T.Helper()
	if m := p.Ask(p.Registration(p.Contact(), "Expires: 3600")); m.Status() != 200 {
		p.T.Fatalf("REGISTER of %s: %s", p.User, m.Raw)
	}
}

// Sign adds credentials for the challenge in answer; the sequence number rises by one.
func (p *Phone) Sign(r Request, answer Message) Request {
	p.T.Helper()
	r.Authority = p.credentials(answer, r.Method, r.URI, 1)
	r.Seq++
	r.Branch = ""
	return r
}

func (p *Phone) credentials(answer Message, method, uri string, count int) string {
	p.T.Helper()
	all := answer.All("www-authenticate")
	if len(all) == 0 {
		p.T.Fatalf("no challenge in\n%s", answer.Raw)
	}
	text := all[0]
	for _, c := range all {
		if p.MD5 && strings.Contains(c, "algorithm=MD5") {
			text = c
		}
	}
	c, err := digest.ParseChallenge(text)
	if err != nil {
		p.T.Fatalf("%v in %q", err, text)
	}
	cred, err := digest.Digest(c, digest.Options{Method: method, URI: uri, Username: cmp.Or(p.Login, p.User), Password: p.Password, Count: count})
	if err != nil {
		p.T.Fatal(err)
	}
	return cred.String()
}

// Ask sends a request, proves who the phone is when it is asked, and gives the final answer.
func (p *Phone) Ask(r Request) Message {
	p.T.Helper()
	m := p.Do(r)
	if m.Status() != 401 {
		return m
	}
	return p.Do(p.Sign(r, m))
}

// Call is one side of a dialog that an INVITE makes.
type Call struct {
	Phone *Phone
	From  string // our side's header value with our tag
	To    string // the other's; its tag is there once it is known
	ID    string
	Seq   int      // of the last request that we sent
	Peer  string   // target of requests
	Route []string // header lines of the dialog's route set, of one who was called (RFC 3261 §12.1.1)

	Invite Request // ours
	Asked  Message // theirs
	Tag    string  // ours
}

// Invite sends an INVITE with credentials: it is out when Invite returns, and nothing but a challenge has been
// answered.
func (p *Phone) Invite(to, body string, extra ...string) *Call {
	p.T.Helper()
	r := p.New("INVITE", to)
	r.Body, r.Extra = body, extra
	m := p.Do(r)
	if m.Status() != 401 {
		p.T.Fatalf("INVITE without credentials got\n%s", m.Raw)
	}
	r = p.Sign(r, m)
	r.Branch = "z9hG4bK" + Token()
	p.Send(p.Text(r))
	return &Call{Phone: p, From: r.From, To: r.To, ID: r.CallID, Seq: r.Seq, Peer: r.URI, Invite: r, Tag: Tag(r.From)}
}

// Heard waits for a response to our INVITE that ok likes, sending the INVITE again over UDP while nothing at all
// was heard.
func (c *Call) Heard(limit time.Duration, what string, ok func(status int) bool) Message {
	p := c.Phone
	p.T.Helper()
	m := p.Await(limit, what+" of INVITE "+c.ID, func(m Message) bool {
		_, method := m.CSeq()
		return ok(m.Status()) && m.Get("call-id") == c.ID && method == "INVITE" && m.Branch() == c.Invite.Branch
	})
	if Tag(m.Get("to")) != "" {
		c.To = m.Get("to")
		if contact := m.Get("contact"); contact != "" {
			c.Peer = Target(contact)
		}
	}
	return m
}

// Provisional waits for a response with this code.
func (c *Call) Provisional(code int) Message {
	c.Phone.T.Helper()
	return c.Heard(5*time.Second, "response", func(s int) bool { return s == code })
}

// Final waits for the final response; a failure is acknowledged, a 2xx is not: see Ack.
func (c *Call) Final(limit time.Duration) Message {
	c.Phone.T.Helper()
	m := c.Heard(limit, "final response", func(s int) bool { return s >= 200 })
	if m.Status() >= 300 {
		c.Phone.acknowledge(c.Invite, m)
	}
	return m
}

// Poll is Final that may stay away.
func (c *Call) Poll(limit time.Duration) (Message, bool) {
	m, ok := c.Phone.Poll(limit, func(m Message) bool {
		return m.Status() >= 200 && m.Get("call-id") == c.ID && m.Branch() == c.Invite.Branch
	})
	if ok && m.Status() >= 300 {
		c.Phone.acknowledge(c.Invite, m)
	}
	return m, ok
}

// Ack acknowledges the 2xx of our INVITE.
func (c *Call) Ack() { c.acknowledge(c.Invite.Seq) }

func (c *Call) acknowledge(seq int) {
	text := c.Phone.Text(c.ack(seq))
	c.Phone.acknowledged(c.ID, seq, text)
	c.Phone.Send(text)
}

// Acknowledge sends the ACK of a failure response to our INVITE.
func (c *Call) Acknowledge(m Message) { c.Phone.acknowledge(c.Invite, m) }

// AckTo acknowledges a 2xx to an INVITE or re-INVITE of ours.
func (c *Call) AckTo(m Message) {
	c.To, c.Peer = m.Get("to"), Target(m.Get("contact"))
	seq, _ := m.CSeq()
	c.acknowledge(seq)
}

func (c *Call) ack(seq int) Request {
	return Request{Method: "ACK", URI: c.Peer, From: c.From, To: c.To, CallID: c.ID, Seq: seq, Extra: c.Route}
}

// Cancel gives the INVITE up.
func (c *Call) Cancel() Message {
	c.Phone.T.Helper()
	r := c.Invite
	r.Method, r.Body, r.Contact, r.Authority, r.Extra = "CANCEL", "", "", "", nil
	r.To = "<" + c.Phone.URI(strings.TrimPrefix(strings.Split(r.URI, "@")[0], "sip:")) + ">"
	return c.Phone.Do(r)
}

// Rung waits for an INVITE of the switch.
func (p *Phone) Rung() *Call {
	p.T.Helper()
	return p.RungBy(p.Request(5*time.Second, "INVITE"))
}

// RungBy is the call of an INVITE that was heard.
func (p *Phone) RungBy(m Message) *Call {
	tag := Token()
	var route []string
	for _, v := range m.All("record-route") {
		route = append(route, "Route: "+v)
	}
	return &Call{
		Route: route,
		Phone: p, From: m.Get("to") + ";tag=" + tag, To: m.Get("from"), ID: m.Get("call-id"), Peer: Target(m.Get("contact")),
		Asked: m, Tag: tag, Seq: 100,
	}
}

// Respond answers their INVITE.
func (c *Call) Respond(status int, body string, extra ...string) {
	c.Phone.Reply(c.Asked, status, Reply{Tag: c.Tag, Contact: c.Phone.Contact(), Body: body, Extra: extra})
}

// Acked waits for the ACK of our 2xx.
func (c *Call) Acked() Message {
	c.Phone.T.Helper()
	return c.Phone.Await(5*time.Second, "ACK", func(m Message) bool { return m.Method() == "ACK" && m.Get("call-id") == c.ID })
}

// Next is the next request inside the dialog.
func (c *Call) Next(method, body string) Request {
	c.Seq++
	r := Request{Method: method, URI: c.Peer, From: c.From, To: c.To, CallID: c.ID, Seq: c.Seq, Body: body, Extra: c.Route}
	if method == "INVITE" || method == "UPDATE" {
		r.Contact = c.Phone.Contact()
	}
	return r
}

// Ask sends a request inside the dialog; the 2xx of an INVITE is acknowledged.
func (c *Call) Ask(method, body string) Message {
	c.Phone.T.Helper()
	r := c.Next(method, body)
	m := c.Phone.Do(r)
	if method == "INVITE" && m.Status()/100 == 2 {
		c.acknowledge(r.Seq)
	}
	return m
}

// Bye hangs up; it must be taken.
func (c *Call) Bye() {
	c.Phone.T.Helper()
	if m := c.Ask("BYE", ""); m.Status() != 200 {
		c.Phone.T.Errorf("BYE: %s", m.Raw)
	}
}

// Ended waits for the BYE of the other side and answers it.
func (c *Call) Ended(limit time.Duration) Message {
	c.Phone.T.Helper()
	m := c.Phone.Await(limit, "BYE", func(m Message) bool { return m.Method() == "BYE" && m.Get("call-id") == c.ID })
	c.Phone.Reply(m, 200, Reply{})
	return m
}
