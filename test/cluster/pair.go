package cluster

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tandem/cluster"
	"tandem/console"
	"tandem/test/binary"
	"tandem/test/wire"
)

// The addresses of the rig.
const (
	virtual   = "10.77.0.100"
	phoneHost = "10.77.0.9"
)

var hosts = map[string]string{"a": "10.77.0.1", "b": "10.77.0.2", "w": "10.77.0.3", "phones": phoneHost}

// Pair is two switches and a witness.
type Pair struct {
	*wires
	t     testing.TB // of the part that runs
	dir   string
	nodes map[string]*process

	ledger ledger
	phones []*wire.Phone // two for each call
	spare  *wire.Phone   // whom calls are transferred to

	clocks bool // are set by the test: what nodes say of them is no reason to wait
}

// process is one of them.
type process struct {
	name, dir string
	path      string // of its binary; empty: the one that is tested
	env       []string
	cmd       *exec.Cmd
	done      chan struct{}
	out       *output
	earlier   string // what those before it have said, where they were exchanged
}

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

const configuration = `
node "NAME" {
  domains        = ["VIRTUAL"]
  public_address = "VIRTUAL"
  state_dir      = "state"
  http           = ""
}
cluster {
  election  = "ELECTION"
  preferred = "a"
  node "a" { address = "10.77.0.1:7300" }
  node "b" { address = "10.77.0.2:7300" }
  witness "w" { address = "10.77.0.3:7300" }
  address "VIRTUAL/24" { interface = "eth0" }
}
listen "udp" {
  transport = "udp"
  address   = "VIRTUAL:5060"
}
limits {
  strangers_rate  = 100000
  strangers_burst = 100000
  strangers_total = 1000000

  connections_per_source = 5000
}
media {
  ports         = "20000-23999"
  private_peers = true
  quarantine    = "0s"
}
class "office" {}
extensions { file = "phones.csv" }
route "internal" {
  from = [class.office]
  to   = "xxxx"
  dial {
    extension = call.to
    timeout   = "20s"
  }
}
`

// office is what the rig's configuration has besides for what people set.
const office = `
schedule "office" {
  timezone = "UTC"
  open     = ["daily 00:00-24:00"]
}
`

// boxes is what it has for messages.
const boxes = `
route "leave" {
  to = "7xxxx"
  voicemail { box = extension["1002"] }
}
route "listen" {
  to = "8000"
  voicemail {
    box    = call.from
    listen = true
  }
}
`

// extensions is how many the rig has, from 1000 on.
const extensions = 1000

// NewPair makes two switches and a witness. What is more stands in the configuration of all.
func NewPair(t testing.TB, election time.Duration, more ...string) *Pair {
	t.Helper()
	return newPair(t, election, strings.Join(more, ""))
}

func newPair(t testing.TB, election time.Duration, more string, prepare ...func(*Pair)) *Pair {
	t.Helper()
	p := newRig(t, hosts, strings.ReplaceAll(configuration, "ELECTION", election.String())+more, prepare...)
	p.eventually(60*time.Second, "pair whole", p.whole)
	return p
}

// newRig makes the cluster as a person would: init on a, an invitation and a join for each of the others. Before that the machines are
// prepared.
func newRig(t testing.TB, hosts map[string]string, configuration string, prepare ...func(*Pair)) *Pair {
	t.Helper()
	p := &Pair{wires: newWires(t, hosts), t: t, dir: t.TempDir(), nodes: map[string]*process{}}
	for name := range hosts {
		if name == "phones" {
			continue
		}
		dir := filepath.Join(p.dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("NAME", name, "VIRTUAL", virtual, "FOLDER", dir).Replace(configuration)
		p.write(name, "switch.hcl", text)
		p.disk(name)
		p.write(name, "phones.csv", phoneTable())
		p.write(name, "password", binary.Password)
		p.nodes[name] = &process{name: name, dir: dir}
	}
	t.Cleanup(p.stop)
	for _, f := range prepare {
		f(p)
	}
	p.command("a", "cluster", "init", "--name", "a")
	p.start("a")
	for _, name := range slices.Sorted(maps.Keys(p.nodes)) {
		if name == "a" {
			continue
		}
		p.join("a", name)
		p.start(name)
	}
	return p
}

// join makes a machine a node by an invitation of another one.
func (p *Pair) join(by, name string) {
	p.t.Helper()
	var token string
	p.eventually(10*time.Second, "a token", func() bool {
		out, err := p.try(by, "cluster", "invite", name)
		token = strings.TrimSpace(out)
		return err == nil
	})
	p.eventually(10*time.Second, name+" has joined", func() bool {
		_, err := p.try(name, "cluster", "join", token)
		return err == nil
	})
}

func phoneTable() string {
	var b strings.Builder
	b.WriteString("extension,name,password,class\n")
	for n := range extensions {
		fmt.Fprintf(&b, "%d,Phone %d,file:password,office\n", 1000+n, n)
	}
	return b.String()
}

func (p *Pair) write(node, name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, node, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// try runs a command of the binary on a node.
func (p *Pair) try(node string, args ...string) (string, error) {
	all := append([]string{"netns", "exec", p.wires.nodes[node].Name, binary.Path(p.t)}, args...)
	cmd := exec.Command("ip", append(all, "--config", filepath.Join(p.dir, node))...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out) + stderr.String(), err
	}
	return string(out), nil
}

func (p *Pair) command(node string, args ...string) string {
	p.t.Helper()
	out, err := p.try(node, args...)
	if err != nil {
		p.t.Fatalf("%s: %s: %v\n%s", node, strings.Join(args, " "), err, out)
	}
	return out
}

// failover asks until the other node serves: on a machine that is short of time a change may be refused, and then nothing has
// changed.
func (p *Pair) failover(from string) {
	p.t.Helper()
	p.eventually(20*time.Second, "failover from "+from, func() bool {
		_, err := p.try(from, "failover")
		return err == nil || p.has(other(from), virtual)
	})
}

func (p *Pair) start(name string) {
	p.t.Helper()
	n := p.nodes[name]
	n.out, n.done = &output{}, make(chan struct{})
	n.cmd = exec.Command("ip", "netns", "exec", p.wires.nodes[name].Name, p.binary(name), "serve", "--config", n.dir)
	n.cmd.Env = append(os.Environ(), n.env...)
	n.cmd.Stdout, n.cmd.Stderr = n.out, n.out
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	done := n.done
	go func() {
		_ = n.cmd.Wait()
		close(done)
	}()
}

// tookOver is what a node says of how long it took to take over.
func (p *Pair) tookOver(name string) string {
	var said []string
	for line := range strings.Lines(p.nodes[name].out.String()) {
		if strings.Contains(line, "state taken over") || strings.Contains(line, "this node is active") {
			_, took, _ := strings.Cut(strings.TrimSpace(line), " took=")
			said = append(said, took)
		}
	}
	return "taken over and active after " + strings.Join(said[max(0, len(said)-2):], ", ")
}

// binary is what a node runs.
func (p *Pair) binary(name string) string { return cmp.Or(p.nodes[name].path, binary.Path(p.t)) }

// signal sends a signal to a node; kill ends it at once and waits.
func (p *Pair) signal(name string, s syscall.Signal) { _ = p.nodes[name].cmd.Process.Signal(s) }

func (p *Pair) kill(name string) {
	p.signal(name, syscall.SIGKILL)
	<-p.nodes[name].done
}

// pid is the process of a node.
func (p *Pair) pid(name string) string { return strconv.Itoa(p.nodes[name].cmd.Process.Pid) }

// stop ends all of it. When something has failed, what each node says of itself is shown before.
func (p *Pair) stop() {
	if p.t.Failed() {
		for name, n := range p.nodes {
			if n.cmd != nil {
				out, _ := p.try(name, "cluster", "status")
				p.t.Logf("%s, %s:\n%s\n%s%s", name, time.Now().Format(time.TimeOnly), out, n.earlier, n.out)
			}
		}
	}
	for _, n := range p.nodes {
		if n.cmd != nil {
			_ = n.cmd.Process.Signal(syscall.SIGCONT)
			_ = n.cmd.Process.Kill()
			<-n.done
			if strings.Contains(n.out.String(), "panic") {
				p.t.Errorf("node %s panicked:\n%s", n.name, n.out)
			}
		}
	}
}

// status asks a node, over its socket: a file, which no namespace hides; ok is false when it does not answer.
func (p *Pair) status(name string) (s cluster.Status, ok bool) {
	s, err := console.Dial(filepath.Join(p.dir, name, "state", "admin.sock")).Cluster()
	return s, err == nil
}

// whole is true when one node serves with nothing waiting, the other follows and leads the streams, and the witness votes;
// each says so itself.
func (p *Pair) whole() bool {
	serves := p.serving()
	active, ok := p.status(serves)
	if !ok || active.Role != "active" || !active.Held || active.Degraded || active.Waits > 0 || len(p.problems(active)) > 0 {
		return false
	}
	standby, ok := p.status(other(serves))
	if !ok || standby.Role != "standby" || len(standby.Leads) != 5 || len(active.Leads) > 0 || standby.Active != serves {
		return false
	}
	witness, ok := p.status("w")
	if !ok || len(witness.Leads) > 0 || witness.Role != "witness" || witness.Active != serves {
		return false
	}
	hot := func(m cluster.Peer) bool { // as who tells it has heard
		var report struct{ Hot bool }
		return m.Node != standby.Node || m.Ready && json.Unmarshal(m.Report, &report) == nil && report.Hot
	}
	for _, s := range []cluster.Status{standby, active} {
		if slices.ContainsFunc(s.Members, func(m cluster.Peer) bool { return !hot(m) }) {
			return false
		}
	}
	return true
}

// problems are those that a node tells of, and that the test has not made.
func (p *Pair) problems(s cluster.Status) []string {
	return slices.DeleteFunc(slices.Clone(s.Problems), func(what string) bool { return p.clocks && strings.HasPrefix(what, "the clock of ") })
}

// serving is the node that has the address; "a" if none has.
func (p *Pair) serving() string {
	for _, name := range []string{"a", "b"} {
		if p.has(name, virtual) {
			return name
		}
	}
	return "a"
}

func other(name string) string {
	if name == "a" {
		return "b"
	}
	return "a"
}

// run is a part of the test with a name of its own.
func (p *Pair) run(name string, f func(t *testing.T)) bool {
	whole := p.t
	defer func() { p.t, p.wires.t = whole, whole }()
	return whole.(*testing.T).Run(name, func(t *testing.T) {
		p.t, p.wires.t = t, t
		f(t)
	})
}

// always looks again and again for a while, and fails when something does not hold.
func (p *Pair) always(length time.Duration, what string, ok func() bool) {
	p.t.Helper()
	end := time.NewTimer(length)
	defer end.Stop()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		if !ok() {
			p.t.Fatalf("not %s all the time", what)
		}
		select {
		case <-pause.C:
		case <-end.C:
			return
		}
	}
}

func (p *Pair) eventually(limit time.Duration, what string, ok func() bool) {
	p.t.Helper()
	end := time.NewTimer(limit)
	defer end.Stop()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for !ok() {
		select {
		case <-pause.C:
		case <-end.C:
			p.t.Fatalf("not %s within %v", what, limit)
		}
	}
}
