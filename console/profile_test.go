package console

import (
	"net/http"
	"strings"
	"testing"
)

// Profiles are the owner's: at the admin socket, and not at the address that metrics are read from.
func TestProfiles(t *testing.T) {
	c, addr := serve(t, &fakeSwitch{})
	resp, err := c.http.Get("http://switch/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 64)
	_, _ = resp.Body.Read(first)
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(first), "heap profile: ") {
		t.Errorf("%s: %q", resp.Status, first)
	}
	open, err := http.Get(addr + "/debug/pprof/heap")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Body.Close()
	if open.StatusCode != http.StatusNotFound {
		t.Errorf("profiles for everybody: %s", open.Status)
	}
}
