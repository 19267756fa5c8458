package configs

import (
	"encoding/binary"
	"net"
	"path/filepath"
	"testing"
	"time"

	"tandem/dialplan"
	"tandem/sip/digest"
	"tandem/sip/transport"
)

func TestDemo(t *testing.T) {
	dir := t.TempDir()
	d, err := Demo(DemoOptions{StateDir: dir, Host: "127.0.0.1", TLS: -1, Passwords: map[string]string{"1002": "known"}})
	if err != nil {
		t.Fatal(err)
	}
	c := d.Config
	want := map[transport.Proto]string{
		transport.UDP: "127.0.0.1:5060", transport.TCP: "127.0.0.1:5060", transport.TLS: "127.0.0.1:0",
		transport.WS: "127.0.0.1:5066", transport.WSS: "127.0.0.1:7443",
	}
	for _, l := range c.Transport.Listen {
		if l.Address != want[l.Proto] {
			t.Errorf("%s listens on %s, want %s", l.Proto, l.Address, want[l.Proto])
		}
		delete(want, l.Proto)
	}
	if len(want) != 0 {
		t.Errorf("no listener for %v", want)
	}
	if len(d.Phones) != 2 || d.Phones[0].Extension != "1001" || len(d.Phones[0].Password) != 16 || d.Phones[1].Password != "known" {
		t.Errorf("phones: %+v", d.Phones)
	}
	for _, p := range d.Phones {
		if c.Credentials[p.Extension] != digest.NewCredential(p.Extension, c.Node.Realm, p.Password) {
			t.Errorf("the credential of %s is not that of its password", p.Extension)
		}
	}
	again, err := Demo(DemoOptions{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if again.Phones[0].Password == d.Phones[0].Password {
		t.Error("two demos have one password")
	}
}

// Every number that is printed goes where it is said to go.
func TestDemoNumbers(t *testing.T) {
	d, err := Demo(DemoOptions{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	plan := d.Config.Plan
	for number, want := range map[string]string{
		"1002": "dial extension 1002 for 30s", "9196": "answer and echo", "9197": "answer and play 1004 Hz",
		"9198": "answer and play notice.wav", "1009": "reject 404 Not Found, cause 1",
	} {
		if got := dialplan.DescribeSteps(plan.Route(dialplan.Facts{From: "1001", To: number, Now: time.Now()}).Steps); got != want {
			t.Errorf("%s: %q, want %q", number, got, want)
		}
	}
	if len(plan.Sounds()) != 1 || plan.Sounds()[0] != filepath.Join(d.Config.Dir, "notice.wav") {
		t.Errorf("sounds: %v", plan.Sounds())
	}
}

func TestNoticeIsSound(t *testing.T) {
	w := noticeWAV()
	if string(w[:4]) != "RIFF" || int(binary.LittleEndian.Uint32(w[4:])) != len(w)-8 || int(binary.LittleEndian.Uint32(w[40:])) != len(w)-44 {
		t.Fatalf("the header is wrong: % x", w[:44])
	}
	peak := 0
	for i := 44; i < len(w); i += 2 {
		peak = max(peak, int(int16(binary.LittleEndian.Uint16(w[i:]))))
	}
	if seconds := float64(len(w)-44) / 2 / noticeRate; seconds < 3 || seconds > 6 || peak < 4000 || peak > 30000 {
		t.Errorf("%.1f s with a peak of %d", seconds, peak)
	}
}

func TestDemoHosts(t *testing.T) {
	hosts := demoHosts()
	if hosts[0] != "tandem.demo" {
		t.Errorf("the realm would be %s", hosts[0])
	}
	for _, h := range hosts {
		if !isHost(h) || net.ParseIP(h) != nil && net.ParseIP(h).IsLinkLocalUnicast() {
			t.Errorf("%q is no host for a phone", h)
		}
	}
}
