package webrtc

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
)

// pages is the arguments of `tandem phone` as a browser of this office.
func (o *office) pages(args ...string) []string {
	return append([]string{"phone", "--webrtc", "--server", o.Addr(5066), "--domain", "example.com", "--password", binary.Password, "--json"}, args...)
}

// A network without UDP: all of the phone's candidates are TCP (RFC 6544), and so is the way that its sound takes.
func TestPhoneByICETCP(t *testing.T) {
	t.Parallel()
	o := open(t)
	out, err := o.Command(o.pages("--user", "1001", "--ice-tcp", "--call", "9197", "--play", "tone:440", "--hear", "1004", "--for", "2s")...)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var r struct {
		Local  string `json:"local_rtp"`
		Remote string `json:"remote_rtp"`
		SRTP   string `json:"srtp"`
		Sent   int    `json:"packets_sent"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.HasSuffix(r.Local, "/tcp") || !strings.HasSuffix(r.Remote, "/tcp") || r.SRTP != "DTLS-SRTP" || r.Sent < 50 {
		t.Errorf("report %+v", r)
	}
	o.Idle(10 * time.Second)
}

// Four phones in one process call four in another, and each process tells what all of them came to.
func TestCrowd(t *testing.T) {
	t.Parallel()
	o := open(t)
	answers := exec.Command(binary.Path(t), o.pages("--user", "1005", "--phones", "4", "--answer", "--for", "20s")...)
	var heard bytes.Buffer
	answers.Stdout, answers.Stderr = &heard, &heard
	if err := answers.Start(); err != nil {
		t.Fatal(err)
	}
	o.soon("four registrations", func() bool { return o.Metrics()["tandem_registrations"] == 4 })
	out, err := o.Command(o.pages("--user", "1001", "--phones", "4", "--call", "1005", "--play", "tone:440", "--for", "3s")...)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := answers.Wait(); err != nil {
		t.Fatalf("%v: %s", err, heard.String())
	}
	for name, text := range map[string]string{"callers": out, "answerers": heard.String()} {
		var last struct {
			Phones    int `json:"phones"`
			Answered  int `json:"answered"`
			Connected int `json:"connected"`
			Over      int `json:"over"`
			Sent      int `json:"packets_sent"`
			Received  int `json:"packets_received"`
		}
		for d := json.NewDecoder(bytes.NewReader([]byte(text))); d.More(); {
			if err := d.Decode(&last); err != nil {
				t.Fatalf("%s: %v: %s", name, err, text)
			}
		}
		if last.Phones != 4 || last.Answered != 4 || last.Connected != 4 || last.Over != 4 || last.Sent < 4*100 || last.Received < 4*100 {
			t.Errorf("%s: %+v", name, last)
		}
	}
	o.Idle(10 * time.Second)
}
