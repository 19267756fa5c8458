package stranger

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"tandem/test/binary"
	"tandem/test/wire"
)

// page is the status of a page.
func (o *office) page(path string) int {
	o.t.Helper()
	resp, err := http.Get("http://" + o.Addr(9090) + path)
	if err != nil {
		o.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

var label = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)

// Metrics have labels out of tables: whatever strangers call themselves, the number of lines stays.
func TestMetricsAreBounded(t *testing.T) {
	t.Parallel()
	o := open(t)
	alice, bob := o.phone("1001"), o.phone("1002")
	c := connect(t, alice, bob)
	c.end()
	before := o.Metrics()
	for n := range 300 {
		p := wire.NewPhone(wire.UDP(t, binary.Host(), 0, o.Addr(5060)), "user"+strconv.Itoa(n), "x")
		for _, method := range []string{"INVITE", "REGISTER", "M" + strconv.Itoa(n)} {
			r := p.New(method, "number"+strconv.Itoa(n))
			r.Extra = []string{"User-Agent: agent" + strconv.Itoa(n)}
			p.Send(p.Text(r))
		}
		p.Close()
	}
	for n := range 20 {
		r := alice.New("INVITE", "77"+strconv.Itoa(n))
		r.Body = c.am.SDP()
		alice.Ask(r)
	}
	after := o.Metrics()
	if grown := len(after) - len(before); grown > 12 { // causes and reasons that had not happened before
		t.Errorf("%d lines of metrics became %d", len(before), len(after))
	}
	values := map[string]map[string]bool{}
	for name := range after {
		if !strings.HasPrefix(name, "tandem_") {
			continue
		}
		for _, l := range label.FindAllStringSubmatch(name, -1) {
			if values[l[1]] == nil {
				values[l[1]] = map[string]bool{}
			}
			values[l[1]][l[2]] = true
			if strings.Contains(l[2], "user") || strings.Contains(l[2], "agent") || strings.Contains(l[2], "127.") || strings.Contains(l[2], "100") {
				t.Errorf("a label that strangers choose: %s", name)
			}
		}
	}
	for key, v := range values {
		if len(v) > 40 {
			t.Errorf("label %s has %d values", key, len(v))
		}
	}
	if o.page("/healthz") != http.StatusOK || o.page("/readyz") != http.StatusOK || o.page("/nothing") != http.StatusNotFound {
		t.Error("health is not told right")
	}
	for _, path := range []string{"/debug/pprof/", "/../../etc/passwd", "/calls", "/admin"} {
		if s := o.page(path); s == http.StatusOK {
			t.Errorf("%s is served to everybody", path)
		}
	}
}
