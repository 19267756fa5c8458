package dialog

import (
	"strings"
	"testing"
	"time"

	"tandem/sip"
)

func parse(t *testing.T, text string) *sip.Message {
	t.Helper()
	var m sip.Message
	if err := m.Parse(strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	return &m
}

const invite = `INVITE sip:1002@example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1
Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>
Record-Route: <sip:p3.example.com;lr>
From: "Alice"
 <sip:1001@example.com>;x=y;tag=alice
To: <sip:1002@example.com>
Call-ID: c1
CSeq: 7 INVITE
Contact: <sip:1001@192.0.2.1:5070;ob>

`

func write(d *Dialog, method string, seq uint32) string {
	w := sip.NewWriter(nil)
	d.Write(w, method, seq, "SIP/2.0/UDP us;branch=z9hG4bK2", 70)
	raw, _ := w.Bytes()
	return strings.ReplaceAll(string(raw), "\r\n", "\n")
}

func TestUASDialogKeepsRouteOrder(t *testing.T) {
	d, fail := FromInvite(parse(t, invite), "ours")
	if fail != nil {
		t.Fatal(fail)
	}
	got := write(&d, sip.BYE, d.Next())
	want := `BYE sip:1001@192.0.2.1:5070;ob SIP/2.0
Via: SIP/2.0/UDP us;branch=z9hG4bK2
Max-Forwards: 70
Route: <sip:p1.example.com;lr>
Route: <sip:p2.example.com;lr>
Route: <sip:p3.example.com;lr>
From: <sip:1002@example.com>;tag=ours
To: "Alice" <sip:1001@example.com>;x=y;tag=alice
Call-ID: c1
CSeq: 1 BYE
`
	if got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if d.NextHop() != "sip:p1.example.com;lr" {
		t.Fatalf("next hop %q", d.NextHop())
	}
}

func TestUACDialogReversesRoutesAndForksApart(t *testing.T) {
	begun := Begin("<sip:1001@example.com>", "<sip:1002@example.com>", "sip:1002@192.0.2.9", nil)
	answer := func(tag string) *sip.Message {
		return parse(t, "SIP/2.0 200 OK\nRecord-Route: <sip:a;lr>, <sip:b;lr>\nTo: <sip:1002@example.com>;tag="+tag+
			"\nContact: <sip:"+tag+"@192.0.2.9>\n\n")
	}
	d1, err1 := begun.Accept(answer("one"))
	d2, err2 := begun.Accept(answer("two"))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if d1.RemoteTag != "one" || d2.RemoteTag != "two" || d1.Target != "sip:one@192.0.2.9" || begun.RemoteTag != "" {
		t.Fatalf("forks mixed up: %+v %+v", d1, d2)
	}
	if strings.Join(d1.Routes, " ") != "<sip:b;lr> <sip:a;lr>" {
		t.Fatalf("routes %q", d1.Routes)
	}
}

func TestStrictRouterBecomesRequestURI(t *testing.T) {
	d := Dialog{CallID: "c", LocalTag: "l", RemoteTag: "r", Local: "<sip:a@x>", Remote: "<sip:b@y>",
		Target: "sip:b@192.0.2.9", Routes: []string{"<sip:strict.example.com>", "<sip:p2;lr>"}}
	got := write(&d, sip.INFO, 2)
	if !strings.HasPrefix(got, "INFO sip:strict.example.com SIP/2.0\n") ||
		!strings.Contains(got, "Route: <sip:p2;lr>\nRoute: <sip:b@192.0.2.9>\n") {
		t.Fatal(got)
	}
}

func TestReceiveKeepsOrder(t *testing.T) {
	d, _ := FromInvite(parse(t, invite), "ours")
	request := func(seq, method, contact string) *sip.Message {
		return parse(t, method+" sip:us SIP/2.0\nFrom: <sip:1001@example.com>;tag=alice\nTo: <sip:1002@example.com>;tag=ours\nCall-ID: c1\nCSeq: "+
			seq+" "+method+"\nContact: <"+contact+">\n\n")
	}
	m := request("9", "INVITE", "sip:new@192.0.2.3")
	if fail := d.Receive(m); fail != nil || d.Target != "sip:new@192.0.2.3" || !d.Matches(m) {
		t.Fatalf("refresh: %v, target %q", fail, d.Target)
	}
	if fail := d.Receive(request("8", "BYE", "sip:x@y")); fail == nil || fail.Code != 500 {
		t.Fatalf("old CSeq: %v", fail)
	}
	if fail := d.Receive(request("10", "BYE", "sip:evil@192.0.2.66")); fail != nil || d.Target != "sip:new@192.0.2.3" {
		t.Fatalf("BYE moved the target: %v %q", fail, d.Target)
	}
}

func TestInviteWithoutContactIsRefused(t *testing.T) {
	m := parse(t, strings.Replace(invite, "Contact: <sip:1001@192.0.2.1:5070;ob>\n", "", 1))
	if _, fail := FromInvite(m, "x"); fail == nil || fail.Code != 400 {
		t.Fatalf("got %v", fail)
	}
}

func TestSessionTimer(t *testing.T) {
	now := time.Unix(1000, 0)
	short := parse(t, strings.Replace(invite, "CSeq", "Supported: timer\nSession-Expires: 60\nCSeq", 1))
	if _, fail := OfferedBy(now, short); fail == nil || fail.Code != 422 || fail.Header != "Min-SE: 90" {
		t.Fatalf("short interval: %v", fail)
	}
	good := parse(t, strings.Replace(invite, "CSeq", "k: timer\nx: 1800;refresher=uas\nCSeq", 1))
	st, fail := OfferedBy(now, good)
	if fail != nil || !st.Refresher || !st.Refresh().Equal(now.Add(900*time.Second)) || !st.Expiry().Equal(now.Add(1768*time.Second)) {
		t.Fatalf("%+v %v", st, fail)
	}
	if st.Header() != "1800;refresher=uas" {
		t.Fatal(st.Header())
	}
}
