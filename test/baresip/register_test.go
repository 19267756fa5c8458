package baresip

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"

	"tandem/test/binary"
)

// registrar answers REGISTER: first with the challenges given, then, when there is an Authorization, with accept.
func registrar(t *testing.T, challenges, accept string) (string, func() string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	last := ""
	running.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			message := string(buf[:n])
			status, extra := "401 Unauthorized", challenges
			if strings.Contains(message, "\r\nAuthorization:") {
				status, extra = accept, "Contact: "+field(message, "Contact")+"\r\n"
				mu.Lock()
				last = field(message, "Authorization")
				mu.Unlock()
			}
			fmt.Fprintf(&reply{conn, from}, "SIP/2.0 %s\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=r\r\nCall-ID: %s\r\nCSeq: %s\r\n%sContent-Length: 0\r\n\r\n",
				status, field(message, "Via"), field(message, "From"), field(message, "To"), field(message, "Call-ID"), field(message, "CSeq"), extra)
		}
	})
	t.Cleanup(func() { conn.Close(); running.Wait() })
	return conn.LocalAddr().String(), func() string { mu.Lock(); defer mu.Unlock(); return last }
}

type reply struct {
	conn net.PacketConn
	to   net.Addr
}

func (r *reply) Write(b []byte) (int, error) { return r.conn.WriteTo(b, r.to) }

func field(message, name string) string {
	m := regexp.MustCompile(`(?m)^` + name + `: *(.*?)\r$`).FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	return m[1]
}

const (
	challengeMD5    = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n"
	challengeSHA256 = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"\r\n"
)

// What this release makes of a challenge decides what a switch may send it.
func TestRegisterState(t *testing.T) {
	binary.Need(t, "baresip", "baresip")
	for _, c := range []struct {
		name, challenges, accept string
		registered               bool
	}{
		{"MD5", challengeMD5, "200 OK", true},
		{"refused", challengeMD5, "403 Forbidden", false},
		{"SHA-256 first, then MD5", challengeSHA256 + challengeMD5, "200 OK", false},
		{"MD5 first, then SHA-256", challengeMD5 + challengeSHA256, "200 OK", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, authorization := registrar(t, c.challenges, c.accept)
			p := startPhone(t, Config{User: "bob", Password: "secret", Server: server})
			err := p.Registered(within(t))
			if (err == nil) != c.registered {
				t.Errorf("registered: %v, want %v", err, c.registered)
			}
			if c.registered != strings.Contains(authorization(), `username="bob"`) && c.accept == "200 OK" {
				t.Errorf("Authorization: %s", authorization())
			}
		})
	}
}
