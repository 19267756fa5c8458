package recover

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"

	"tandem/test/binary"
	"tandem/test/wire"
)

// crowd registers extensions from first on, all from one socket, as fast as the switch takes them.
func crowd(t *testing.T, o *office, first, n int) time.Duration {
	t.Helper()
	l := wire.UDP(t, binary.Host(), 0, o.Addr(5060))
	p := wire.NewPhone(l, fmt.Sprint(first), binary.Password)
	challenge := l.Do(p.Registration(p.Contact(), "Expires: 3600"))
	c, err := digest.ParseChallenge(challenge.All("www-authenticate")[0])
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(p.Local.Addr().String())}, net.UDPAddrFromAddrPort(l.Peer))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	began := time.Now()
	buf := make([]byte, 2048)
	const window = 64
	sent, answered := 0, 0
	for answered < n {
		for sent < n && sent-answered < window {
			user := fmt.Sprint(first + sent)
			uri := "sip:" + p.Domain
			cred, err := digest.Digest(c, digest.Options{Method: "REGISTER", URI: uri, Username: user, Password: binary.Password, Count: sent + 1})
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprintf("REGISTER %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKr%d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%s@%s>;tag=%d\r\n"+
				"To: <sip:%s@%s>\r\nCall-ID: crowd-%d\r\nCSeq: 1 REGISTER\r\nContact: <sip:%s@%s>\r\nExpires: 3600\r\nAuthorization: %s\r\nContent-Length: 0\r\n\r\n",
				uri, conn.LocalAddr(), sent, user, p.Domain, sent, user, p.Domain, sent, user, conn.LocalAddr(), cred)
			if _, err := conn.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		k, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%d of %d answered: %v", answered, n, err)
		}
		if !strings.HasPrefix(string(buf[:k]), "SIP/2.0 200") {
			t.Fatalf("REGISTER: %s", buf[:k])
		}
		answered++
	}
	return time.Since(began)
}

// startWithin is how long a switch may be away whose process is killed and started again at once, with 100,000 registrations and 1,000 calls
// on two cores that have nothing else to do.
const startWithin = 3 * time.Second

// Registrations by the thousand and calls are there again right after a kill: a phone that refreshes is answered, and so is one that calls.
func TestStartWithManyRegistrations(t *testing.T) {
	phones, calls := 5000, 20
	if os.Getenv("TANDEM_SOAK") != "" {
		phones, calls = 100_000, 1000
	}
	var csv strings.Builder
	csv.WriteString("extension,name,password,class\n")
	for n := range phones {
		hash := sha256.Sum256(fmt.Appendf(nil, "%d:example.com:%s", 500_000+n, binary.Password))
		fmt.Fprintf(&csv, "%d,,sha256:%x,office\n", 500_000+n, hash)
	}
	hcl := strings.Replace(binary.Office, `extensions { file = "phones.csv" }`, "extensions { file = \"phones.csv\" }\nextensions { file = \"crowd.csv\" }", 1)
	hcl = strings.Replace(hcl, `domains   = ["HOST", "example.com"]`, `domains   = ["example.com", "HOST"]`, 1) // the hashes are of that realm
	hcl = strings.Replace(hcl, `to   = "100x"`, `to   = "x{4,6}"`, 1)
	o := &office{binary.StartWith(t, map[string]string{"crowd.csv": csv.String()}, hcl+binary.Media), t}
	took := crowd(t, o, 500_000, phones)
	t.Logf("%d registrations in %v: %.0f a second", phones, took.Round(time.Millisecond), float64(phones)/took.Seconds())
	alice := o.phone("UDP", "1001")
	var open []*wire.Call
	media := wire.NewMedia(t, alice.Local.Addr().String(), "ALIC")
	for range calls {
		c := alice.Invite("9196", media.SDP())
		if m := c.Final(5 * time.Second); m.Status() != 200 {
			t.Fatalf("INVITE: %s", m.Raw)
		}
		c.Ack()
		open = append(open, c)
	}
	o.Kill()
	died := time.Now()
	o.Again()
	alice.Register()
	first := alice.Invite("9196", media.SDP())
	if m := first.Final(5 * time.Second); m.Status() != 200 {
		t.Fatalf("INVITE after the start: %s", m.Raw)
	}
	serves, spent := time.Since(died), o.Process()
	first.Ack()
	first.Bye()
	log := o.Log()
	if i := strings.LastIndex(log, "state resumed"); i >= 0 {
		log, _, _ = strings.Cut(log[i:], "\n")
	}
	t.Logf("answers REGISTER and INVITE %v after the kill, with %v of CPU and %d MB: %s", serves.Round(time.Millisecond), spent.CPU, spent.RSS>>20, log)
	if phones == 100_000 && serves > startWithin {
		t.Errorf("it took %v; %v are promised", serves, startWithin)
	}
	o.Eventually(5*time.Second, fmt.Sprintf("%d registrations, and %d calls once the last one has its record", phones+1, calls), func() bool {
		m := o.Metrics()
		return int(m["tandem_registrations"]) == phones+1 && int(m["tandem_calls"]) == calls
	})
	for _, c := range open {
		c.Bye()
	}
	o.Idle(10 * time.Second)
}
