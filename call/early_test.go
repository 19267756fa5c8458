package call

import (
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/siptest"
)

// Early media passes, and the answer of the 200 is the one that the 183 had.
func TestEarlyMedia(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(183, "early answer of bob")
		early := a.hears("183")
		if early.Body() != "answer of a: sendrecv" || o.media.of("a").joined != o.media.of("b1") {
			o.Errorf("183 with %q", early.Body())
		}
		b.says(180, "") // of the branch that is heard: the caller may know
		a.hears("180")
		o.pass(3 * time.Second)
		b.says(200, "early answer of bob")
		bob.hears(sip.ACK)
		if ok := a.hears("200"); ok.Body() != early.Body() || ok.ToTag() != early.ToTag() {
			o.Errorf("200 with %q", ok.Body())
		}
		a.acks("")
		alice.hearsNothing(5 * time.Second) // nothing has changed: no re-INVITE
		o.hangsUp(a, b)
	})
}

// The answer may have come in the 183 alone.
func TestEarlyAnswerOnly(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(183, "early answer of bob")
		a.hears("183")
		b.says(200, "")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.hangsUp(a, b)
	})
}

// A session description in a provisional that cannot be used is not the end of the branch.
func TestBrokenEarlyMedia(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(183, "broken")
		if r := a.hears("183"); r.Body() != "" {
			o.Errorf("183 with %q", r.Body())
		}
		b.says(183, "early answer of bob")
		a.hears("183")
		b.says(486, "")
		bob.hears(sip.ACK)
		a.hears("486")
	})
}

// Of two branches with early media the last one is heard, the caller's answer stays, and the winner is joined.
func TestTwoBranchesWithEarlyMedia(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, one, two := o.alice(), o.registered("1002", 2), o.registered("1002", 3)
		a := alice.invites("1002", "offer of alice")
		x, y := one.rung(), two.rung()
		x.says(183, "early answer of one")
		first := a.hears("183")
		y.says(180, "") // would have the caller's phone ring over what it hears
		alice.hearsNothing(time.Second)
		one.deaf, two.deaf = true, true // INVITE again until they say something: x has, y has
		y.says(183, "early answer of two")
		if r := a.hears("183"); r.Body() != first.Body() || o.media.of("a").joined != o.media.of("b2") {
			o.Errorf("second 183: %q", r.Body())
		}
		x.says(200, "early answer of one")
		one.hears(sip.ACK)
		if r := a.hears("200"); r.Body() != first.Body() || o.media.of("a").joined != o.media.of("b1") {
			o.Error("the winner is not heard")
		}
		a.acks("")
		y.hearsCancelled()
		if s := o.media.of("b2"); !s.closed {
			o.Error("the other's ports are kept")
		}
		o.hangsUp(a, x)
	})
}

// When the branch that is heard fails, the caller is parted from it.
func TestEarlyMediaOfABranchThatFails(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, one, two := o.alice(), o.registered("1002", 2), o.registered("1002", 3)
		a := alice.invites("1002", "offer of alice")
		x, y := one.rung(), two.rung()
		x.says(183, "early answer of one")
		a.hears("183")
		x.says(486, "")
		one.hears(sip.ACK)
		if s := o.media.of("a"); s.joined != nil {
			o.Error("joined with a closed session")
		}
		y.says(180, "")
		a.hears("180")
		y.says(200, "answer of two")
		two.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.hangsUp(y, a)
	})
}

// The callee resumes with its answer what its early media held: the caller has had its answer, so it is offered anew.
func TestEarlyMediaThatHolds(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(183, "early answer sendonly")
		a.hears("183")
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		alice.hearsNothing(100 * time.Millisecond)
		a.acks("")
		re := alice.hears(sip.INVITE)
		if re.Body() != "offer 1 of a: sendrecv" {
			o.Errorf("offered %q", re.Body())
		}
		a.replies(re, 200, "answer of alice", []string{a.contact()}, "")
		alice.hears(sip.ACK)
		o.hangsUp(a, b)
	})
}

// A BYE in the early dialog ends the call like a CANCEL (RFC 3261 §15): the INVITE gets its 487.
func TestByeBeforeTheAnswer(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(180, "")
		a.hears("180")
		invite := a.request
		a.asks(sip.BYE, "")
		got := a.hearsAll("200 BYE", "487 INVITE")
		a.request = invite
		a.acksRefusal(got["487 INVITE"])
		b.hearsCancelled()
		o.idle()
	})
}

// A callee must not send BYE in an early dialog. One that does is answered, and its INVITE decides.
func TestByeOfARingingCallee(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(180, "")
		a.hears("180")
		b.asks(sip.BYE, "")
		b.phone.hears("200 BYE")
		b.says(487, "")
		bob.hears(sip.ACK)
		a.hears("487")
	})
}

// Before the answer the one offer is still open: a second INVITE waits, an UPDATE without an offer does not
// (RFC 3261 §14.2, RFC 3311 §5.2).
func TestRequestsInTheEarlyDialog(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.asks(sip.OPTIONS, "") // no dialog yet
		bob.hears("481 OPTIONS")
		b.says(183, "early answer of bob")
		a.hears("183")
		first := a.remote
		for _, x := range []struct {
			d            *dialogue
			method, body string
			want         string
		}{
			{a, sip.UPDATE, "", "200"}, {a, sip.UPDATE, "offer", "500"}, {a, sip.INVITE, "offer", "500"},
			{b, sip.UPDATE, "", "200"}, {b, sip.UPDATE, "offer", "491"}, {b, sip.INVITE, "offer", "491"},
			{a, sip.OPTIONS, "", "200"}, {b, sip.INFO, "x", "200"}, {a, sip.PRACK, "", "481"},
		} {
			r := x.d.asks(x.method, x.body)
			got := x.d.phone.hears(x.want + " " + x.method)
			if x.want == "500" && !got.Has(sip.HeaderRetryAfter) {
				o.Error("500 without Retry-After")
			}
			if x.method == sip.INVITE {
				x.d.Send(x.d.flow, siptest.Request{Method: sip.ACK, URI: r.URI, Branch: r.Branch, From: r.From, To: r.To, CallID: r.CallID, CSeq: r.CSeq})
			}
		}
		a.remote = first
		b.says(486, "")
		bob.hears(sip.ACK)
		a.phone.hears("486 INVITE")
		a.Send(a.flow, siptest.Request{Method: sip.ACK, URI: a.request.URI, Branch: a.request.Branch, From: a.local, To: a.remote, CallID: a.callID, CSeq: 1})
	})
}
