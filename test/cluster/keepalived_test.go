package cluster

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/test/binary"
)

// vrrp is a configuration of keepalived as the README has it.
const vrrp = `
global_defs {
  router_id NAME
  script_user root
  enable_script_security
}
vrrp_instance phones {
  state BACKUP
  nopreempt
  interface eth0
  virtual_router_id 77
  priority 100
  version 3
  advert_int 0.1
  virtual_ipaddress {
    VIRTUAL/24
  }
  notify "BINARY cluster notify --config FOLDER"
  notify_stop "BINARY cluster notify STOP --config FOLDER"
}
`

// keepalived runs Debian's keepalived on a node until it is ended, or the whole test is.
func (p *Pair) keepalived(whole *testing.T, name string) *process {
	p.t.Helper()
	dir := filepath.Join(p.dir, name)
	p.write(name, "keepalived.conf", strings.NewReplacer("NAME", name, "VIRTUAL", virtual, "BINARY", binary.Path(p.t), "FOLDER", dir).Replace(vrrp))
	k := &process{name: "keepalived on " + name, dir: dir, out: &output{}, done: make(chan struct{})}
	at := func(file string) string { return filepath.Join(dir, file) }
	k.cmd = exec.Command("ip", "netns", "exec", p.wires.nodes[name].Name, "keepalived", "--dont-fork", "--log-console", "--vrrp", "--use-file", at("keepalived.conf"), "--pid", at("keepalived.pid"), "--vrrp_pid", at("vrrp.pid"))
	k.cmd.Stdout, k.cmd.Stderr = k.out, k.out
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := k.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		_ = k.cmd.Wait()
		close(k.done)
	}()
	whole.Cleanup(func() {
		if p.endKeepalived(k); whole.Failed() {
			whole.Logf("%s:\n%s", k.name, k.out)
		}
	})
	return k
}

func (p *Pair) endKeepalived(k *process) {
	_ = k.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-k.done:
	case <-time.After(5 * time.Second):
		p.t.Errorf("%s does not end:\n%s", k.name, k.out)
	}
}

// keepalived has the address and the decision: the node beside it serves, and no other.
func TestKeepalivedDecides(t *testing.T) {
	t.Parallel()
	binary.Need(t, "keepalived", "keepalived")
	whole := t
	text := strings.Replace(twinConfiguration(`role = "keepalived"`), `  address "VIRTUAL/24" { interface = "eth0" }`, "", 1)
	p := newRig(t, two, text)
	daemons := map[string]*process{"a": p.keepalived(t, "a")}
	p.eventually(20*time.Second, "a serves", p.serves("a"))
	daemons["b"] = p.keepalived(t, "b")
	p.eventually(30*time.Second, "b holds everything", p.twin("a"))
	phones := p.register(8)
	p.run("keepalived stops: the role goes where the address goes", func(t *testing.T) {
		talks := p.talks(t, phones)
		p.endKeepalived(daemons["a"])
		p.eventually(20*time.Second, "b serves", func() bool { return p.serves("b")() && p.has("b", virtual) && !p.has("a", virtual) })
		p.carryOn(t, talks, phones)
		daemons["a"] = p.keepalived(whole, "a")
		p.eventually(30*time.Second, "a holds everything", p.twin("b"))
	})
	p.run("the machine is cut off", func(t *testing.T) {
		talks := p.talks(t, phones)
		p.cut("b")
		p.eventually(20*time.Second, "a serves", func() bool { return p.serves("a")() && p.has("a", virtual) })
		p.carryOn(t, talks, phones)
		p.plug("b")
		p.eventually(30*time.Second, "b holds everything", p.twin("a"))
	})
	p.run("the switch starts again beside a keepalived that goes on", func(t *testing.T) {
		talks := p.talks(t, phones)
		p.kill("a")
		p.start("a")
		p.eventually(20*time.Second, "a serves, since keepalived still says so", p.serves("a"))
		p.carryOn(t, talks, phones)
		p.eventually(30*time.Second, "b holds everything", p.twin("a"))
	})
	if out, err := p.try("b", "failover", "--force"); err == nil || !strings.Contains(out, "keepalived decides") {
		t.Errorf("a second decider: %s", out)
	}
	p.agree()
}
