package binary

import (
	"strings"
	"testing"
	"time"
)

func TestSwitchStartsReloadsAndStops(t *testing.T) {
	s := Start(t, Office+Media)
	if m := s.Metrics(); m["tandem_calls"] != 0 || m["tandem_registrations"] != 0 {
		t.Fatalf("calls %v, registrations %v at the start", m["tandem_calls"], m["tandem_registrations"])
	}
	if out, err := s.Run("status"); err != nil || !strings.Contains(out, "takes calls") {
		t.Fatalf("status: %v\n%s", err, out)
	}
	s.Write("more.hcl", "route \"more\" {\n  to = \"9000\"\n  echo {}\n}\n")
	if out, err := s.Run("reload"); err != nil || !strings.Contains(out, "route more added") {
		t.Fatalf("reload: %v\n%s", err, out)
	}
	s.Write("broken.hcl", "route \"broken\" {\n  to = \"1xx\"\n  dail {}\n}\n")
	out, err := s.Run("status", "--socket", s.Dir+"/state/admin.sock")
	if err != nil {
		t.Fatalf("status by socket: %v\n%s", err, out)
	}
	if out, err := s.Run("reload", "--socket", s.Dir+"/state/admin.sock"); err == nil || !strings.Contains(out, "broken.hcl:3:3") {
		t.Fatalf("broken reload: %v\n%s", err, out)
	}
	if out, err := s.Run("drain", "--socket", s.Dir+"/state/admin.sock"); err != nil || !strings.Contains(out, "draining") {
		t.Fatalf("drain: %v\n%s", err, out)
	}
	s.Idle(time.Second)
	s.Stop()
}
