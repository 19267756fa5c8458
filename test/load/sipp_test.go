package load

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// media has ports for a hundred calls a second whose two legs rest for 30 s after each.
const media = `
media {
  ports          = "20000-39999"
  loopback_peers = true
  private_peers  = true
}
`

// pairs are the pairs of ports in that range.
const pairs = 10000

// rate is calls a second.
const rate = 100

// sipp is one running SIPp.
type sipp struct {
	t    *testing.T
	cmd  *exec.Cmd
	dir  string
	out  bytes.Buffer
	done chan error
}

// start runs SIPp with a scenario of testdata. It ends with the test at the latest.
func start(ctx context.Context, t *testing.T, scenario string, args ...string) *sipp {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", scenario+".xml"))
	if err != nil {
		t.Fatal(err)
	}
	s := &sipp{t: t, dir: t.TempDir(), done: make(chan error, 1)}
	file := filepath.Join(s.dir, scenario+".xml")
	if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte("PASSWORD"), []byte("\""+binary.Password+"\"")), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-sf", file, "-nostdin", "-trace_stat", "-stf", filepath.Join(s.dir, "stat.csv"), "-fd", "1",
		"-trace_err", "-error_file", filepath.Join(s.dir, "errors.log"), "-timeout_error"}, args...)
	s.cmd = exec.CommandContext(ctx, "sipp", args...)
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	return s
}

// stop asks SIPp to end when its calls have.
func (s *sipp) stop() { _ = s.cmd.Process.Signal(syscall.SIGUSR1) }

// figures are the last line of its statistics, by column.
func (s *sipp) figures() map[string]string {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "stat.csv"))
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.out.String())
	}
	r := csv.NewReader(bytes.NewReader(raw))
	r.Comma, r.FieldsPerRecord = ';', -1
	lines, err := r.ReadAll()
	if err != nil || len(lines) < 2 {
		s.t.Fatalf("%v: %d lines of statistics\n%s", err, len(lines), s.out.String())
	}
	out := map[string]string{}
	last := lines[len(lines)-1]
	for i, name := range lines[0] {
		if i < len(last) {
			out[name] = last[i]
		}
	}
	return out
}

func (s *sipp) count(name string) int {
	n, _ := strconv.Atoi(s.figures()[name])
	return n
}

func (s *sipp) errors() string {
	raw, _ := os.ReadFile(filepath.Join(s.dir, "errors.log"))
	return fmt.Sprintf("%.4000s\n%.2000s", raw, s.out.String())
}

func needSIPp(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("sipp"); err == nil {
		return
	}
	if os.Getenv("TANDEM_PEERS") == "required" {
		t.Fatal("sipp is not installed: run `sh test/peers.sh`, or on Debian `apt-get install sip-tester`")
	}
	t.Skip("sipp is not installed: run `sh test/peers.sh`, or on Debian `apt-get install sip-tester`")
}

// gauges are those of the switch, and of its process what must not grow with calls.
func gauges(s *binary.Switch) map[string]float64 {
	out := map[string]float64{}
	for name, v := range s.Metrics() {
		for _, g := range []string{
			"tandem_calls", "tandem_dialogs", "tandem_registrations", "tandem_transactions", "tandem_media_sessions",
			"tandem_media_ports", "tandem_sip_connections", "tandem_queue",
		} {
			if base, _, _ := strings.Cut(name, "{"); base == g {
				out[name] = v
			}
			// An address is counted from its first call on, so at the start there is nothing to compare with.
			if name == `tandem_media_ports{state="free"}` && v == 0 {
				out[name] = pairs
			}
		}
	}
	return out
}

// A hundred calls a second for a minute through the B2BUA without one failure; afterwards every gauge is back at its
// start, and so is the process.
func TestHundredCallsASecond(t *testing.T) {
	needSIPp(t)
	seconds := 60
	if testing.Short() {
		seconds = 5
	}
	calls := rate * seconds
	s := binary.Start(t, binary.Office+media)
	callee := register(t, s)
	before, process := gauges(s), s.Process()
	goroutines, heap := s.Metrics()["go_goroutines"], liveHeap(t, s)

	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds+60)*time.Second)
	defer cancel()
	uas := start(ctx, t, "callee", "-i", callee.Addr, "-p", callee.Port, "-mi", callee.Addr)
	host := binary.Host()
	began := time.Now()
	uac := start(ctx, t, "caller", s.Addr(5060), "-i", host, "-p", "5070", "-mi", host, "-r", strconv.Itoa(rate), "-m", strconv.Itoa(calls),
		"-l", strconv.Itoa(20*rate), "-timeout", strconv.Itoa(seconds+40), "-auth_uri", "1002@"+s.Addr(5060))
	peak, transactions := watch(s, uac.done)
	took := time.Since(began)
	used := s.Process().CPU - process.CPU
	uas.stop()
	<-uas.done
	t.Logf("%d calls in %v: %d ended well, %d failed; at the callee %d ended well, %d failed; %d retransmissions by the caller, %d by the callee",
		calls, took.Round(time.Millisecond), uac.count("SuccessfulCall(C)"), uac.count("FailedCall(C)"),
		uas.count("SuccessfulCall(C)"), uas.count("FailedCall(C)"), uac.count("Retransmissions(C)"), uas.count("Retransmissions(C)"))
	t.Logf("CPU %.2f ms a call, %.0f %% of one core; memory %d MB before, %d MB at its peak with %.0f transactions; answered after %s, BYE after %s",
		float64(used.Microseconds())/1000/float64(calls), 100*used.Seconds()/took.Seconds(), process.RSS>>20, peak>>20, transactions,
		uac.figures()["ResponseTimeanswer(C)"], uac.figures()["ResponseTimebye(C)"])
	if uac.count("SuccessfulCall(C)") != calls || uac.count("FailedCall(C)") != 0 {
		t.Errorf("caller:\n%s", uac.errors())
	}
	if uas.count("FailedCall(C)") != 0 || uas.count("SuccessfulCall(C)") != calls {
		t.Errorf("callee: %d ended well, %d failed\n%s", uas.count("SuccessfulCall(C)"), uas.count("FailedCall(C)"), uas.errors())
	}
	if took > time.Duration(seconds+10)*time.Second {
		t.Errorf("%d calls took %v", calls, took)
	}
	backAtTheStart(t, s, before, process, goroutines, calls)
	after := settledHeap(t, s, heap+10e6)
	t.Logf("live heap %.1f MB before, %.1f MB afterwards", heap/1e6, after/1e6)
	if after > heap+10e6 {
		t.Errorf("%.0f bytes of each call are still there", (after-heap)/float64(calls))
	}
}

// watch keeps the highest resident size, and the most transactions at once, until SIPp has ended.
func watch(s *binary.Switch, done <-chan error) (peak int64, transactions float64) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return peak, transactions
		case <-tick.C:
			peak = max(peak, s.Process().RSS)
			transactions = max(transactions, binary.Sum(s.Metrics(), "tandem_transactions"))
		}
	}
}

// liveHeap is the heap that is in use right after a collection, in bytes. Reading the metrics makes garbage: it is
// done until there were two collections.
func liveHeap(t *testing.T, s *binary.Switch) float64 {
	t.Helper()
	const count, heap = "go_gc_duration_seconds_count", "go_memstats_heap_alloc_bytes"
	m := s.Metrics()
	least, until := m[heap], m[count]+2
	for range 5000 {
		m = s.Metrics()
		least = min(least, m[heap])
		if m[count] >= until {
			return least
		}
	}
	t.Fatal("no two collections in 5000 reads of the metrics")
	return 0
}

// settledHeap is the live heap once it is at most bound, or after half a minute: the store drops the blocks that it has in memory
// some seconds after the last write.
func settledHeap(t *testing.T, s *binary.Switch, bound float64) float64 {
	t.Helper()
	after := liveHeap(t, s)
	for deadline := time.Now().Add(30 * time.Second); after > bound && time.Now().Before(deadline); after = liveHeap(t, s) {
		<-time.After(time.Second)
	}
	return after
}

// backAtTheStart waits for the gauges and looks at the process.
func backAtTheStart(t *testing.T, s *binary.Switch, before map[string]float64, process binary.Process, goroutines float64, calls int) {
	t.Helper()
	s.Clean(40 * time.Second)
	left := func() (out []string) {
		after := gauges(s)
		for name, v := range before {
			if after[name] != v {
				out = append(out, fmt.Sprintf("%s was %v and is %v", name, v, after[name]))
			}
		}
		return out
	}
	for deadline := time.Now().Add(40 * time.Second); len(left()) > 0 && time.Now().Before(deadline); { // ports rest for 30 s
		<-time.After(250 * time.Millisecond)
	}
	for _, gauge := range left() {
		t.Error(gauge)
	}
	s.Eventually(5*time.Second, "as few goroutines as before", func() bool { return s.Metrics()["go_goroutines"] <= goroutines+2 })
	after := s.Process()
	t.Logf("afterwards: %d MB resident (before: %d), %d descriptors (before: %d)", after.RSS>>20, process.RSS>>20, after.FDs, process.FDs)
	if after.FDs > process.FDs+2 { // the test's own HTTP connections
		t.Errorf("%d descriptors, before %d", after.FDs, process.FDs)
	}
	// The runtime gives free heap back to the system minutes later: what leaks is seen by liveHeap.
	if grown := after.RSS - process.RSS; grown > 256<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
	if n := len(s.Records()); n != calls {
		t.Errorf("%d call records of %d calls", n, calls)
	}
	for name, v := range s.Metrics() {
		if base, _, _ := strings.Cut(name, "{"); v != 0 && (base == "tandem_panics_total" || base == "tandem_call_inbox_full_total" || base == "tandem_transactions_refused_total") {
			t.Errorf("%s is %v", name, v)
		}
	}
}

// place is where the callee's SIPp listens.
type place struct{ Addr, Port string }

// register binds 1002 to a place where SIPp will listen: SIPp as a callee does not register itself. It speaks from
// the very port, since a phone is called where it registered from.
func register(t *testing.T, s *binary.Switch) place {
	t.Helper()
	at := place{binary.Host(), "5080"}
	l := wire.UDP(t, at.Addr, 5080, s.Addr(5060))
	wire.NewPhone(l, "1002", binary.Password).Register()
	l.Close()
	return at
}
