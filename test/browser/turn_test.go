package browser

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"tandem/test/binary"
)

// relayed has a page reach the echo through a relay, and through nothing else.
func relayed(t *testing.T, b *tab, transport string) {
	t.Helper()
	eval[bool](b, fmt.Sprintf(`(page.phone.options.rtc = { iceTransportPolicy: 'relay' },
		page.phone.iceServers = page.phone.iceServers.filter((s) => s.urls.includes('transport=%s')), true)`, transport))
	b.dial("9196")
	b.up()
	b.hears(microphoneHz)
	b.await("a pair by the relay", fmt.Sprintf(`page.phone.calls[0].connection.getStats().then((all) => {
		const way = [...all.values()].find((s) => s.type === 'transport')?.selectedCandidatePairId;
		const local = all.get(all.get(way)?.localCandidateId);
		return local?.candidateType === 'relay' && local.relayProtocol === '%s';
	})`, transport))
	b.click("Hang up")
	b.over()
}

// The relay of the switch, of which the page hears as it registers: over UDP, and over TCP for networks without it.
func TestOwnRelay(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media+`
turn {
  address = "HOST:3478"
  ports   = "40001-40100"
}
`)
	for _, transport := range []string{"udp", "tcp"} {
		b := phonePage(t, s, "1001", rawMicrophone)
		relayed(t, b, transport)
	}
	m := s.Metrics()
	if m["tandem_turn_allocations_created_total"] < 2 || binary.Sum(m, "tandem_turn_bytes_total") == 0 {
		t.Errorf("metrics of the relay: %v lent, %v bytes", m["tandem_turn_allocations_created_total"], binary.Sum(m, "tandem_turn_bytes_total"))
	}
	s.Eventually(patience, "everything that was lent is back", func() bool { return s.Metrics()["tandem_turn_allocations"] == 0 })
	s.Idle(patience)
}

// Somebody else's relay, coturn: the page gets passwords that expire, made with the secret that the two share.
func TestCoturn(t *testing.T) {
	t.Parallel()
	binary.Need(t, "turnserver", "coturn")
	start(t)
	host := binary.Host()
	cmd := exec.Command("turnserver", "-n", "--listening-ip", host, "--relay-ip", host, "--listening-port", "3478",
		"--use-auth-secret", "--static-auth-secret", os.Getenv(relaySecret), "--realm", "example.com", "--no-cli", "--no-tls", "--no-dtls",
		"--allow-loopback-peers", "--min-port", "41000", "--max-port", "41100", "--log-file", "stdout", "--pidfile", t.TempDir()+"/pid",
		"--userdb", t.TempDir()+"/db")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, "coturn", cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	s := binary.Start(t, binary.Office+binary.Media+fmt.Sprintf(`
turn {
  urls   = ["turn:%s:3478?transport=udp"]
  secret = secret("env:`+relaySecret+`")
}
`, host))
	b := phonePage(t, s, "1001", rawMicrophone)
	relayed(t, b, "udp")
	s.Idle(patience)
}
