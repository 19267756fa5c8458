package call

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/siptest"
	"tandem/sip/transport"
)

// phone is a peer of the test's, at one extension. It says nothing by itself.
type phone struct {
	*siptest.Peer
	o    *office
	ext  string
	flow transport.Flow // to the switch
	deaf bool           // nobody asks what it hears
	read int            // messages taken note of

	challenges bool // a carrier, to which we may prove who we are
}

// phone puts a phone on the network, 192.0.2.N, without registering it.
func (o *office) phone(proto transport.Proto, ext string, n int) *phone {
	o.Helper()
	p := &phone{o: o, ext: ext, Peer: o.net.Peer(proto, fmt.Sprintf("192.0.2.%d:5060", n))}
	o.phones = append(o.phones, p)
	p.connect()
	return p
}

func (p *phone) connect() {
	p.o.Helper()
	if p.Proto() == transport.UDP {
		p.flow = p.Peer.Flow(switchAddr)
		return
	}
	f, err := p.Connect(switchAddr)
	if err != nil {
		p.o.Fatal(err)
	}
	p.flow = f
}

// alice is 1001 at 192.0.2.1, who calls.
func (o *office) alice() *phone { o.Helper(); return o.phone(transport.UDP, "1001", 1) }

// bob is 1002 at 192.0.2.2, registered.
func (o *office) bob() *phone { o.Helper(); return o.registered("1002", 2) }

// registered is a phone over UDP with a binding.
func (o *office) registered(ext string, n int) *phone {
	o.Helper()
	p := o.phone(transport.UDP, ext, n)
	p.register("")
	return p
}

// register gives the phone a binding over the flow that it has.
func (p *phone) register(instance string) {
	p.o.Helper()
	f := p.back()
	p.o.locator.add(p.ext, registrar.Binding{
		AOR: p.ext, Contact: p.contactURI(), Flow: f, Source: f.Remote(), Instance: instance, Q: 1000,
	})
}

// back is the switch's flow to the phone.
func (p *phone) back() transport.Flow {
	p.o.Helper()
	if p.Proto() == transport.UDP {
		return p.o.udp.Flow(p.Addr().String())
	}
	seen := make(chan transport.Flow, 1)
	was := p.o.board.registrar
	p.o.board.registrar = flowCatcher{was, seen}
	p.SendText(p.flow, string(siptest.Request{Method: sip.REGISTER, CallID: "reg-" + p.ext, From: p.from("r")}.Bytes(p.flow)))
	f := <-seen
	p.o.settle()
	p.o.board.registrar = was
	return f
}

type flowCatcher struct {
	Registrar
	seen chan transport.Flow
}

func (c flowCatcher) AppendReceive(dst []byte, _ time.Time, f transport.Flow, _ *sip.Message) []byte {
	c.seen <- f
	return dst
}

func (p *phone) contactURI() string { return "sip:phone" + p.ext + "@" + p.Addr().String() }

func (p *phone) contact() string { return "Contact: <" + p.contactURI() + ">" }

func (p *phone) from(tag string) string {
	return "\"Phone " + p.ext + "\" <sip:" + p.ext + "@" + domain + ">;tag=" + tag
}

// left is what the phone heard and nobody took note of.
func (p *phone) left() []siptest.Received {
	all := p.All()
	return all[min(p.read, len(all)):]
}

// next is the next message but for 100 Trying; it lets time pass, at most d.
func (p *phone) within(d time.Duration) (siptest.Received, bool) {
	end := p.o.net.Since() + d
	for {
		p.o.settle()
		for _, r := range p.left() {
			p.read++
			if r.Status() != 100 {
				return r, true
			}
		}
		if p.o.net.Since() >= end {
			return siptest.Received{}, false
		}
		p.wait(end)
	}
}

// wait lets time pass until something comes, or the instant is there.
func (p *phone) wait(end time.Duration) {
	came := make(chan struct{}, 1)
	p.Script(func(siptest.Received) {
		select {
		case came <- struct{}{}:
		default:
		}
	})
	defer p.Script(nil)
	select {
	case <-came:
	case <-time.After(end - p.o.net.Since()):
	}
}

// hears takes note of the next message, which must be what was expected: a method, or a status with or without the
// method that it answers.
func (p *phone) hears(what string) siptest.Received {
	p.o.Helper()
	r, ok := p.within(40 * time.Second)
	if !ok {
		p.o.Fatalf("%s hears nothing at %v, want %s", p.ext, p.o.net.Since(), what)
	}
	got := r.Method()
	if !r.IsRequest() {
		got = strconv.Itoa(r.Status())
		if strings.Contains(what, " ") {
			got += " " + r.CSeqMethod()
		}
	}
	if got != what {
		p.o.Fatalf("%s hears %s at %v, want %s:\n%s", p.ext, got, r.At, what, r.Raw())
	}
	return r
}

// hearsNothing lets time pass in which nothing must come.
func (p *phone) hearsNothing(d time.Duration) {
	p.o.Helper()
	if r, ok := p.within(d); ok {
		p.o.Fatalf("%s hears at %v:\n%s", p.ext, r.At, r.Raw())
	}
}

// hearsAll takes note of messages that come together in any order.
func (p *phone) hearsAll(what ...string) (all map[string]siptest.Received) {
	p.o.Helper()
	all = map[string]siptest.Received{}
	for range what {
		r, ok := p.within(0)
		if !ok {
			break
		}
		name := r.Method()
		if !r.IsRequest() {
			name = strconv.Itoa(r.Status()) + " " + r.CSeqMethod()
		}
		all[name] = r
	}
	for _, w := range what {
		if _, ok := all[w]; !ok {
			p.o.Fatalf("%s does not hear %s but %v", p.ext, w, all)
		}
	}
	return all
}

// authorization is the credentials of an extension for one request, made from a fresh challenge for that address.
func (o *office) authorization(ext string, source netip.AddrPort, method, uri, body string) string {
	o.Helper()
	var resp sip.Message
	text := "SIP/2.0 401 Unauthorized\r\n"
	for _, c := range o.authority.Challenge(time.Now(), &sip.Message{Source: source}, false) {
		text += "WWW-Authenticate: " + c + "\r\n"
	}
	if err := resp.Parse(text + "\r\n"); err != nil {
		o.Fatal(err)
	}
	var s digest.Session
	_, value, err := s.Answer(&resp, digest.NewCredential(ext, realm, secretWord+ext), method, uri, []byte(body))
	if err != nil {
		o.Fatal(err)
	}
	return "Authorization: " + value
}

// invites sends an authenticated INVITE.
func (p *phone) invites(to, body string, lines ...string) *dialogue {
	p.o.Helper()
	return p.invitesAs(siptest.Request{Body: body, Lines: lines}, to)
}

// invitesAs does it with a request filled in partly.
func (p *phone) invitesAs(r siptest.Request, to string) *dialogue {
	p.o.Helper()
	p.o.calls++
	d := &dialogue{phone: p, cseq: 1, callID: fmt.Sprintf("callid-%s-%d", p.ext, p.o.calls), target: "sip:" + to + "@" + domain}
	r.Method, r.CallID, r.Branch = sip.INVITE, d.callID, sip.NewBranch()
	if r.From == "" {
		r.From = p.from("tag" + strconv.Itoa(p.o.calls))
	}
	if r.To == "" {
		r.To = "<sip:" + to + "@" + domain + ">"
	}
	if r.URI == "" {
		r.URI = d.target
	}
	auth := p.o.authorization(p.ext, p.flow.Local(), sip.INVITE, r.URI, r.Body)
	r.Lines = append([]string{p.contact(), auth, "User-Agent: AlicePhone/1"}, r.Lines...)
	d.local, d.request = r.From, r
	p.Send(p.flow, r)
	return d
}

// rung is the callee's side of an INVITE that it hears.
func (p *phone) rung() *dialogue {
	p.o.Helper()
	r := p.hears(sip.INVITE)
	return p.side(r)
}

func (p *phone) side(r siptest.Received) *dialogue {
	a, _ := r.Address(sip.HeaderContact)
	return &dialogue{
		phone: p, invite: r, callID: r.CallID(), target: a.URI, cseq: 100,
		local: r.Header(sip.HeaderTo) + ";tag=" + p.Tag(), remote: r.Header(sip.HeaderFrom),
	}
}

// replies answers any request.
func (p *phone) replies(r siptest.Received, status int, body string, lines []string, tag string) {
	p.o.Helper()
	if status == 100 {
		tag = ""
	}
	w := sip.NewWriter(nil)
	w.Respond(r.Message, status, "", tag)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		w.Add(name, strings.TrimSpace(value))
	}
	w.Finish("application/sdp", []byte(body))
	raw, err := w.Bytes()
	if err != nil {
		p.o.Fatal(err)
	}
	p.SendText(r.Flow, string(raw))
}

// ok answers a request that must come next.
func (p *phone) oks(method string, lines ...string) siptest.Received {
	p.o.Helper()
	r := p.hears(method)
	p.replies(r, 200, "", lines, "")
	return r
}

// talk makes an answered call between two phones, both of which have settled.
func (o *office) talk(alice, bob *phone) (a, b *dialogue) {
	o.Helper()
	a = alice.invites(bob.ext, "offer of alice")
	b = bob.rung()
	b.says(200, "answer of bob")
	bob.hears(sip.ACK)
	a.hears("200")
	a.acks("")
	o.settle()
	if o.journal != nil {
		o.pass(soonAfter) // the ACK is known to whoever goes on with the call
	}
	return a, b
}

// hangsUp ends the only call from one side.
func (o *office) hangsUp(from, to *dialogue) {
	o.Helper()
	o.leaves(from, to)
	o.idle()
}

// leaves ends a call from one side.
func (o *office) leaves(from, to *dialogue) {
	o.Helper()
	from.asks(sip.BYE, "")
	from.hears("200 BYE")
	to.oks(sip.BYE)
}
