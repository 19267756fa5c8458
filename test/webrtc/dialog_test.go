package webrtc

import (
	"strings"
	"testing"
	"time"

	"tandem/test/wire"
)

// line gives the values of a description's lines with a prefix.
func line(sdp, prefix string) (out []string) {
	for l := range strings.SplitSeq(sdp, "\r\n") {
		if rest, ok := strings.CutPrefix(l, prefix); ok {
			out = append(out, rest)
		}
	}
	return out
}

// direction is the direction of the one section.
func direction(sdp string) string {
	for _, d := range []string{"sendrecv", "sendonly", "recvonly", "inactive"} {
		if strings.Contains(sdp, "\r\na="+d+"\r\n") {
			return d
		}
	}
	return ""
}

// talk is a page that has called a phone, or been called by it.
type talk struct {
	*office
	page, phone *wire.Call
	pm          *wire.Browser
	bm          *wire.Media
	answer      wire.Message // the 200 to the page
}

func (o *office) talk() *talk {
	o.t.Helper()
	alice, bob := o.page("1001"), o.phone("1002")
	c := &talk{office: o, pm: wire.NewBrowser(o.t, "ALIC", wire.PCMU, nil), bm: wire.NewMedia(o.t, bob.Local.Addr().String(), "BOB!")}
	c.page = alice.Invite("1002", c.pm.Offer())
	c.phone = bob.Rung()
	c.phone.Respond(200, c.bm.Answer(c.phone.Asked.Body))
	c.bm.Start(o.t, c.phone.Asked.Body)
	c.phone.Acked()
	c.answer = c.page.Final(5 * time.Second)
	c.page.Ack()
	c.pm.Answered(c.answer.Body)
	c.goesOn()
	return c
}

// goesOn waits for ten more packets both ways.
func (c *talk) goesOn() {
	c.t.Helper()
	before, _ := c.bm.Heard("ALIC")
	back := c.pm.Heard("BOB!")
	c.soon("sound both ways", func() bool {
		got, _ := c.bm.Heard("ALIC")
		return got >= before+10 && c.pm.Heard("BOB!") >= back+10
	})
}

func (c *talk) ends() {
	c.t.Helper()
	c.page.Bye()
	c.phone.Ended(5 * time.Second)
	c.Idle(10 * time.Second)
}

// Early media: the description of the 183 is that of the 200 to the byte, since JsSIP takes the first for its answer and applies the second
// again, and the page hears the phone before it answers.
func TestEarlyMedia(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.page("1001"), o.phone("1002")
	am, bm := wire.NewBrowser(t, "ALIC", wire.PCMU, nil), wire.NewMedia(t, bob.Local.Addr().String(), "BOB!")
	a := alice.Invite("1002", am.Offer())
	b := bob.Rung()
	answer := bm.Answer(b.Asked.Body)
	b.Respond(183, answer)
	bm.Start(t, b.Asked.Body)
	early := a.Provisional(183)
	am.Answered(early.Body)
	o.soon("early media", func() bool { return am.Heard("BOB!") >= 10 })
	b.Respond(200, answer)
	b.Acked()
	m := a.Final(5 * time.Second)
	a.Ack()
	if m.Body != early.Body || m.Body == "" {
		t.Errorf("183 says\n%s\n200 says\n%s", early.Body, m.Body)
	}
	o.soon("sound both ways", func() bool {
		got, _ := bm.Heard("ALIC")
		return got >= 10
	})
	a.Bye()
	b.Ended(5 * time.Second)
	o.Idle(10 * time.Second)
}

// Hold and resume by the page: by direction, with ICE and DTLS as they are.
func TestPageHolds(t *testing.T) {
	t.Parallel()
	c := open(t).talk()
	for _, step := range []struct{ page, phone string }{{"sendonly", "recvonly"}, {"inactive", "inactive"}, {"sendrecv", "sendrecv"}} {
		offer := strings.Replace(c.pm.Offer(), "a=sendrecv", "a="+step.page, 1)
		request := c.page.Next("INVITE", offer)
		c.page.Phone.Send(c.page.Phone.Text(request))
		asked := c.phone.Phone.Request(5*time.Second, "INVITE")
		if got := direction(asked.Body); got != step.page {
			t.Errorf("phone is asked for %s, want %s", got, step.page)
		}
		c.phone.Phone.Reply(asked, 200, wire.Reply{Contact: c.phone.Phone.Contact(), Body: c.bm.Answer(asked.Body, step.phone)})
		m := c.page.Phone.Await(5*time.Second, "answer", func(m wire.Message) bool {
			n, _ := m.CSeq()
			return m.Status() == 200 && n == request.Seq
		})
		c.page.AckTo(m)
		if got := direction(m.Body); got != step.phone {
			t.Errorf("page is answered %s, want %s", got, step.phone)
		}
		for _, same := range []string{"a=ice-ufrag:", "a=fingerprint:", "a=setup:", "a=candidate:"} {
			if got, want := line(m.Body, same), line(c.answer.Body, same); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s%v, before %v", same, got, want)
			}
		}
		c.pm.Answered(m.Body)
	}
	c.goesOn()
	c.ends()
}

// Hold and resume by the phone, the old way too.
func TestPhoneHolds(t *testing.T) {
	t.Parallel()
	c := open(t).talk()
	for _, step := range []struct{ name, sdp, page string }{
		{"sendonly", c.bm.SDP("sendonly"), "sendonly"},
		{"resume", c.bm.SDP("sendrecv"), "sendrecv"},
		{"c=0.0.0.0", strings.Replace(c.bm.SDP("sendonly"), "c=IN IP4 "+c.bm.Local.Addr().String(), "c=IN IP4 0.0.0.0", 1), "sendonly"},
		{"resume again", c.bm.SDP("sendrecv"), "sendrecv"},
	} {
		request := c.phone.Next("INVITE", step.sdp)
		c.phone.Phone.Send(c.phone.Phone.Text(request))
		asked := c.page.Phone.Request(5*time.Second, "INVITE")
		if got := direction(asked.Body); got != step.page {
			t.Errorf("%s: page is asked for %s, want %s", step.name, got, step.page)
		}
		c.page.Phone.Reply(asked, 200, wire.Reply{Contact: c.page.Phone.Contact(), Body: c.pm.Answer(asked.Body)})
		m := c.phone.Phone.Await(5*time.Second, "answer", func(m wire.Message) bool {
			n, _ := m.CSeq()
			return m.Status() == 200 && n == request.Seq
		})
		c.phone.AckTo(m)
	}
	c.goesOn()
	c.ends()
}

// A phone that makes no offer gets ours; the page gets one too, and both hear each other.
func TestLateOffer(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.phone("1001"), o.page("1002")
	am, bm := wire.NewMedia(t, alice.Local.Addr().String(), "ALIC"), wire.NewBrowser(t, "BOB!", wire.PCMU, nil)
	a := alice.Invite("1002", "")
	b := bob.Rung()
	b.Respond(200, bm.Answer(b.Asked.Body))
	b.Acked()
	m := a.Final(5 * time.Second)
	ack := a.Next("ACK", am.Answer(m.Body))
	ack.Seq = a.Invite.Seq
	alice.Send(alice.Text(ack))
	am.Start(t, m.Body)
	o.soon("sound both ways", func() bool {
		got, _ := am.Heard("BOB!")
		return got >= 10 && bm.Heard("ALIC") >= 10
	})
	b.Bye()
	a.Ended(5 * time.Second)
	o.Idle(10 * time.Second)
}

// A key that JsSIP sends by INFO reaches the phone as a telephone-event (RFC 4733).
func TestKeyByINFO(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.page("1001"), o.phone("1002")
	am, bm := wire.NewBrowser(t, "ALIC", wire.PCMU, nil), wire.NewMedia(t, bob.Local.Addr().String(), "BOB!")
	a := alice.Invite("1002", am.Offer())
	b := bob.Rung()
	answer := bm.Answer(b.Asked.Body)
	answer = strings.Replace(answer, " RTP/AVP 0\r\n", " RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n", 1)
	b.Respond(200, answer)
	bm.Start(t, b.Asked.Body)
	b.Acked()
	m := a.Final(5 * time.Second)
	a.Ack()
	am.Answered(m.Body)
	info := a.Next("INFO", "Signal=5\r\nDuration=100\r\n")
	info.Type = "application/dtmf-relay"
	if m := alice.Do(info); m.Status() != 200 {
		t.Fatalf("INFO: %s", m.Raw)
	}
	o.soon("the key", func() bool {
		for _, e := range bm.Marks() {
			if strings.HasPrefix(e, "\x05") || strings.Contains(e, `\x05`) { // the event's code is where a mark would be
				return true
			}
		}
		return false
	})
	a.Bye()
	b.Ended(5 * time.Second)
	o.Idle(10 * time.Second)
}

// A call that is given up in each stage leaves nothing: no port, no goroutine, no session.
func TestCallsGivenUp(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.page("1001"), o.phone("1002")
	for range 3 {
		am := wire.NewBrowser(t, "ALIC", wire.PCMU, nil)
		a := alice.Invite("1002", am.Offer())
		b := bob.Rung()
		bm := wire.NewMedia(t, bob.Local.Addr().String(), "BOB!")
		b.Respond(183, bm.Answer(b.Asked.Body))
		am.Answered(a.Provisional(183).Body) // ICE and DTLS have begun
		a.Cancel()
		if m := a.Final(5 * time.Second); m.Status() != 487 {
			t.Fatalf("INVITE: %s", m.Raw)
		}
		cancel := bob.Request(5*time.Second, "CANCEL")
		bob.Reply(cancel, 200, wire.Reply{})
		b.Respond(487, "")
		am.Stop()
		bm.Stop()
	}
	o.Idle(10 * time.Second)
}
