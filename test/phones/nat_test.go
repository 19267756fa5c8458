package phones

import (
	"bytes"
	"strings"
	"testing"

	"tandem/cmd/tandem/phone"
)

// elsewhere is the address that a phone behind a NAT believes to have. Nobody is there; it stays on this machine, because
// the first packets do go to where the session description says.
const elsewhere = "127.99.99.99"

// A phone behind a NAT: its Via, Contact and session descriptions name an address that leads nowhere, but it sends and
// receives on one port each. It registers, is called, is heard and hears, and gets keys as telephone-events although
// they came by INFO.
func TestPhoneBehindNATIsCalled(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	p := o.raw(t, elsewhere)
	if m := p.final("REGISTER", "", "<sip:"+p.user+"@"+o.Host+">", ""); m.status() != 200 {
		t.Fatalf("REGISTER: %s", m)
	} else if via := m.header("Via"); !strings.Contains(via, "received=127.0.0.1") || !strings.Contains(via, "rport=") {
		t.Errorf("Via of the answer: %s", via)
	}
	a, from := o.desk(t, "tls")
	call, err := a.Dial(within(t), p.user, phone.CallOptions{Play: "tone:440"})
	must(t, "dial", err)
	invite := p.read()
	if !strings.HasPrefix(string(invite), "INVITE sip:") {
		t.Fatalf("not an INVITE: %s", invite)
	}
	p.answer(invite, "180 Ringing", "")
	must(t, "ringing", call.WaitRinging(within(t)))
	p.answer(invite, "200 OK", p.offer())
	must(t, "answered", call.WaitAnswered(within(t)))
	if ack := p.read(); !strings.HasPrefix(string(ack), "ACK ") {
		t.Fatalf("not an ACK: %s", ack)
	}
	to := invite.media(t)
	p.talk(to, 0xd5^0x2a, func(h heardRTP) bool { return h.audio > 50 })
	if r := call.Report(); r.Received < 30 || r.LossPercent > 2 {
		t.Errorf("the caller received %d packets and lost %.1f%%", r.Received, r.LossPercent)
	}
	must(t, "INFO", call.SendInfo(within(t), "7"))
	const whole = 10                                                        // packets of a key of 160 ms: eight, and its end twice more (RFC 4733 §2.5.1.4)
	p.talk(to, 0xd5, func(h heardRTP) bool { return h.events[7] == whole }) // until then the other leg is not heard
	must(t, "key", call.SendDTMF(within(t), "#"))
	p.talk(to, 0xd5, func(h heardRTP) bool { return h.events[11] == whole })
	ending := make(chan error, 1)
	go func() { ending <- call.Hangup(within(t)) }()
	bye := p.read()
	if !strings.HasPrefix(string(bye), "BYE ") {
		t.Fatalf("not a BYE: %s", bye)
	}
	p.answer(bye, "200 OK", "")
	must(t, "hang up", <-ending)
	if l := o.record(t, from, 1).leg(t, p.user); l.Media.In.Packets < 50 {
		t.Errorf("the switch received %d packets of the phone behind the NAT", l.Media.In.Packets)
	}
	o.Idle(patience)
}

// The same phone calls: the echo brings its own packets back.
func TestPhoneBehindNATCalls(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	p := o.raw(t, elsewhere)
	m := p.final("INVITE", "9196", "<sip:9196@"+o.Host+">", p.offer())
	if m.status() != 200 {
		t.Fatalf("INVITE: %s", m)
	}
	p.ack(m, "9196")
	const payload = 0x5a
	echo := p.talk(m.media(t), payload, func(h heardRTP) bool { return h.audio > 50 })
	if want := bytes.Repeat([]byte{payload}, 160); !bytes.Equal(echo.last, want) {
		t.Errorf("the echo brought %x", echo.last)
	}
	p.write(p.request("BYE", "9196", m.header("To"), "", ""))
	if bye := p.read(); bye.status() != 200 {
		t.Errorf("BYE: %s", bye)
	}
	if r := o.record(t, p.user, 1); r.Status != 200 || r.EndedBy != "a" {
		t.Errorf("record: %+v", r)
	}
	o.Idle(patience)
}
