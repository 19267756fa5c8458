package stranger

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/sip/siptest/siptorture"
	"tandem/test/binary"
	"tandem/test/wire"
)

// silence is for how long nothing must come where no answer is wanted.
const silence = 100 * time.Millisecond

// torturer sends what no stack would, and hears what comes back: over UDP at the port that it sends from and at the
// one that the top Via names, where an answer goes without rport.
type torturer struct {
	o     *office
	t     *testing.T
	proto string
}

// answers gives the final responses to one message, of those that are at hand when the switch has answered what was
// sent after it. Where none is, it waits for one.
func (x *torturer) answers(raw string, wait time.Duration) (statuses []int, text string) {
	x.t.Helper()
	host := binary.Host()
	var lines []*wire.Line
	if x.proto == "UDP" {
		lines = []*wire.Line{wire.UDP(x.t, host, sentBy(raw), x.o.Addr(5060)), wire.UDP(x.t, host, 0, x.o.Addr(5060))}
	} else {
		lines = []*wire.Line{x.o.line(x.proto, host)}
	}
	// The message goes out from a port of its own, so that rport and sent-by can be told apart.
	out := lines[len(lines)-1]
	defer func() {
		for _, l := range lines {
			l.Close()
		}
	}()
	out.Send(raw)
	own := map[string]bool{} // Call-IDs of pings: on a busy machine one is repeated, and answered twice
	if len(lines) > 1 || x.proto == "WS" {
		// Two readers may overtake each other on UDP: the second ping comes after whatever the first waited for.
		p := wire.NewPhone(out, "1009", "")
		for range 2 {
			ping := p.New("OPTIONS", "1009")
			own[ping.CallID] = true
			if m, ok := p.Try(ping, patience); !ok || m.Status() != 200 {
				x.t.Errorf("no answer to OPTIONS afterwards")
			}
		}
	}
	collect := func(wait time.Duration) {
		for _, l := range lines {
			for {
				m, ok := l.Poll(wait, func(m wire.Message) bool {
					return (m.Status() >= 200 || m.Method() != "") && !own[m.Get("call-id")]
				})
				if !ok {
					break
				}
				text += m.Raw
				if m.Method() == "" {
					statuses = append(statuses, m.Status())
				} else {
					x.t.Errorf("the switch sent a request: %s", m.Raw)
				}
				wait = time.Millisecond
			}
		}
	}
	collect(time.Millisecond)
	if len(statuses) == 0 {
		collect(wait)
	}
	return statuses, text
}

// viaPort finds the port in the sent-by of the top Via.
var viaPort = regexp.MustCompile(`(?i)^(?:via|v)\s*:\s*SIP\s*/\s*2\.0\s*/\s*UDP\s+[^\s;,:\[]+\s*:\s*(\d+)`)

func sentBy(raw string) int {
	for line := range strings.SplitSeq(raw, "\r\n") {
		name, _, ok := strings.Cut(strings.ToLower(line), ":")
		if name = strings.TrimSpace(name); ok && (name == "via" || name == "v") {
			if f := viaPort.FindStringSubmatch(line); f != nil {
				port, _ := strconv.Atoi(f[1])
				return port
			}
			return 5060
		}
	}
	return 5060
}

func (x *torturer) judge(name, raw string, want []int) {
	x.t.Helper()
	wait := patience
	if len(want) == 0 {
		wait = silence
	}
	got, text := x.answers(raw, wait)
	switch {
	case len(want) == 0 && len(got) == 0:
	case len(got) == 1 && among(got[0], want...):
	case name == "dblreq" && x.proto == "TCP" && len(got) == 2: // on a stream the second request is one, too
	case name == "baddn" && x.proto == "TCP" && len(got) == 0 && !strings.Contains(raw, "\r\n\r\n"): // not yet whole
	default:
		x.t.Errorf("%s over %s: answered %v, want one of %v\n%s", name, x.proto, got, want, text)
	}
}

// Each message of RFC 4475 and RFC 5118, as the project wrote them, against the running switch over three transports.
func TestTorture(t *testing.T) {
	t.Parallel()
	o := open(t)
	bob := o.phone("1002")
	bob.Poll(time.Second, func(wire.Message) bool { return false }) // for the answer to a REGISTER that was sent again
	heard, _ := bob.Count()
	for _, proto := range []string{"UDP", "TCP", "WS"} {
		t.Run(proto, func(t *testing.T) {
			for _, m := range siptorture.Messages() {
				x := &torturer{o, t, proto}
				x.judge(m.Name, m.Raw, m.Answers(proto == "TCP"))
				o.alive()
			}
		})
	}
	if now, _ := bob.Count(); now != heard {
		t.Errorf("bob's phone received %d packets", now-heard)
	}
	o.Idle(2 * time.Second)
}

// rawVerdicts are those of our messages, by the name of the raw file; some raw ones differ in what they carry.
func rawVerdicts() map[string]siptorture.Message {
	by := map[string]siptorture.Message{}
	for _, m := range siptorture.Messages() {
		by[m.Name] = m
	}
	return by
}

// The raw files of RFC 4475, where they lie beside the project. The statuses are those of our own messages; a file
// that names other domains may be refused for that.
func TestTortureRaw(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root(t), "..", "shared", "sip-torture")
	files, err := filepath.Glob(filepath.Join(dir, "*.dat"))
	if err != nil {
		t.Fatal(err)
	}
	more, _ := filepath.Glob(filepath.Join(dir, "*", "*.dat"))
	files = append(files, more...)
	if len(files) == 0 {
		t.Logf("no raw torture messages at %s: the project's own are tested by TestTorture", dir)
		return
	}
	o := open(t)
	known := rawVerdicts()
	for _, proto := range []string{"UDP", "TCP", "WS"} {
		t.Run(proto, func(t *testing.T) {
			for _, f := range files {
				raw, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				name := strings.TrimSuffix(filepath.Base(f), ".dat")
				x := &torturer{o, t, proto}
				m, ok := known[name]
				if !ok { // RFC 5118, and a variant
					got, text := x.answers(string(raw), silence)
					for _, status := range got {
						if !among(status, 200, 400, 401, 403, 404, 405, 416, 480, 481, 501) {
							t.Errorf("%s over %s: %s", name, proto, text)
						}
					}
					o.alive()
					continue
				}
				want := m.Answers(proto == "TCP")
				if len(want) > 0 {
					want = append(append([]int(nil), want...), 403, 404)
				}
				x.judge(name, string(raw), want)
				o.alive()
			}
		})
	}
	o.Idle(2 * time.Second)
}

// root is the project's folder: the one with go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("no go.mod above the test")
	return ""
}

// A response whose second Via is the broadcast address goes nowhere at all.
func TestNothingGoesToBroadcast(t *testing.T) {
	t.Parallel()
	o := open(t)
	watch, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 255, 255, 255), Port: 5060})
	if err != nil {
		t.Logf("broadcast address of loopback cannot be bound (%v): watching the switch's own count", err)
	} else {
		defer func() { _ = watch.Close() }()
	}
	before := o.Metrics()[`tandem_sip_messages_total{direction="out",listener="udp",transport="udp"}`]
	l := wire.UDP(t, binary.Host(), 0, o.Addr(5060))
	for _, m := range siptorture.Messages() {
		if m.Name == "bcast" {
			for _, via := range []string{m.Raw, strings.ReplaceAll(m.Raw, "255.255.255.255", "127.255.255.255")} {
				l.Send(via)
			}
		}
	}
	l.Quiet(200 * time.Millisecond)
	if after := o.Metrics()[`tandem_sip_messages_total{direction="out",listener="udp",transport="udp"}`]; after != before {
		t.Errorf("%v messages left the switch", after-before)
	}
	if watch != nil {
		_ = watch.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		buf := make([]byte, 2048)
		if n, _, err := watch.ReadFromUDP(buf); err == nil {
			t.Errorf("broadcast: %q", buf[:n])
		}
	}
}
