package media

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"tandem/media/sdp"
)

// t38 is a fax machine's section.
var t38 = &sdp.Media{Kind: "image", Proto: "udptl", Port: 9, Formats: []string{"t38"}, Attributes: []sdp.Attribute{
	{Name: "T38FaxVersion", Value: "0"}, {Name: "T38MaxBitRate", Value: "14400"}, {Name: "T38FaxFillBitRemoval", Flag: true},
	{Name: "t38faxratemanagement", Value: "transferredTCF"}, {Name: "T38FaxUdpEC", Value: "t38UDPRedundancy"}, {Name: "x-secret", Value: "10.0.0.1"},
}}

// faxes goes from speech to fax: a asks, b takes it.
func faxes(a, b *phone) {
	a.t.Helper()
	if err := a.s.SetOffer(a.neg.Offer(sdp.Capabilities{Fax: t38, RTP: a.addr()})); err != nil {
		a.t.Fatal(err)
	}
	if !a.s.Fax() || b.s.Fax() {
		a.t.Error("who wants a fax?")
	}
	body, err := b.s.CreateOffer(a.s)
	d := b.parse(body, err)
	if f, i := d.Fax(); f == nil || i != 0 || len(d.Media) != 1 || f.Port != b.s.Local().Port() || len(f.Attributes) != 5 || strings.Contains(string(body), "10.0.0.1") {
		a.t.Fatalf("b is offered\n%s", body)
	}
	answer, got, err := b.neg.Answer(d, sdp.Capabilities{Fax: t38, RTP: b.addr()}, sdp.Codec{})
	b.agree(got, err)
	if err := b.s.SetAnswer(answer); err != nil {
		a.t.Fatal(err)
	}
	a.isAnswered(b.s)
	if !a.s.Fax() || !b.s.Fax() || a.s.RemoteDirection() != SendRecv {
		a.t.Error("fax is not agreed")
	}
}

// sends sends one UDPTL packet, which the other hears as it is.
func (p *phone) sends(to *phone, seq byte) {
	p.t.Helper()
	packet := []byte{0, seq, 3, 0xc0, 1, 0x80, 0, 0}
	if _, err := p.udp.WriteToUDPAddrPort(packet, p.got.RTP); err != nil {
		p.t.Fatal(err)
	}
	b := make([]byte, 100)
	_ = to.udp.SetReadDeadline(time.Now().Add(2 * time.Second))
	n, from, err := to.udp.ReadFromUDPAddrPort(b)
	if err != nil || !bytes.Equal(b[:n], packet) || from.Port() != to.s.Local().Port() {
		p.t.Fatalf("%x from %v: %v", b[:n], from, err)
	}
}

// A call becomes a fax and speech again; addresses and ports stay, nobody else is let in.
func TestFax(t *testing.T) {
	e := run(t, local)
	a, b := call(t, e, Options{Call: "x", Leg: "a"}, "PCMA"), call(t, e, Options{Call: "x", Leg: "b"}, "PCMU")
	connect(a, b)
	talk(a, b)
	faxes(a, b)
	for seq := range byte(3) {
		a.sends(b, seq)
		b.sends(a, seq)
	}
	stranger, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 99)})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for seq := range byte(5) {
		_, _ = stranger.WriteToUDPAddrPort([]byte{0, seq, 3, 1, 2, 3}, a.got.RTP)
	}
	a.until("the stranger is heard and refused", func(s Stats) bool { return s.Drops["source"] == 5 })
	b.silent()
	if s := a.s.Stats(); s.Codec != "T38" || s.In.Packets < 6 {
		t.Errorf("%+v", s)
	}
	a.offers(SendRecv)
	if a.s.Fax() {
		t.Error("speech is offered, and it still wants a fax")
	}
	b.isOffered(a.s, SendRecv)
	a.isAnswered(b.s)
	talk(a, b)
}

// The other side refuses: both speak on.
func TestFaxRefused(t *testing.T) {
	e := run(t, local)
	a, b := call(t, e, Options{Call: "x", Leg: "a"}, "PCMA"), call(t, e, Options{Call: "x", Leg: "b"}, "PCMA")
	connect(a, b)
	if err := a.s.SetOffer(a.neg.Offer(sdp.Capabilities{Fax: t38, RTP: a.addr()})); err != nil {
		t.Fatal(err)
	}
	if _, err := b.s.CreateOffer(a.s); err != nil {
		t.Fatal(err)
	}
	a.s.Rollback()
	b.s.Rollback()
	a.neg.Withdraw()
	talk(a, b)
	if a.s.Fax() || b.s.Fax() {
		t.Error("a fax is left")
	}
	// Nobody behind it, as in a mailbox.
	if err := a.s.SetOffer(a.neg.Offer(sdp.Capabilities{Fax: t38, RTP: a.addr()})); err != nil {
		t.Fatal(err)
	}
	for name, like := range map[string]*Session{"nobody": nil, "a phone": b.s} {
		if _, err := a.s.CreateAnswer(like); !errors.Is(err, ErrNotAcceptable) {
			t.Errorf("%s takes a fax: %v", name, err)
		}
	}
	a.s.Rollback()
	a.neg.Withdraw()
	talk(a, b)
}

// UDPTL is not encrypted, so a leg that is does not go over to it, and does not pull another one down.
func TestNoFaxOnEncryptedLegs(t *testing.T) {
	e := run(t, local)
	o := Options{Secure: true, SRTP: SRTPOptional}
	a, b := call(t, e, o, "PCMA").encrypted(sdp.Optional), call(t, e, Options{}, "PCMA")
	connect(a, b)
	if err := a.s.SetOffer(a.neg.Offer(sdp.Capabilities{Fax: t38, RTP: a.addr()})); !errors.Is(err, ErrNotAcceptable) {
		t.Error("an encrypted leg takes a fax:", err)
	}
	if err := b.s.SetOffer(b.neg.Offer(sdp.Capabilities{Fax: t38, RTP: b.addr()})); err != nil {
		t.Fatal(err)
	}
	if _, err := a.s.CreateOffer(b.s); !errors.Is(err, ErrNotAcceptable) {
		t.Error("an encrypted leg is offered a fax:", err)
	}
	a.neg.Withdraw()
	b.neg.Withdraw()
	b.s.Rollback()
	talk(a, b)
}

// How fax is written by others.
func TestFaxSections(t *testing.T) {
	const head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
	for name, c := range map[string]struct {
		body string
		fax  bool
	}{
		"as it is":               {"m=image 5000 udptl t38\r\na=T38FaxVersion:0\r\n", true},
		"in large letters":       {"m=image 5000 UDPTL T38\r\n", true},
		"speech refused beside":  {"m=audio 0 RTP/AVP 8\r\nm=image 5000 udptl t38\r\n", true},
		"speech beside":          {"m=audio 4000 RTP/AVP 8\r\nm=image 5000 udptl t38\r\n", false},
		"refused":                {"m=image 0 udptl t38\r\nm=audio 4000 RTP/AVP 8\r\n", false},
		"over TCP":               {"m=image 5000 tcp t38\r\nm=audio 4000 RTP/AVP 8\r\n", false},
		"another image":          {"m=image 5000 udptl jpeg\r\nm=audio 4000 RTP/AVP 8\r\n", false},
		"over RTP, which is not": {"m=audio 4000 RTP/AVP 98\r\na=rtpmap:98 t38/8000\r\nm=image 5000 udptl t38\r\n", false},
	} {
		d, err := sdp.Parse([]byte(head + c.body))
		if err != nil {
			t.Fatal(name, err)
		}
		if f, _ := d.Fax(); (f != nil) != c.fax {
			t.Errorf("%s: %v", name, f)
		}
	}
}

// A peer that takes RTP/SAVP only is offered that, once.
func TestInsist(t *testing.T) {
	e := run(t, local)
	p := call(t, e, Options{Secure: true, SRTP: SRTPOptional}, "PCMA").encrypted(sdp.Required)
	if body, err := p.s.CreateOffer(nil); err != nil || !strings.Contains(string(body), " RTP/AVP ") {
		t.Fatalf("%v\n%s", err, body)
	}
	if !p.s.Insist() || p.s.Insist() {
		t.Error("not once")
	}
	if d := p.isOffered(nil, SendRecv); d.Media[0].Proto != "RTP/SAVP" || !p.got.Secured {
		t.Errorf("offered %s", d.Media[0].Proto)
	}
	for name, o := range map[string]Options{"plain signalling": {SRTP: SRTPOptional}, "off": {Secure: true}, "demanded": {Secure: true, SRTP: SRTPRequired}} {
		if call(t, e, o, "PCMA").s.Insist() {
			t.Error(name)
		}
	}
}
