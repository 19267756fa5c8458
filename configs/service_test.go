package configs

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The unit says what it must, whether or not systemd is there to judge it.
func TestServiceUnit(t *testing.T) {
	text, err := os.ReadFile("tandem.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"Type=notify", "WatchdogSec=30s", "DynamicUser=yes", "StateDirectory=tandem", "NoNewPrivileges=yes", "ProtectSystem=strict",
		"PrivateTmp=yes", "MemoryDenyWriteExecute=yes", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
		"SystemCallFilter=@system-service", "CapabilityBoundingSet=", "ExecReload=/bin/kill -HUP $MAINPID", "KillMode=mixed",
	} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not here: the exposure is not measured")
		return
	}
	out, err := exec.Command(tool, "security", "--offline=true", "--no-pager", "tandem.service").CombinedOutput()
	m := regexp.MustCompile(`Overall exposure level for tandem.service: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Logf("systemd-analyze cannot judge a file here: %v\n%s", err, out)
		return
	}
	exposure, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil || exposure > 1.5 {
		t.Errorf("the exposure is %s, want at most 1.5", m[1])
	}
	t.Logf("exposure %v", exposure)
}
