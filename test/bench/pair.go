//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tandem/console"
)

// A pair beside a single node: two switches and a witness, one switch alone, and their phones have a network namespace each, joined by a
// bridge, because the address of a pair moves. The nodes that serve have the servers' core; the standby and the witness share that of
// the load, and what they spend is told apart.

// pairHosts are the nodes and the phones; the address that serves is that of pairServes.
var pairHosts = map[string]string{"a": "10.78.0.1", "b": "10.78.0.2", "w": "10.78.0.3", "single": "10.78.0.5", "phones": "10.78.0.9"}

var (
	pairServes   = netip.AddrFrom4([4]byte{10, 78, 0, 100})
	singleServes = netip.AddrFrom4([4]byte{10, 78, 0, 5})
	pairPhones   = netip.AddrFrom4([4]byte{10, 78, 0, 9})
)

// clusterConfig goes before tandemConfig. Elections are slow: three nodes and the load share two cores, and no node dies here.
const clusterConfig = `
cluster {
  election  = "1s"
  preferred = "a"
  node "a" { address = "10.78.0.1:7300" }
  node "b" { address = "10.78.0.2:7300" }
  witness "w" { address = "10.78.0.3:7300" }
  address "10.78.0.100/24" { interface = "eth0" }
}
`

// spaces are the namespaces of one run.
type spaces struct{ prefix string }

func (s *spaces) name(host string) string { return s.prefix + host }

// make joins a namespace for each host by a bridge in one more; close takes them away.
func (s *spaces) make() error {
	if os.Geteuid() != 0 {
		return errors.New("a pair is measured in network namespaces: run it as root")
	}
	bridge := s.name("bridge")
	all := [][]string{
		{"netns", "add", bridge}, {"-n", bridge, "link", "add", "br0", "type", "bridge"}, {"-n", bridge, "link", "set", "br0", "up"},
	}
	for host, address := range pairHosts {
		n, cable := s.name(host), "to-"+host
		all = append(all, []string{"netns", "add", n}, []string{"-n", n, "link", "set", "lo", "up"},
			[]string{"-n", bridge, "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", n},
			[]string{"-n", bridge, "link", "set", cable, "master", "br0", "up"},
			[]string{"-n", n, "addr", "add", address + "/24", "dev", "eth0"}, []string{"-n", n, "link", "set", "eth0", "up"})
	}
	for _, args := range all {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

func (s *spaces) close() {
	for host := range pairHosts {
		_ = exec.Command("ip", "netns", "del", s.name(host)).Run()
	}
	_ = exec.Command("ip", "netns", "del", s.name("bridge")).Run()
}

// inside runs f, which makes sockets, on a thread in a namespace; the thread ends with it.
func inside(space string, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: nobody else may run on this thread
		there, err := os.Open("/var/run/netns/" + space)
		if err == nil {
			err = unix.Setns(int(there.Fd()), unix.CLONE_NEWNET)
			_ = there.Close()
		}
		if err != nil {
			err = fmt.Errorf("namespace %s: %w", space, err)
		} else {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// pair is the switches under load.
type pair struct {
	lab             *lab
	spaces          *spaces
	single, serving *peer
	beside          map[string]*process // standby and witness
}

// startPair starts them all and waits until the pair is whole. What it gives must be closed, whatever the error.
func (l *lab) startPair() (*pair, error) {
	p := &pair{lab: l, spaces: &spaces{fmt.Sprintf("tb%d-", os.Getpid())}, beside: map[string]*process{}}
	if err := p.spaces.make(); err != nil {
		return p, err
	}
	s, err := p.start("single", l.core, "", singleServes)
	if s != nil {
		p.single = &peer{process: s, sip: netip.AddrPortFrom(singleServes, 5060), space: p.spaces.name("phones")}
	}
	if err != nil {
		return p, err
	}
	for _, host := range []string{"a", "b", "w"} {
		if err := p.join(host); err != nil {
			return p, err
		}
	}
	return p, errors.Join(p.until("answering", 20*time.Second, func() bool { return answers(p.single) && answers(p.serving) }),
		p.until("whole", 60*time.Second, p.whole))
}

// join starts a node of the pair: the first begins the cluster and serves, each of the others is invited there.
func (p *pair) join(host string) error {
	dir, err := p.prepare(host, clusterConfig, pairServes)
	if err != nil {
		return err
	}
	if host == "a" {
		if out, err := p.command(host, "cluster", "init", "--name", host); err != nil {
			return fmt.Errorf("init: %w: %s", err, out)
		}
		s, err := p.run(host, p.lab.core, dir)
		if s != nil {
			p.serving = &peer{process: s, sip: netip.AddrPortFrom(pairServes, 5060), space: p.spaces.name("phones")}
		}
		return err
	}
	err = p.until(host+" has joined", 30*time.Second, func() bool {
		token, err := p.command("a", "cluster", "invite", host)
		if err == nil {
			_, err = p.command(host, "cluster", "join", strings.TrimSpace(token))
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	s, err := p.run(host, lastCore(), dir)
	if s != nil {
		p.beside[host] = s
	}
	return err
}

// whole is true when a serves and b follows with everything in step.
func (p *pair) whole() bool {
	a, err := console.Dial(filepath.Join(p.lab.dir, "a", "state", "admin.sock")).Cluster()
	b, err2 := console.Dial(filepath.Join(p.lab.dir, "b", "state", "admin.sock")).Cluster()
	return err == nil && err2 == nil && a.Role == "active" && a.Held && !a.Degraded && len(a.Problems) == 0 && len(a.Leads) == 0 &&
		b.Role == "standby" && len(b.Leads) > 0
}

// until waits for something of the whole pair.
func (p *pair) until(what string, limit time.Duration, ok func() bool) error {
	end := time.Now().Add(limit)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(end) {
			return fmt.Errorf("the pair is not %s within %v", what, limit)
		}
		<-tick.C
	}
	return nil
}

func (p *pair) start(host string, core int, cluster string, at netip.Addr) (*process, error) {
	dir, err := p.prepare(host, cluster, at)
	if err != nil {
		return nil, err
	}
	return p.run(host, core, dir)
}

// prepare writes a node's configuration.
func (p *pair) prepare(host, cluster string, at netip.Addr) (dir string, err error) {
	dir = filepath.Join(p.lab.dir, host)
	text := strings.NewReplacer(`"bench"`, `"`+host+`"`, `"HOST:9690"`, `""`, "HOST", at.String()).Replace(cluster + tandemConfig)
	return dir, writeConfig(dir, text)
}

func (p *pair) run(host string, core int, dir string) (*process, error) {
	s := &process{name: "tandem-" + host, done: make(chan struct{})}
	return s, s.run(p.lab.dir, core, "ip", "netns", "exec", p.spaces.name(host), p.lab.binary, "serve", "--config", dir)
}

func (p *pair) command(host string, args ...string) (string, error) {
	all := append([]string{"netns", "exec", p.spaces.name(host), p.lab.binary}, args...)
	out, err := exec.Command("ip", append(all, "--config", filepath.Join(p.lab.dir, host))...).Output()
	return string(out), err
}

func (p *pair) close() {
	for _, s := range p.beside {
		s.stop()
	}
	for _, s := range []*peer{p.serving, p.single} {
		if s != nil {
			s.stop()
		}
	}
	p.spaces.close()
}

// pairs measures what it costs that another node could go on.
func (l *lab) pairs() (all []*section, err error) {
	p, err := l.startPair()
	defer p.close()
	if err != nil {
		for _, s := range p.beside {
			err = fmt.Errorf("%w\n%s: %s", err, s.name, s.tail())
		}
		if p.serving != nil {
			err = fmt.Errorf("%w\n%s", err, p.serving.tail())
		}
		return nil, err
	}
	register := func(first int, changes bool) func(*peer) (work, error) {
		return func(s *peer) (work, error) {
			sock, err := s.listen()
			if err != nil {
				return work{}, err
			}
			o := newOffice(sock, realm, "MD5", cached, first, phones/3)
			o.changes = changes
			return work{o.round, sock.close}, o.run(time.Now().Add(10*time.Second), 1)
		}
	}
	for _, x := range []struct {
		title, unit, does string
		begin             func(*peer) (work, error)
	}{
		{"CPU per refreshed REGISTER, cached nonce", "registrations", "nothing but the time changes", register(firstPhone, false)},
		{"CPU per REGISTER that changes its binding, cached nonce", "registrations", "the 200 waits for the record", register(firstPhone+phones/3, true)},
		{"CPU per call (INVITE, 180, 200, ACK, BYE, 200)", "calls", "the 200s to INVITE and BYE wait for the record", func(s *peer) (work, error) {
			e, err := newExchange(s, realm, true, firstDesk, window)
			if err != nil {
				return work{}, err
			}
			_, _, err = e.round(warmUp)
			return work{e.round, e.close}, err
		}},
	} {
		s, err := p.section(x.title, x.unit, x.does, x.begin)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	return all, nil
}

// work is what is measured, and its end.
type work struct {
	round func(d time.Duration) (units, lost int, err error)
	end   func()
}

// section measures the single node and the pair in turn.
func (p *pair) section(title, unit, does string, begin func(*peer) (work, error)) (*section, error) {
	s := &section{Title: title + ": a pair beside a single node", Unit: unit, Aims: []*aim{{Ours: "pair", Theirs: "single"}}}
	spent := map[string]time.Duration{}
	seconds := map[string]time.Duration{}
	for _, x := range []struct {
		name string
		peer *peer
	}{{"single", p.single}, {"pair", p.serving}} {
		w, err := begin(x.peer)
		if err != nil {
			return s, fmt.Errorf("%s: %w\n%s", x.name, err, x.peer.tail())
		}
		defer w.end()
		s.Subjects = append(s.Subjects, &subject{Name: x.name, Does: does, spent: func(d time.Duration) (units, lost int, used time.Duration, err error) {
			before := map[string]time.Duration{}
			for host, b := range p.beside {
				before[host] = b.cpu()
			}
			used, began := x.peer.cpu(), time.Now()
			units, lost, err = w.round(d)
			used, seconds[x.name] = x.peer.cpu()-used, seconds[x.name]+time.Since(began)
			for host, b := range p.beside {
				if x.peer == p.serving {
					spent[host] += b.cpu() - before[host]
				}
			}
			return units, lost, used, err
		}})
	}
	if err := s.measure(p.lab.rounds, p.lab.length); err != nil {
		return s, err
	}
	for _, x := range s.Subjects {
		s.Notes = append(s.Notes, fmt.Sprintf("%s: %.0f %s a second", x.Name, float64(x.Units)/seconds[x.Name].Seconds(), unit))
	}
	each := func(host string) float64 { return float64(spent[host].Microseconds()) / float64(s.find("pair").Units) }
	s.Notes = append(s.Notes, fmt.Sprintf("besides, on the core of the load: standby %.1f µs, witness %.1f µs for each", each("b"), each("w")))
	return s, nil
}
