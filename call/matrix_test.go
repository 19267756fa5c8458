package call

import (
	"fmt"
	"strings"
	"testing"

	"tandem/sip"
	"tandem/sip/siptest"
)

// stage is a state of a call that a request may meet, and the dialogues that it is sent in.
type stage struct {
	name  string
	reach func(o *office, alice, bob *phone) (a, b *dialogue)
}

var matrixStages = []stage{
	{"trying", func(o *office, alice, bob *phone) (a, b *dialogue) {
		a, b = alice.invites("1002", "offer of alice"), bob.rung()
		a.remote = a.request.To + ";tag=" + o.tagOf("a")
		return a, b
	}},
	{"ringing", func(o *office, alice, bob *phone) (a, b *dialogue) {
		a, b = alice.invites("1002", "offer of alice"), bob.rung()
		b.says(180, "")
		a.hears("180")
		return a, b
	}},
	{"early media", func(o *office, alice, bob *phone) (a, b *dialogue) {
		a, b = alice.invites("1002", "offer of alice"), bob.rung()
		b.says(183, "early answer")
		a.hears("183")
		return a, b
	}},
	{"before the ACK", func(o *office, alice, bob *phone) (a, b *dialogue) {
		a, b = alice.invites("1002", "offer of alice"), bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		return a, b
	}},
	{"before the ACK of a late offer", func(o *office, alice, bob *phone) (a, b *dialogue) {
		a, b = alice.invites("1002", ""), bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		return a, b
	}},
	{"up", func(o *office, alice, bob *phone) (a, b *dialogue) { return o.talk(alice, bob) }},
	{"held", func(o *office, alice, bob *phone) (a, b *dialogue) {
		a, b = o.talk(alice, bob)
		a.asks(sip.INVITE, "offer sendonly")
		b.replies(bob.hears(sip.INVITE), 200, "answer recvonly", []string{b.contact()}, "")
		bob.hears(sip.ACK)
		a.phone.hears("200")
		a.acks("")
		o.settle()
		return a, b
	}},
	{"asking for a hold", func(o *office, alice, bob *phone) (a, b *dialogue) {
		a, b = o.talk(alice, bob)
		a.asks(sip.INVITE, "offer sendonly")
		bob.hears(sip.INVITE)
		return a, b
	}},
	{"before the ACK of a re-INVITE", func(o *office, alice, bob *phone) (a, b *dialogue) {
		a, b = o.talk(alice, bob)
		a.asks(sip.INVITE, "")
		a.phone.hears("200")
		return a, b
	}},
	{"with the switch", func(o *office, alice, bob *phone) (a, b *dialogue) {
		a = alice.invites("400", "offer of alice")
		a.hears("200")
		a.acks("")
		o.settle()
		return a, nil
	}},
	{"hung up, not acknowledged", func(o *office, alice, bob *phone) (a, b *dialogue) {
		a, b = alice.invites("1002", "offer of alice"), bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		b.asks(sip.BYE, "")
		b.phone.hears("200 BYE")
		return a, b
	}},
	{"BYE not answered", func(o *office, alice, bob *phone) (a, b *dialogue) {
		a, b = o.talk(alice, bob)
		a.asks(sip.BYE, "")
		a.phone.hears("200 BYE")
		bob.hears(sip.BYE)
		return a, b
	}},
	{"over", func(o *office, alice, bob *phone) (a, b *dialogue) {
		a, b = o.talk(alice, bob)
		o.hangsUp(a, b)
		return a, b
	}},
}

// tagOf is our tag on a leg, which a peer that has heard nothing yet cannot know.
func (o *office) tagOf(leg string) string {
	o.settle()
	o.board.mu.Lock()
	defer o.board.mu.Unlock()
	for _, c := range o.board.calls {
		for _, l := range c.legs {
			if l.name == leg {
				return l.tag
			}
		}
	}
	return "none"
}

// matrixAnswers are the answers by stage and side, in the order of allMethods, each with a body and without (RFC 3261
// §12.2.2, §14.2, §15, RFC 3311 §5.2). ACK has none; an INVITE without a body asks for an offer.
var matrixAnswers = map[string]string{
	//                                INVITE  ACK BYE CANCEL REGISTER OPTIONS INFO UPDATE  PRACK MESSAGE SUBSCRIBE NOTIFY PUBLISH REFER
	"trying a":                         "500/500 - 200 481 405 200 200 500/500 481 200 405 405 405 403",
	"trying b":                         "481/481 - 481 481 481 481 481 481/481 481 481 481 481 481 481",
	"ringing a":                        "500/500 - 200 481 405 200 200 500/200 481 200 405 405 405 403",
	"ringing b":                        "491/491 - 200 481 405 200 200 491/200 481 200 405 405 405 403",
	"early media a":                    "500/500 - 200 481 405 200 200 500/200 481 200 405 405 405 403",
	"early media b":                    "491/491 - 200 481 405 200 200 491/200 481 200 405 405 405 403",
	"before the ACK a":                 "200/200 - 200 481 405 200 pass 200/200 481 pass 405 405 405 202",
	"before the ACK b":                 "200/200 - 200 481 405 200 pass 200/200 481 pass 405 405 405 202",
	"before the ACK of a late offer a": "491/491 - 200 481 405 200 pass 491/200 481 pass 405 405 405 202",
	"before the ACK of a late offer b": "491/491 - 200 481 405 200 pass 491/200 481 pass 405 405 405 202",
	"up a":                             "200/200 - 200 481 405 200 pass 200/200 481 pass 405 405 405 202",
	"up b":                             "200/200 - 200 481 405 200 pass 200/200 481 pass 405 405 405 202",
	"held a":                           "pass/200 - 200 481 405 200 pass pass/200 481 pass 405 405 405 202",
	"held b":                           "pass/200 - 200 481 405 200 pass pass/200 481 pass 405 405 405 202",
	"asking for a hold a":              "500/500 - 200 481 405 200 pass 500/500 481 pass 405 405 405 202",
	"asking for a hold b":              "491/491 - 200 481 405 200 pass 491/200 481 pass 405 405 405 202",
	"before the ACK of a re-INVITE a":  "491/491 - 200 481 405 200 pass 491/200 481 pass 405 405 405 202",
	"before the ACK of a re-INVITE b":  "491/491 - 200 481 405 200 pass 491/200 481 pass 405 405 405 202",
	"with the switch a":                "200/200 - 200 481 405 200 200 200/200 481 200 405 405 405 403",
	"hung up, not acknowledged a":      "481/481 - 200 481 481 481 481 481/481 481 481 481 481 481 481",
	"hung up, not acknowledged b":      "481/481 - 481 481 481 481 481 481/481 481 481 481 481 481 481",
	"BYE not answered a":               "481/481 - 481 481 481 481 481 481/481 481 481 481 481 481 481",
	"BYE not answered b":               "481/481 - 481 481 481 481 481 481/481 481 481 481 481 481 481",
	"over a":                           "481/481 - 481 481 481 481 481 481/481 481 481 481 481 481 481",
	"over b":                           "481/481 - 481 481 481 481 481 481/481 481 481 481 481 481 481",
}

// Every method in every state of a call has one defined answer, and leaves nothing behind (F12, R24).
func TestMatrix(t *testing.T) {
	cells := 0
	for _, st := range matrixStages {
		for _, side := range []string{"a", "b"} {
			row, known := matrixAnswers[st.name+" "+side]
			if !known {
				if st.name == "with the switch" && side == "b" {
					continue
				}
				t.Fatalf("no row for %s %s", st.name, side)
			}
			columns := strings.Fields(row)
			for i, method := range allMethods {
				with, without, split := strings.Cut(columns[i], "/")
				if !split {
					without = with
				}
				for _, body := range []string{"offer of somebody", ""} {
					want := map[bool]string{true: with, false: without}[body != ""]
					cells++
					t.Run(fmt.Sprintf("%s %s %s %t", st.name, side, method, body != ""), func(t *testing.T) {
						inOffice(t, func(o *office) { o.cell(st, side, method, body, want) })
					})
				}
			}
		}
	}
	if cells < 14*12*2 {
		t.Errorf("%d cells", cells)
	}
}

// cell sends one request in one state, and then ends what there is by the death of both phones.
func (o *office) cell(st stage, side, method, body, want string) {
	o.Helper()
	alice, bob := o.alice(), o.bob()
	a, b := st.reach(o, alice, bob)
	from, to := a, b
	if side == "b" {
		from, to = b, a
	}
	read := len(from.phone.All())
	heard := 0
	if to != nil {
		heard = len(to.phone.All())
	}
	from.cseq += 10
	r := siptest.Request{
		Method: method, URI: from.target, From: from.local, To: from.remote, CallID: from.callID, CSeq: from.cseq, Body: body,
		Lines: []string{from.contact()}, Branch: sip.NewBranch(),
	}
	if body != "" && method == sip.INFO {
		r.Type = "text/plain"
	}
	if method == sip.REFER {
		r.Lines = append(r.Lines, "Refer-To: <sip:1003@"+domain+">")
	}
	from.Send(from.flow, r)
	o.settle()
	got := "-"
	for _, m := range from.phone.All()[read:] {
		if seq, answered, _ := m.CSeq(); !m.IsRequest() && int(seq) == from.cseq && answered == method {
			got = m.Raw()[8:11]
		}
	}
	if got == "-" && to != nil {
		for _, m := range to.phone.All()[heard:] {
			if m.Method() == method || method == sip.UPDATE && m.Method() == sip.INVITE {
				got = "pass"
			}
		}
	}
	if got != want {
		o.Errorf("answer %s, want %s", got, want)
	}
	// Whatever came of it, the phones are gone now, and the operator ends the call.
	alice.deaf, bob.deaf = true, true
	alice.Close()
	bob.Close()
	for _, s := range o.board.Calls() {
		o.board.HangUp(s.Call)
	}
	o.pass(100 * 1e9)
	o.idle()
}
