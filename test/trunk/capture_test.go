package trunk

import (
	"bufio"
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// captured is one packet that has left towards a carrier.
type captured struct {
	port    uint16 // that it went to
	payload string // of UDP or TCP
}

// capture records every packet to some addresses, until stop. It needs the right to: the test is left out without, unless
// TANDEM_PEERS=required.
func capture(t *testing.T, hosts ...string) (stop func() []captured) {
	t.Helper()
	need(t, "tcpdump")
	if os.Geteuid() != 0 && os.Getenv("TANDEM_PEERS") != "required" {
		t.Skip("capturing packets takes root")
	}
	file := filepath.Join(t.TempDir(), "out.pcap")
	filter := "dst host " + strings.Join(hosts, " or dst host ")
	cmd := exec.Command("tcpdump", "-i", "lo", "-n", "-U", "--immediate-mode", "-s", "0", "-B", "16384", "-Z", "root", "-w", file, filter)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !strings.Contains(lines.Text(), "listening on") {
	}
	rest := make(chan string, 1)
	go func() {
		var all strings.Builder
		for lines.Scan() {
			all.WriteString(lines.Text() + "\n")
		}
		rest <- all.String()
	}()
	return func() []captured {
		t.Helper()
		last := hosts[0] + " was the last"
		c, err := net.Dial("udp", hosts[0]+":9")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(last))
		_ = c.Close()
		eventually(t, patience, "all is captured", func() bool {
			raw, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(raw), last)
		})
		_ = cmd.Process.Signal(syscall.SIGINT)
		said := <-rest
		_ = cmd.Wait()
		if !strings.Contains(said, " 0 packets dropped by kernel") && !strings.Contains(said, "\n0 packets dropped by kernel") {
			t.Error("packets are missing:", said)
		}
		return packets(t, file)
	}
}

// packets reads a capture of Ethernet frames with IPv4 in them, as tcpdump writes them of the loopback interface.
func packets(t *testing.T, file string) (all []captured) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil || len(raw) < 24 {
		t.Fatal("no capture:", err)
	}
	for raw = raw[24:]; len(raw) >= 16; {
		n := int(binary.LittleEndian.Uint32(raw[8:]))
		frame := raw[16:]
		if len(frame) < n {
			break
		}
		raw = frame[n:]
		frame = frame[:n]
		if n < 34 || frame[12] != 8 || frame[13] != 0 {
			continue
		}
		ip := frame[14:]
		if ip[9] != 6 && ip[9] != 17 { // ICMP quotes what the carrier itself has sent
			continue
		}
		segment := ip[int(ip[0]&15)*4:]
		head := 8
		if ip[9] == 6 {
			head = int(segment[12]>>4) * 4
		}
		if len(segment) >= head {
			all = append(all, captured{binary.BigEndian.Uint16(segment[2:]), string(segment[head:])})
		}
	}
	return all
}

// mayLeave are the headers that a carrier may see: those that the protocol needs, and those that a trunk has been told to write.
var mayLeave = strings.Fields(`via max-forwards from to call-id cseq contact route record-route allow supported require unsupported session-expires min-se
	user-agent server content-type content-length p-asserted-identity privacy identity diversion history-info reason rseq rack retry-after
	www-authenticate accept warning user-to-user priority date`)

// inside looks for what must not leave, in every byte that did.
func inside(t *testing.T, all []captured, words ...string) (methods map[string]int) {
	t.Helper()
	methods = map[string]int{}
	told := map[string]bool{}
	for _, p := range all {
		low := strings.ToLower(p.payload)
		for _, w := range words {
			if i := strings.Index(low, strings.ToLower(w)); i >= 0 && !told[w] {
				told[w] = true
				t.Errorf("%q leaves to port %d:\n%.1500s", w, p.port, p.payload)
			}
		}
		head, _, ok := strings.Cut(p.payload, "\r\n\r\n")
		start, rest, _ := strings.Cut(head, "\r\n")
		if !ok || !strings.Contains(start, "SIP/2.0") {
			continue
		}
		method, _, _ := strings.Cut(start, " ")
		methods[method]++
		for line := range strings.SplitSeq(rest, "\r\n") {
			name, _, _ := strings.Cut(line, ":")
			if name = strings.ToLower(strings.TrimSpace(name)); !slices.Contains(mayLeave, name) && !told[name] {
				told[name] = true
				t.Errorf("the header %s leaves:\n%s", name, p.payload)
			}
		}
	}
	return methods
}

// soon is how long the mix waits for what comes by itself.
const soon = 5 * time.Second
