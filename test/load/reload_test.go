package load

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
)

// turning is a part of the configuration that is another one at every turn. One in ten is broken: by its syntax, by a
// reference, by patterns that cross, or by a test of its own.
func turning(turn int) (text string, sound bool) {
	good := fmt.Sprintf("route \"turn\" {\n  to = \"9300\"\n  tone { hz = %d }\n}\ntest \"turn\" {\n  call   = { from = \"1001\", to = \"9300\" }\n  expect = { steps = [\"tone\"] }\n}\n", 300+turn)
	if turn%10 != 3 {
		return good, true
	}
	return good + []string{
		"route \"broken\" {\n  to = \"9301\n",
		"route \"broken\" {\n  to = \"9301\"\n  ring { group = ring_group.none }\n}\n",
		"route \"broken\" {\n  to = \"93x0\"\n  echo {}\n}\nroute \"across\" {\n  to = \"9x00\"\n  echo {}\n}\n",
		"test \"broken\" {\n  call   = { from = \"1001\", to = \"9300\" }\n  expect = { steps = [\"echo\"] }\n}\n",
	}[turn/10%4], false
}

// Fifty calls a second while the configuration is reloaded every second, one in ten broken: no call fails, nothing
// broken is put in force, and memory stays level. TANDEM_RELOADS sets how many seconds; five minutes are 300.
func TestReloadsUnderLoad(t *testing.T) {
	needSIPp(t)
	const rate = 50
	seconds := 25
	if testing.Short() {
		seconds = 5
	}
	if n, err := strconv.Atoi(os.Getenv("TANDEM_RELOADS")); err == nil {
		seconds = n
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
	uac := start(ctx, t, "caller", s.Addr(5060), "-i", host, "-p", "5070", "-mi", host, "-r", strconv.Itoa(rate), "-m", strconv.Itoa(calls),
		"-l", strconv.Itoa(20*rate), "-timeout", strconv.Itoa(seconds+40), "-auth_uri", "1002@"+s.Addr(5060))
	applied, refused := reloads(t, s, uac.done)
	uas.stop()
	<-uas.done
	t.Logf("%d calls, %d ended well, %d failed; %d reloads applied, %d refused", calls, uac.count("SuccessfulCall(C)"), uac.count("FailedCall(C)"), applied, refused)
	if uac.count("SuccessfulCall(C)") != calls || uac.count("FailedCall(C)") != 0 || uas.count("FailedCall(C)") != 0 {
		t.Errorf("caller:\n%s\ncallee:\n%s", uac.errors(), uas.errors())
	}
	if applied < seconds/2 || refused < seconds/20 {
		t.Errorf("in %d seconds %d reloads were applied and %d refused", seconds, applied, refused)
	}
	backAtTheStart(t, s, before, process, goroutines, calls)
	after := settledHeap(t, s, heap+10e6)
	t.Logf("live heap %.1f MB before, %.1f MB afterwards", heap/1e6, after/1e6)
	if after > heap+10e6 {
		t.Errorf("live heap grew from %.1f to %.1f MB", heap/1e6, after/1e6)
	}
}

// reloads turns the configuration once a second until SIPp has ended.
func reloads(t *testing.T, s *binary.Switch, done <-chan error) (applied, refused int) {
	t.Helper()
	socket := "--socket=" + s.Dir + "/state/admin.sock"
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-done:
			return applied, refused
		case <-tick.C:
		}
		text, sound := turning(turn)
		s.Write("turning.hcl", text)
		out, err := s.Run("reload", socket)
		switch {
		case sound && err != nil:
			t.Errorf("turn %d is sound and was refused: %s", turn, out)
		case !sound && err == nil:
			t.Errorf("turn %d is broken and was applied: %s", turn, out)
		case sound:
			applied++
			if !strings.Contains(out, "route turn") {
				t.Errorf("turn %d changed something else: %s", turn, out)
			}
		default:
			refused++
		}
	}
}
