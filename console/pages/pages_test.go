package pages

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

func served(t *testing.T, method, url string, body string, header ...string) *http.Response {
	t.Helper()
	p := New(func() Facts { return Facts{Domain: "example.com", Version: "1"} }, &Guests{
		Token: "good", Until: time.Now().Add(time.Hour),
		Lend: func(again string) (Session, error) {
			if again == "none" {
				return Session{}, errors.New("nothing to lend")
			}
			return Session{Extension: "1001"}, nil
		},
	})
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result()
}

func TestPages(t *testing.T) {
	for url, want := range map[string]struct {
		status int
		kind   string
	}{
		"/phone":              {200, "text/html; charset=utf-8"},
		"/phone/phone.js":     {200, "text/javascript; charset=utf-8"},
		"/phone/phone.css":    {200, "text/css; charset=utf-8"},
		"/phone/icon.svg":     {200, "image/svg+xml"},
		"/phone/licences.txt": {200, "text/plain; charset=utf-8"},
		"/tandem.js":          {200, "text/javascript; charset=utf-8"},
		"/phone/config":       {200, "application/json"},
		"/":                   {302, ""},
		"/phone/":             {302, ""},
		"/metrics":            {404, ""},
		"/v1/status":          {404, ""},
		"/phone/../web/x.ts":  {404, ""},
	} {
		r := served(t, "GET", "http://pbx.example.com:5066"+url, "")
		if r.StatusCode != want.status || want.kind != "" && r.Header.Get("Content-Type") != want.kind {
			t.Errorf("%s: %d %s", url, r.StatusCode, r.Header.Get("Content-Type"))
		}
		for _, rule := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self' ws://pbx.example.com:5066 wss://pbx.example.com:5066;", "frame-ancestors 'none'"} {
			if !strings.Contains(r.Header.Get("Content-Security-Policy"), rule) {
				t.Errorf("%s: no %s in its policy", url, rule)
			}
		}
	}
	if r := served(t, "DELETE", "/phone", ""); r.StatusCode != 405 {
		t.Errorf("DELETE: %d", r.StatusCode)
	}
}

// A Host header writes nothing of its own into the policy.
func TestPolicyTakesNoForeignWords(t *testing.T) {
	for _, host := range []string{"x; script-src *", "a b", "evil'", "", "[2001:db8::1]:7443"} { // the last one browsers would complain of
		p := policy(host)
		if strings.Contains(p, "://") || strings.Contains(p, "*") || !strings.Contains(p, "connect-src 'self';") {
			t.Errorf("%q: %s", host, p)
		}
	}
}

// Nothing inline, and no address but our own, stands in what a browser is given.
func TestNothingFromElsewhere(t *testing.T) {
	html, err := files.ReadFile("web/phone.html")
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`<script>|<style|\son[a-z]+=|style=`).Match(html) {
		t.Error("phone.html has something inline")
	}
	for _, name := range []string{"web/phone.html", "dist/phone.css"} {
		content, _ := files.ReadFile(name)
		if regexp.MustCompile(`(https?:)?//[a-z0-9]+\.[a-z]|@import`).Match(content) {
			t.Errorf("%s loads from elsewhere", name)
		}
	}
}

func TestPacking(t *testing.T) {
	plain := served(t, "GET", "/phone/phone.js", "")
	packed := served(t, "GET", "/phone/phone.js", "", "Accept-Encoding", "br, gzip")
	if packed.Header.Get("Content-Encoding") != "gzip" || plain.Header.Get("Content-Encoding") != "" {
		t.Fatal("encodings are wrong")
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := io.ReadAll(plain.Body)
	b, _ := io.ReadAll(z)
	if len(a) == 0 || string(a) != string(b) {
		t.Errorf("%d octets plain, %d unpacked", len(a), len(b))
	}
	if r := served(t, "GET", "/phone/phone.js", "", "If-None-Match", plain.Header.Get("ETag")); r.StatusCode != 304 {
		t.Errorf("the same version again: %d", r.StatusCode)
	}
}

func TestSession(t *testing.T) {
	for name, c := range map[string]struct {
		method, kind, body string
		status             int
	}{
		"lent":            {"POST", "application/json", `{"token":"good"}`, 200},
		"with a charset":  {"POST", "application/json; charset=utf-8", `{"token":"good","extension":"1001"}`, 200},
		"wrong token":     {"POST", "application/json", `{"token":"bad"}`, 403},
		"no token":        {"POST", "application/json", `{}`, 403},
		"as a form":       {"POST", "text/plain", `{"token":"good"}`, 415},
		"GET":             {"GET", "", "", 405},
		"no JSON":         {"POST", "application/json", `token=good`, 400},
		"too much":        {"POST", "application/json", `{"token":"` + strings.Repeat("x", 5000) + `"}`, 400},
		"nothing to lend": {"POST", "application/json", `{"token":"good","extension":"none"}`, 503},
	} {
		r := served(t, c.method, "/phone/session", c.body, "Content-Type", c.kind)
		if r.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", name, r.StatusCode, c.status)
		}
		if r.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: other pages may ask", name)
		}
		var s Session
		if c.status == 200 && (json.NewDecoder(r.Body).Decode(&s) != nil || s.Extension != "1001") {
			t.Errorf("%s: %+v", name, s)
		}
	}
	expired := Guests{Token: "good", Until: time.Now().Add(-time.Second)}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/phone/session", strings.NewReader(`{"token":"good"}`))
	r.Header.Set("Content-Type", "application/json")
	if expired.ServeHTTP(w, r); w.Code != 403 {
		t.Errorf("a link that has ended: %d", w.Code)
	}
}
