package phones

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// What `make run` starts, on other ports: the line that it prints is run as it stands, and the two phones whose passwords
// it prints call each other at the addresses that it prints.
func TestDemo(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]struct{ host, reached string }{
		"all addresses": {"0.0.0.0", "127.0.0.1"},
		"one address":   {binary.Host(), ""},
		"IPv6":          {"::", "::1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if at.reached == "" {
				at.reached = at.host
			}
			d := startDemo(t, at.host)
			line := regexp.MustCompile(`(?m)^\s+\./bin/tandem (phone .*)$`).FindStringSubmatch(d.printed)
			if line == nil {
				t.Fatalf("no line for a phone in\n%s", d.printed)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
			defer cancel()
			out, err := exec.CommandContext(ctx, binary.Path(t), strings.Fields(line[1])...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "440.0 Hz") {
				t.Errorf("tandem %s: %v\n%s", line[1], err, out)
			}
			d.talk(t, at.reached)
		})
	}
}

// A demo is a running `tandem demo`.
type demo struct {
	printed string
	ports   map[string]int
}

func startDemo(t *testing.T, host string) *demo {
	t.Helper()
	d := &demo{ports: map[string]int{}}
	args := []string{"demo", "--host", host, "--http", "off", "--state", t.TempDir()}
	for _, transport := range []string{"sip", "tls", "ws", "wss"} {
		d.ports[transport] = freePort(t, host)
		args = append(args, "--"+transport, fmt.Sprint(d.ports[transport]))
	}
	d.ports["udp"], d.ports["tcp"] = d.ports["sip"], d.ports["sip"]
	command := exec.Command(binary.Path(t), args...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := command.StdoutPipe()
	must(t, "pipe", err)
	var stderr strings.Builder
	command.Stderr = &stderr
	must(t, "start", command.Start())
	printed := make(chan string, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		in, text := bufio.NewReader(stdout), ""
		for !strings.Contains(text, "Ctrl-C stops it.") {
			line, err := in.ReadString('\n')
			text += line
			if err != nil {
				break
			}
		}
		printed <- text
		_, _ = io.Copy(io.Discard, in)
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGINT)
		<-drained
		if err := command.Wait(); err != nil || strings.Contains(stderr.String(), "panic") {
			t.Errorf("demo ended: %v\n%s", err, stderr.String())
		}
	})
	select {
	case d.printed = <-printed:
	case <-time.After(patience):
		t.Fatal("the demo prints nothing")
	}
	return d
}

// talk registers both phones at places that were printed, and lets them call each other.
func (d *demo) talk(t *testing.T, host string) {
	t.Helper()
	var configs []phone.Config
	for i, m := range regexp.MustCompile(`(?m)^\s+extension (\d+)\s+password (\S+)`).FindAllStringSubmatch(d.printed, -1) {
		transport := []string{"udp", "wss"}[i%2]
		place := net.JoinHostPort(host, strconv.Itoa(d.ports[transport]))
		if !strings.Contains(d.printed, place) {
			t.Errorf("%s is not among the places in\n%s", place, d.printed)
		}
		configs = append(configs, phone.Config{Server: place, Transport: transport, User: m[1], Password: m[2], Insecure: true,
			Answer: phone.AutoAnswer("tone:660")})
	}
	if len(configs) != 2 {
		t.Fatalf("%d extensions in\n%s", len(configs), d.printed)
	}
	for i, user := range []string{"1002", "1001"} {
		if configs[1-i].User != user {
			t.Fatalf("extension %s is missing in\n%s", user, d.printed)
		}
	}
	a, b := register(t, configs[0]), register(t, configs[1])
	reaches(t, a, b, configs[1].User)
	reaches(t, b, a, configs[0].User)
	for number, hz := range map[string]float64{"9196": 440, "9197": 1004} {
		call, err := a.Call(within(t), number, phone.CallOptions{Play: "tone:440"})
		must(t, "call "+number, err)
		hear(t, number, call, hz)
		must(t, "hang up", call.Hangup(within(t)))
	}
	notice, err := b.Call(within(t), "9198", phone.CallOptions{})
	must(t, "call 9198", err)
	ended(t, notice, phone.ByRemote)
	if r := notice.Report(); r.Received < 25 {
		t.Errorf("the notice had %d packets", r.Received)
	}
}
