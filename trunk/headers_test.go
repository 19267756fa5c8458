package trunk

import (
	"slices"
	"strings"
	"testing"

	"tandem/sip"
)

func TestMayCarry(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Account": true, "Subject": true, "P-Access-Network-Info": true, "User-Agent": true,
		"Via": false, "v": false, "From": false, "Contact": false, "Route": false, "Content-Length": false, "Authorization": false,
		"P-Asserted-Identity": false, "Privacy": false, "Max-Forwards": false, "cseq": false, "": false, "X A": false, "X:A": false,
		"X\r\nVia": false, "Replaces": false, "Require": false,
	} {
		if MayCarry(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
	for id := sip.HeaderVia; id <= sip.HeaderCSeq; id++ {
		if MayCarry(id.Name()) {
			t.Errorf("%s may be added", id.Name())
		}
	}
}

func TestHeaders(t *testing.T) {
	usual := []string{"Priority", "User-to-User"}
	h := Headers{Add: [][2]string{{"X-A", "1"}, {"user-agent", "other"}}, Remove: []string{"priority"}, Pass: []string{"X-A", "X-T", "x-t"}}
	if got := h.Passes(usual); !slices.Equal(got, []string{"User-to-User", "X-T"}) {
		t.Error(got)
	}
	if h.Keeps("User-Agent") || !h.Keeps("Allow") {
		t.Error("what is added with another value stays, or what is not goes")
	}
	if none := (&Headers{}).Passes(usual); !slices.Equal(none, usual) {
		t.Error(none)
	}
	w := sip.NewWriter(nil)
	w.Request("INVITE", "sip:a@example.com")
	h.Write(w)
	w.Finish("", nil)
	if raw, err := w.Bytes(); err != nil || !strings.Contains(string(raw), "\r\nX-A: 1\r\n") {
		t.Errorf("%q %v", raw, err)
	}
}
