// Package binary starts the built switch for tests that treat it as a stranger would: from outside, with files,
// signals and packets. Each switch has a loopback address of its own, so that tests run side by side.
package binary

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Switch is one running process.
type Switch struct {
	t    testing.TB
	Host string     // address that it listens on: UDP and TCP 5060, TLS 5061, WS 5066, WSS 7443, HTTP 9090; a loopback one but for StartIn
	Dir  string     // its configuration folder
	in   *Namespace // where it runs; nil: where the test runs
	http *http.Client
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when the process has ended
	err  error         // of the process, once done is closed
	stop sync.Once
}

// Password is that of every phone of Office.
const Password = "correct horse"

// hosts gives each switch of one test binary an address of its own. The first octets come from the process id, since
// go test runs the binaries of several packages at once.
var hosts atomic.Uint32

// Host is a fresh loopback address.
func Host() string {
	n := hosts.Add(1)
	pid := uint32(os.Getpid())
	return fmt.Sprintf("127.%d.%d.%d", 16+(pid>>8+n/250*37)%200, pid%250+1, n%250+1)
}

// path builds the switch once, unless TANDEM_BINARY names one.
var path = sync.OnceValues(func() (string, error) {
	if p := os.Getenv("TANDEM_BINARY"); p != "" {
		return p, nil
	}
	dir, err := os.MkdirTemp("", "tandem-binary-")
	if err != nil {
		return "", err
	}
	p := filepath.Join(dir, "tandem")
	build := exec.Command("go", "build", "-o", p, "tandem/cmd/tandem")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return p, nil
})

// Path is the built binary.
func Path(t testing.TB) string {
	t.Helper()
	p, err := path()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Office is a configuration with extensions 1001 to 1009 and test numbers: 9196 echo, 9197 tone, 9198 a notice that is
// not answered, 9199 reject. HOST stands for the switch's address. More blocks may be added.
const Office = `
node "test" {
  domains   = ["HOST", "example.com"]
  state_dir = "state"
  http      = "HOST:9090"
}
listen "udp" {
  transport = "udp"
  address   = "HOST:5060"
}
listen "tcp" {
  transport = "tcp"
  address   = "HOST:5060"
}
listen "tls" {
  transport   = "tls"
  address     = "HOST:5061"
  certificate = "cert.pem"
  key         = "key.pem"
}
listen "ws" {
  transport = "ws"
  address   = "HOST:5066"
  origins   = ["*"]
}
listen "wss" {
  transport   = "wss"
  address     = "HOST:7443"
  certificate = "cert.pem"
  key         = "key.pem"
  origins     = ["*"]
}
class "office" {}
extensions { file = "phones.csv" }
route "internal" {
  from = [class.office]
  to   = "100x"
  dial {
    extension = call.to
    timeout   = "20s"
  }
}
route "echo" {
  to = "9196"
  echo {}
}
route "tone" {
  to = "9197"
  tone { hz = 1004 }
}
route "reject" {
  to = "9199"
  reject { status = 486 }
}
`

// Media is the media block of Office; tests that want other silence or ports write their own.
const Media = `
media {
  ports          = "20000-29999"
  loopback_peers = true
  private_peers  = true
}
`

// Start writes the configuration, starts the switch and waits until it is ready. It is stopped at the end of the test,
// which fails if the switch panicked or does not stop.
func Start(t testing.TB, hcl string) *Switch { t.Helper(); return StartWith(t, nil, hcl) }

// StartWith is Start with files beside the configuration, by their names.
func StartWith(t testing.TB, files map[string]string, hcl string) *Switch {
	t.Helper()
	return start(t, &Switch{Host: Host(), http: http.DefaultClient}, files, hcl)
}

// StartIn is Start in a namespace, at an address that it has there, of IPv4 or IPv6.
func StartIn(t testing.TB, n *Namespace, host, hcl string) *Switch {
	t.Helper()
	wire := &http.Transport{DialContext: n.Dial, DisableKeepAlives: true}
	return start(t, &Switch{Host: host, in: n, http: &http.Client{Transport: wire}}, nil, hcl)
}

func start(t testing.TB, s *Switch, files map[string]string, hcl string) *Switch {
	t.Helper()
	s.t, s.Dir, s.out, s.done = t, t.TempDir(), &output{}, make(chan struct{})
	s.Write("switch.hcl", hcl)
	s.Write("phones.csv", phones())
	s.Write("password", Password)
	for name, text := range files {
		s.Write(name, text)
	}
	writeCertificate(t, s.Dir, s.Host)
	s.run()
	t.Cleanup(s.Stop)
	return s
}

// Restart stops the switch and starts it again with the same files.
func (s *Switch) Restart() {
	s.t.Helper()
	s.Stop()
	s.stop, s.done = sync.Once{}, make(chan struct{})
	s.run()
}

// Kill ends the process as kill -9 does, and waits until it is gone.
func (s *Switch) Kill() {
	s.t.Helper()
	s.Signal(syscall.SIGKILL)
	<-s.done
}

// Leave stops the switch as a service manager does that will start it again: its calls stay.
func (s *Switch) Leave() {
	s.t.Helper()
	s.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		s.Signal(syscall.SIGQUIT)
		<-s.done
		s.t.Fatalf("switch did not leave within 10 s\n%s", s.Log())
	}
}

// Again starts a switch that has ended with the same files, and waits until it is ready.
func (s *Switch) Again() {
	s.t.Helper()
	s.stop, s.done = sync.Once{}, make(chan struct{})
	s.run()
}

// run starts the process and waits until it is ready.
func (s *Switch) run() {
	t := s.t
	t.Helper()
	s.cmd = exec.Command(Path(t), "serve", "--config", s.Dir)
	if s.in != nil {
		s.in.Move(s.cmd)
	}
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	s.Eventually(time.Minute, "ready", func() bool { // a busy machine takes its time
		resp, err := s.http.Get("http://" + s.Addr(9090) + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// Write puts a file into the configuration folder; HOST in it becomes the switch's address.
func (s *Switch) Write(name, text string) {
	s.t.Helper()
	text = strings.ReplaceAll(text, "HOST:", strings.TrimSuffix(s.Addr(0), "0"))
	text = strings.ReplaceAll(text, "HOST", s.Host)
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func phones() string {
	var b strings.Builder
	b.WriteString("extension,name,password,class\n")
	for n := 1001; n <= 1009; n++ {
		fmt.Fprintf(&b, "%d,Phone %d,file:password,office\n", n, n)
	}
	return b.String()
}

// Eventually waits until ok is true; it fails the test after limit, or at once when the switch has died.
func (s *Switch) Eventually(limit time.Duration, what string, ok func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	pause := 20 * time.Millisecond // longer each time: what takes half a minute is not asked for a thousand times
	for !ok() {
		select {
		case <-time.After(pause):
			pause = min(pause*5/4, 250*time.Millisecond)
		case <-s.done:
			s.t.Fatalf("switch died before %s: %v\n%s", what, s.err, s.Log())
		case <-deadline.C:
			s.t.Fatalf("not %s within %v\n%s", what, limit, s.Log())
		}
	}
}

// Stop ends the switch and its calls: SIGINT drains, and the next one must be enough. It is sent until it is heard, as two that come
// together are one.
func (s *Switch) Stop() {
	s.stop.Do(func() {
		again := time.NewTicker(100 * time.Millisecond)
		defer again.Stop()
		limit := time.After(20 * time.Second)
		s.Signal(syscall.SIGINT)
		for over := false; !over; {
			select {
			case <-s.done:
				over = true
			case <-again.C:
				s.Signal(syscall.SIGINT)
			case <-limit:
				s.Signal(syscall.SIGQUIT) // its goroutines tell where it hangs
				<-s.done
				over = true
				s.t.Errorf("switch did not stop within 20 s\n%s", s.Log())
			}
		}
		if log := s.Log(); strings.Contains(log, "panic") {
			s.t.Errorf("switch panicked:\n%s", log)
		}
	})
}

// Signal sends a signal to the process.
func (s *Switch) Signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

// Done is closed when the process has ended.
func (s *Switch) Done() <-chan struct{} { return s.done }

// PID is the process id.
func (s *Switch) PID() int { return s.cmd.Process.Pid }

// Log is what the switch has written so far.
func (s *Switch) Log() string { return s.out.String() }

// Metrics reads /metrics: the value of each line by its name with labels, as they stand there.
func (s *Switch) Metrics() map[string]float64 {
	s.t.Helper()
	resp, err := s.http.Get("http://" + s.Addr(9090) + "/metrics")
	if err != nil {
		s.t.Fatalf("metrics: %v\n%s", err, s.Log())
	}
	defer func() { _ = resp.Body.Close() }()
	out := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		if v, err := strconv.ParseFloat(line[i+1:], 64); err == nil {
			out[line[:i]] = v
		}
	}
	return out
}

// Sum adds up all lines of one metric family, whatever their labels.
func Sum(metrics map[string]float64, family string) (sum float64) {
	for name, v := range metrics {
		if base, _, _ := strings.Cut(name, "{"); base == family {
			sum += v
		}
	}
	return sum
}

// gauges are what must be back where it was when the calls are over: their records are on the disk by then.
var gauges = []string{"tandem_calls", "tandem_dialogs", "tandem_media_sessions", `tandem_media_ports{state="used"}`, "tandem_call_records_waiting"}

// Clean waits until nothing is left of any call, and, within lingering, of any transaction.
func (s *Switch) Clean(lingering time.Duration) {
	s.t.Helper()
	s.nothingLeft(lingering, "clean of calls, ports and transactions", func(m map[string]float64) bool { return Sum(m, "tandem_transactions") == 0 })
}

// Idle waits until no call is left; transactions may linger.
func (s *Switch) Idle(limit time.Duration) {
	s.t.Helper()
	s.nothingLeft(limit, "idle", func(map[string]float64) bool { return true })
}

// nothingLeft waits until no call is left, and says what is where it does not come to that.
func (s *Switch) nothingLeft(limit time.Duration, what string, more func(map[string]float64) bool) {
	s.t.Helper()
	var left []string
	defer func() {
		for _, g := range left {
			s.t.Log("left: ", g)
		}
	}()
	s.Eventually(limit, what, func() bool {
		m := s.Metrics()
		left = nil
		for _, g := range gauges {
			if m[g] != 0 {
				left = append(left, fmt.Sprint(g, " ", m[g]))
			}
		}
		return len(left) == 0 && more(m)
	})
}

// Run runs a command of the binary against this switch and returns what it printed.
func (s *Switch) Run(args ...string) (string, error) {
	out, err := exec.Command(Path(s.t), append(args, "--config", s.Dir)...).CombinedOutput()
	return string(out), err
}

// Command runs the binary with these arguments and returns what it printed, on both of its outputs.
func (s *Switch) Command(args ...string) (string, error) {
	out, err := exec.Command(Path(s.t), args...).CombinedOutput()
	return string(out), err
}

// Records are the call records written so far.
func (s *Switch) Records() []map[string]any {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.Dir, "state", "cdr.jsonl"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	raw = raw[:bytes.LastIndexByte(raw, '\n')+1] // a line that is being written is no record yet
	var out []map[string]any
	for d := json.NewDecoder(bytes.NewReader(raw)); ; {
		var r map[string]any
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			s.t.Fatalf("call record: %v", err)
		}
		out = append(out, r)
	}
}

// Addr joins the switch's host with a port.
func (s *Switch) Addr(port int) string { return net.JoinHostPort(s.Host, strconv.Itoa(port)) }

// output collects what a process writes. The switch logs little, so it is kept whole.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
