package transport

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// pagesConfig is a listener that serves pages: each says its own path and what was posted to it.
func pagesConfig(origins ...string) Config {
	c := wsConfig(origins...)
	c.Listen[0].Pages = true
	c.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("no such page")
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "%s %s%s", r.Method, r.URL.Path, body)
	})
	return c
}

func TestPagesAndSIPOnOnePort(t *testing.T) {
	l := run(t, pagesConfig(), newEar())
	nc, err := net.Dial("tcp", l.testAddr(0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	br := bufio.NewReader(nc)
	for _, c := range []struct {
		request string
		status  int
		body    string
	}{
		{"GET /phone HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET /phone"},
		{"POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n=token", 200, "POST /session=token"},
		{"GET /panic HTTP/1.1\r\nHost: x\r\n\r\n", 500, ""},
		{"HEAD /phone HTTP/1.1\r\nHost: x\r\n\r\n", 200, ""},
		{"GET /again HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET /again"},
	} {
		write(t, nc, c.request)
		method, _, _ := strings.Cut(c.request, " ")
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			t.Fatal(c.request, err)
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != c.status || string(body) != c.body {
			t.Errorf("%q: %d %q", c.request, resp.StatusCode, body)
		}
	}
	// The same connection goes on to SIP: a proxy in front keeps its connections.
	d := ws.Dialer{Protocols: []string{"sip"}, NetDial: func(context.Context, string, string) (net.Conn, error) { return nc, nil }}
	if _, _, _, err := d.Dial(context.Background(), "ws://"+l.testAddr(0).String()+"/sip"); err != nil {
		t.Fatal("handshake after pages:", err)
	}
	if s := l.Stats()[0]; s.Dropped[DropHandshake] != 0 {
		t.Errorf("pages count as failed handshakes: %+v", s)
	}
}

// What asks for pages without end, or too large, is let go.
func TestPagesAreBounded(t *testing.T) {
	l := run(t, pagesConfig(), newEar())
	nc, err := net.Dial("tcp", l.testAddr(0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	br, n := bufio.NewReader(nc), 0
	for ; n <= maxRequests; n++ {
		write(t, nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.Close {
			break
		}
	}
	if n+1 != maxRequests {
		t.Errorf("%d pages on one connection", n+1)
	}
	resp, err := http.Post("http://"+l.testAddr(0).String()+"/", "text/plain", strings.NewReader(strings.Repeat("x", 1<<20)))
	if err == nil {
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if len(body) > maxUpgrade {
			t.Errorf("%d octets were taken", len(body))
		}
	}
}

// A page that the listener serves itself may connect, whatever else is listed; a foreign page may not.
func TestOwnPageConnects(t *testing.T) {
	l := run(t, pagesConfig("https://www.example.com"), newEar())
	host := l.testAddr(0).String()
	for origin, admitted := range map[string]bool{
		"http://" + host: true, "https://" + host: false, "https://www.example.com": true, "https://evil.example": false,
		"http://127.0.0.1": false, "null": false,
	} {
		d := ws.Dialer{Protocols: []string{"sip"}, Timeout: patience, Header: ws.HandshakeHeaderHTTP{"Origin": {origin}}}
		c, _, _, err := d.Dial(context.Background(), "ws://"+host+"/sip")
		if (err == nil) != admitted {
			t.Errorf("%s: %v", origin, err)
		}
		if err == nil {
			c.Close()
		}
	}
}
