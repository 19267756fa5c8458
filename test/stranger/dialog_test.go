package stranger

import (
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// Whoever knows a call's Call-ID, and even one of its tags, does not speak in it: 481, and the call goes on.
func TestForgedDialog(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.phone("1001"), o.phone("1002")
	c := connect(t, alice, bob)
	evil := o.stranger("1003")
	forge := func(method string, to, from string) wire.Request {
		return wire.Request{
			Method: method, URI: "sip:" + evil.Domain, CallID: c.a.ID, Seq: 1000,
			To: "<" + evil.URI("1002") + ">;tag=" + to, From: "<" + evil.URI("1001") + ">;tag=" + from, Contact: evil.Contact(),
		}
	}
	for _, method := range []string{"BYE", "INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "MESSAGE", "PRACK", "OPTIONS"} {
		for name, tags := range map[string][2]string{
			"neither tag": {wire.Token(), wire.Token()}, "the caller's tag": {wire.Token(), c.a.Tag},
			"the caller's tag twice": {c.a.Tag, c.a.Tag}, "the switch's tag": {wire.Tag(c.a.To), wire.Token()},
		} {
			r := forge(method, tags[0], tags[1])
			if method == "INVITE" || method == "UPDATE" {
				r.Body = wire.NewMedia(t, evil.Local.Addr().String(), "EVIL").SDP()
			}
			if m := evil.Do(r); m.Status() != 481 {
				t.Errorf("%s with %s: %s", method, name, m.Raw)
			}
		}
	}
	evil.Send(evil.Text(forge("ACK", wire.Tag(c.a.To), wire.Token())))
	evil.Send(evil.Text(forge("CANCEL", wire.Tag(c.a.To), c.a.Tag)))
	nothingNew(t, alice)
	bob.Quiet(10 * time.Millisecond)
	c.goesOn()
	if _, lost := c.pure(); lost != 0 {
		t.Errorf("%d packets lost", lost)
	}
	if n := o.Metrics()["tandem_calls"]; n != 1 {
		t.Errorf("%v calls", n)
	}
	c.end()
	o.Idle(2 * time.Second)
}

// nothingNew wants a caller to hear nothing. What is provisional may come again: on a busy machine her INVITE did.
func nothingNew(t *testing.T, caller *wire.Phone) {
	t.Helper()
	if m, ok := caller.Poll(200*time.Millisecond, func(m wire.Message) bool { return m.Method() != "" || m.Status() >= 200 }); ok {
		t.Errorf("the caller heard %s", m.Raw)
	}
}

// A stranger cannot cancel a call that rings, nor answer in the callee's place.
func TestForgedWhileRinging(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.phone("1001"), o.phone("1002")
	c := prepare(t, alice, bob)
	c.place(alice, bob)
	evil := o.stranger("1001")
	cancel := c.a.Invite
	cancel.Method, cancel.Body, cancel.Authority = "CANCEL", "", ""
	cancel.Branch = "z9hG4bK" + wire.Token()
	if m := evil.Do(cancel); m.Status() != 481 {
		t.Errorf("CANCEL with another branch: %s", m.Raw)
	}
	cancel.Branch = c.a.Invite.Branch // known from the wire, but sent from another address: the sent-by of Via differs
	if m := evil.Do(cancel); m.Status() != 481 {
		t.Errorf("CANCEL with the branch from elsewhere: %s", m.Raw)
	}
	for _, status := range []int{200, 486} {
		evil.Send(swap(t, reply(c.b, status), c.b.Asked.Branch(), "z9hG4bK"+wire.Token()))
	}
	nothingNew(t, alice)
	c.answer()
	c.end()
}

// reply is the text of a response to the INVITE that a phone was sent.
func reply(c *wire.Call, status int) string {
	text := "SIP/2.0 200 OK\r\n"
	if status != 200 {
		text = "SIP/2.0 486 Busy Here\r\n"
	}
	for _, h := range c.Asked.Headers {
		switch h.Name {
		case "via", "from", "call-id", "cseq":
			text += h.Name + ": " + h.Value + "\r\n"
		case "to":
			text += "To: " + h.Value + ";tag=evil\r\n"
		}
	}
	return text + "Contact: <sip:evil@" + c.Phone.Local.String() + ">\r\nContent-Length: 0\r\n\r\n"
}

// Responses to nothing, and to what was never asked, are dropped.
func TestStrayResponses(t *testing.T) {
	t.Parallel()
	o := open(t)
	evil := wire.UDP(t, binary.Host(), 0, o.Addr(5060))
	for _, status := range []string{"100 Trying", "180 Ringing", "200 OK", "302 Moved", "401 No", "487 Gone", "603 No", "699 ?"} {
		for _, cseq := range []string{"1 INVITE", "1 BYE", "1 REGISTER", "1 OPTIONS"} {
			evil.Send("SIP/2.0 " + status + "\r\nVia: SIP/2.0/UDP " + o.Addr(5060) + ";branch=z9hG4bK" + wire.Token() +
				"\r\nVia: SIP/2.0/UDP 127.255.255.255:5060;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: " +
				wire.Token() + "\r\nCSeq: " + cseq + "\r\nContact: <sip:1002@" + evil.Local.String() + ">\r\nContent-Length: 0\r\n\r\n")
		}
	}
	evil.Quiet(200 * time.Millisecond)
	o.alive()
	o.Idle(time.Second)
}
