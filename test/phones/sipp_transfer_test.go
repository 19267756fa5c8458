package phones

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// SIPp transfers whom it has called, as RFC 5589 §6.1 shows it, message by message: 202, what is told of the progress, BYE.
func TestSIPpTransfers(t *testing.T) {
	t.Parallel()
	binary.Need(t, "sipp", "sip-tester")
	o := open(t, "")
	from := o.extension(t)
	b, to := o.desk(t, "tcp")
	c, target := o.desk(t, "udp")
	b.SetAnswer(phone.AutoAnswer("tone:660"))
	c.SetAnswer(phone.AutoAnswer("tone:880"))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	host := binary.Host()
	script, err := filepath.Abs("testdata/transfer.xml")
	must(t, "scenario", err)
	sipp := exec.CommandContext(ctx, "sipp", o.Addr(5060), "-sf", script, "-i", host, "-mi", host, "-p", "5060", "-m", "1", "-nostdin",
		"-s", to, "-auth_uri", to+"@"+o.Addr(5060), "-au", from, "-ap", password, "-key", "extension", from, "-key", "target", target, "-key", "domain", o.Host)
	sipp.Dir = t.TempDir()
	var said bytes.Buffer
	sipp.Stdout, sipp.Stderr = &said, &said
	must(t, "start", sipp.Start())
	stays, third := incoming(t, b), incoming(t, c)
	hear(t, "who stays", stays, 880)
	hear(t, "target", third, 660)
	if err := sipp.Wait(); err != nil {
		t.Errorf("SIPp: %v\n%s", err, said.String())
	}
	must(t, "hang up", stays.Hangup(within(t)))
	ended(t, third, phone.ByRemote)
	if r := o.record(t, from, 1); len(r.Transfers) != 1 || r.Transfers[0].By != from || r.Transfers[0].Status != 200 {
		t.Errorf("record: %+v", r.Transfers)
	}
	o.Idle(5 * time.Second)
}
