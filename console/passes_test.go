package console

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tandem/token"
)

func (f *fakeSwitch) Issue(extension string, life time.Duration) (token.Pass, error) {
	if extension != "1001" {
		return token.Pass{}, errors.New("there is no such extension")
	}
	return token.Keys{[]byte("key")}.Issue(extension, time.Unix(1000, 0).Add(life)), nil
}

func (f *fakeSwitch) MayIssue(key string) bool { return key == "opensesame" }

func TestIssue(t *testing.T) {
	c, _ := serve(t, &fakeSwitch{})
	p, err := c.Issue("1001", 90*time.Second)
	if err != nil || p.Username != "1090:1001" || p.Password == "" {
		t.Errorf("%+v %v", p, err)
	}
	if _, err := c.Issue("1009", 0); err == nil {
		t.Error("there is an extension 1009")
	}
}

// Web applications show their key; nobody else is given a password over HTTP.
func TestIssueOverHTTP(t *testing.T) {
	mux := http.NewServeMux()
	guardedPasses(mux, &fakeSwitch{})
	for _, c := range []struct {
		name, authorization, body string
		status                    int
	}{
		{"the key", "Bearer opensesame", "extension=1001&for=1h", http.StatusOK},
		{"scheme in small letters", "bearer opensesame", "extension=1001", http.StatusOK},
		{"no key", "", "extension=1001", http.StatusUnauthorized},
		{"another key", "Bearer sesame", "extension=1001", http.StatusUnauthorized},
		{"another scheme", "Basic opensesame", "extension=1001", http.StatusUnauthorized},
		{"nobody's extension", "Bearer opensesame", "extension=1009", http.StatusUnprocessableEntity},
		{"no time", "Bearer opensesame", "extension=1001&for=soon", http.StatusUnprocessableEntity},
		{"less than no time", "Bearer opensesame", "extension=1001&for=-1h", http.StatusUnprocessableEntity},
		{"a flood", "Bearer opensesame", "extension=1001&x=" + strings.Repeat("x", 1<<20), http.StatusUnprocessableEntity},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/v1/token", strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Authorization", c.authorization)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			if w.Code != c.status || w.Code == http.StatusOK && !strings.Contains(w.Body.String(), `"password"`) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}
