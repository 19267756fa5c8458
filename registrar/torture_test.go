package registrar

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/sip"
)

// anyone lets everybody register everything: these messages carry no credentials.
type anyone struct{ office }

func (anyone) MayRegister(string, string) bool { return true }

// The REGISTERs of RFC 4475 that a registrar has an answer of its own to, written after each section. Where the RFC's
// own files lie beside the project they are used as well.
func TestTorture(t *testing.T) {
	head := func(user string) string {
		return "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP h5.example.com;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n" +
			"From: sip:" + user + "@example.com;tag=8\r\nTo: sip:" + user + "@example.com\r\nCall-ID: " + user + "@h\r\nCSeq: 9 REGISTER\r\n"
	}
	for _, c := range []struct {
		file, section, own string
		status             int
		contacts           []string // without expires
		fetched            string   // RequestURI of what Lookup gives
		aor                string
	}{
		{"escnull", "3.1.1.4", head("null-%00-null") + "Contact: <sip:%00@h5.example.com>\r\nContact: <sip:%00%00@h5.example.com>\r\nl:0\r\n\r\n",
			200, []string{"<sip:%00@%h>", "<sip:%00%00@%h>"}, "", "null-\x00-null"},
		{"cparam01", "3.3.12", head("watson") + "Contact: sip:+49@gw1.example.net;unknownparam\r\nl: 0\r\n\r\n",
			200, []string{"<sip:%u@gw1.example.net>;unknownparam"}, "sip:%u@gw1.example.net", "watson"},
		{"cparam02", "3.3.13", head("watson") + "Contact: <sip:+49@gw1.example.net;unknownparam>\r\nl: 0\r\n\r\n",
			200, []string{"<sip:%u@gw1.example.net;unknownparam>"}, "sip:%u@gw1.example.net;unknownparam", "watson"},
		{"regescrt", "3.3.14", head("user") + "M: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\r\nL:0\r\n\r\n",
			200, []string{"<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"}, "sip:user@example.com", "user"},
		{"unksm2", "3.3.4", strings.Replace(strings.Replace(head("x"), "To: sip:x@example.com", "To: isbn:1", 1), "sip:x@example.com;tag", "<http://h>;tag", 1) +
			"Contact: <name:John_Smith>\r\nl: 0\r\n\r\n", 400, nil, "", ""},
		{"regbadct", "3.1.2.13", head("user") + "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E\r\nl: 0\r\n\r\n", 400, nil, "", ""},
	} {
		texts := map[string]string{"own": c.own}
		if raw, err := os.ReadFile(filepath.Join("..", "..", "shared", "sip-torture", c.file+".dat")); err == nil {
			texts["RFC's file"] = string(raw)
		}
		for which, text := range texts {
			t.Run(c.file+" "+which, func(t *testing.T) {
				r := newTestRegistrar(Config{})
				r.accounts = anyone{}
				m := parse(t, homeAddr, text)
				resp := answered(t, r.Register(start, udpFlow(homeAddr), m, "x"))
				if resp.Status() != c.status {
					t.Fatalf("RFC 4475 §%s: %d %s", c.section, resp.Status(), resp.Reason())
				}
				user, host := "+49", "h5.example.com"
				if which != "own" {
					user, host = "+19725552222", "host5.example.com"
				}
				fill := strings.NewReplacer("%u", user, "%h", host).Replace
				var want []string
				for _, x := range c.contacts {
					want = append(want, fill(x)+";expires=600")
				}
				if got := contactsOf(resp); got != strings.Join(want, " ") {
					t.Fatalf("contacts %s, want %s", got, want)
				}
				list := r.Store().Lookup(c.aor, start)
				if len(list) != len(c.contacts) {
					t.Fatalf("bindings %+v", list)
				}
				if c.fetched != "" && list[0].RequestURI() != fill(c.fetched) {
					t.Fatalf("Request-URI %s", list[0].RequestURI())
				}
			})
		}
	}
}

// regaut01 (RFC 4475 §3.3.7): a scheme that nobody knows is no proof, and no fault either.
func TestUnknownScheme(t *testing.T) {
	r := newTestRegistrar(Config{})
	resp := answered(t, r.Receive(start, udpFlow(homeAddr), message(t, homeAddr, "Authorization: NoOneKnowsThisScheme opaque-data=here")))
	if resp.Status() != 401 || !resp.Has(sip.HeaderWWWAuthenticate) {
		t.Fatalf("%s", resp.Raw())
	}
}
