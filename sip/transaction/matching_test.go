package transaction_test

import (
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"testing"
	"time"
)

// TestServerMatching is RFC 3261 §17.2.3 with the rules of case of §7.3.1: does the second request belong to
// the first one's transaction?
func TestServerMatching(t *testing.T) {
	const via = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKabc;rport"
	message := func(via string) siptest.Request { return siptest.Request{Method: sip.MESSAGE, Via: via} }
	cases := map[string]struct {
		first, second siptest.Request
		same          bool
	}{
		"same":                 {message(via), message(via), true},
		"another branch":       {message(via), message("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKabd;rport"), false},
		"branch in other case": {message(via), message("SIP/2.0/UDP 192.0.2.2:5060;BRANCH=Z9HG4BKABC;rport"), true},
		"another port":         {message(via), message("SIP/2.0/UDP 192.0.2.2:5062;branch=z9hG4bKabc;rport"), false},
		"default port":         {message(via), message("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKabc;rport"), true},
		"another host":         {message(via), message("SIP/2.0/UDP host;branch=z9hG4bKabc;rport"), false},
		"host in other case": {message("SIP/2.0/UDP a.example.com;branch=z9hG4bKabc;rport"),
			message("SIP/2.0/UDP A.Example.COM;rport;branch=z9hG4bKabc"), true},
		"another method":       {message(via), siptest.Request{Method: sip.INFO, Via: via}, false},
		"method in other case": {message(via), siptest.Request{Method: "message", Via: via}, false},
		"blanks in the Via":    {message(via), message("SIP / 2.0 / UDP 192.0.2.2 : 5060 ; branch = z9hG4bKabc; rport"), true},
		"bare cookie":          {message("SIP/2.0/UDP h;branch=z9hG4bK;rport"), siptest.Request{Method: sip.MESSAGE, Via: "SIP/2.0/UDP h;branch=z9hG4bK;rport", CSeq: 2}, false},
		"old, same":            {message("SIP/2.0/UDP h;rport"), message("SIP/2.0/UDP h;rport"), true},
		"old, another CSeq":    {message("SIP/2.0/UDP h;rport"), siptest.Request{Method: sip.MESSAGE, Via: "SIP/2.0/UDP h;rport", CSeq: 2}, false},
		"old, another Call-ID": {message("SIP/2.0/UDP h;rport"), siptest.Request{Method: sip.MESSAGE, Via: "SIP/2.0/UDP h;rport", CallID: "x"}, false},
		"old, another tag":     {message("SIP/2.0/UDP h;rport"), siptest.Request{Method: sip.MESSAGE, Via: "SIP/2.0/UDP h;rport", FromTag: "x"}, false},
		"old, another URI":     {message("SIP/2.0/UDP h;rport"), siptest.Request{Method: sip.MESSAGE, Via: "SIP/2.0/UDP h;rport", URI: "sip:x"}, false},
		"old, another branch":  {message("SIP/2.0/UDP h;branch=1;rport"), message("SIP/2.0/UDP h;branch=2;rport"), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inOffice(t, transport.UDP, transaction.Config{}, func(o *office) {
				o.peer.Send(o.in(), c.first)
				o.respond(o.tx(0), 100) // repeated for the same request, so that a merge is no match
				o.settle()
				o.peer.Send(o.in(), c.second)
				o.settle()
				if same := len(o.peer.Times("100")) == 2; same != c.same {
					t.Fatalf("matched: %v, want %v", same, c.same)
				}
			})
		})
	}
}

// TestOldPeer is a call from a phone of RFC 2543: no cookie, so the ACK is known by the To tag of the
// response (RFC 3261 §17.2.3).
func TestOldPeer(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{}, func(o *office) {
		const via = "SIP/2.0/UDP 192.0.2.2:5060"
		f, uri := o.in(), "sip:bob@example.com"
		invite := siptest.Request{Method: sip.INVITE, Via: via, URI: uri}
		o.peer.Send(f, invite)
		tx := o.tx(0)
		o.peer.Send(f, siptest.Request{Method: sip.CANCEL, Via: via, URI: uri})
		o.settle()
		equal(o.T, "cancelled", o.cancels, tx)
		o.respond(tx, 487)
		o.peer.Send(f, invite)
		o.until(100 * time.Millisecond)
		equal(o.T, "487", o.peer.Times("487"), 0, 0)
		o.peer.Send(f, siptest.Request{Method: sip.ACK, Via: via, URI: uri, ToTag: "other"})
		o.settle()
		equal(o.T, "ACKs of others", o.acks, "1 ACK")
		o.peer.Send(f, siptest.Request{Method: sip.ACK, Via: via, URI: uri, ToTag: "office"})
		o.settle()
		equal(o.T, "ACKs of others", o.acks, "1 ACK")
		o.gone(100*time.Millisecond + 5*time.Second)
		equal(o.T, "487", o.peer.Times("487"), 0, 0)
		equal(o.T, "terminated", o.terminated)
	})
}

// TestClientMatching is RFC 3261 §17.1.3: branch and the method of the CSeq.
func TestClientMatching(t *testing.T) {
	inOffice(t, transport.UDP, transaction.Config{}, func(o *office) {
		o.send(o.out(), siptest.Request{Method: sip.INVITE, Branch: "z9hG4bKabc"})
		f := o.in()
		o.peer.Next()
		const rest = "From: <sip:a@b>;tag=a\r\nTo: <sip:b@c>;tag=b\r\nCall-ID: call\r\n\r\n"
		for _, text := range []string{
			"SIP/2.0 180 x\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKabd\r\nCSeq: 1 INVITE\r\n" + rest,   // stray
			"SIP/2.0 181 x\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKabc\r\nCSeq: 1 CANCEL\r\n" + rest,   // stray
			"SIP/2.0 182 x\r\nVia: SIP/2.0/UDP h;BRANCH=Z9hG4bKABC\r\nCSeq: 1 INVITE\r\n" + rest,   // ours
			"SIP/2.0 183 x\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKabc\r\nCSeq: one INVITE\r\n" + rest, // unreadable
			"SIP/2.0 184 x\r\nVia: h;branch=z9hG4bKabc\r\nCSeq: 1 INVITE\r\n" + rest,               // unreadable
		} {
			o.peer.SendText(f, text)
		}
		o.settle()
		equal(o.T, "responses", o.responses, heard{"182", 0})
		equal(o.T, "strays", o.strays, 180, 181)
		if s := o.table.Stats(); s.Stray != 2 || s.Malformed != 2 {
			t.Fatalf("%+v", s)
		}
	})
}
