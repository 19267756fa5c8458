package recover

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tandem/test/binary"
)

// nats is an outside store of three servers in this process.
type nats struct {
	t       testing.TB
	options [3]*server.Options
	servers [3]*server.Server
}

func newNATS(t testing.TB, host string) *nats {
	n := &nats{t: t}
	dir := t.TempDir()
	var routes []*url.URL
	for i := range n.options {
		n.options[i] = &server.Options{ServerName: fmt.Sprint("n", i), Host: host, Port: port(t, host), NoSigs: true, NoLog: true, JetStream: true, StoreDir: filepath.Join(dir, fmt.Sprint(i)),
			Cluster: server.ClusterOpts{Name: "outside", Host: host, Port: port(t, host)}}
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("%s:%d", host, n.options[i].Cluster.Port)})
	}
	for i := range n.options {
		n.options[i].Routes = routes
		n.start(i)
	}
	t.Cleanup(func() {
		for i := range n.servers {
			n.kill(i)
		}
	})
	return n
}

func port(t testing.TB, host string) int {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func (n *nats) start(i int) {
	n.t.Helper()
	s, err := server.NewServer(n.options[i].Clone())
	if err != nil {
		n.t.Fatal(err)
	}
	n.servers[i] = s
	go s.Start()
}

func (n *nats) kill(i int) {
	if n.servers[i] != nil {
		n.servers[i].Shutdown()
		n.servers[i].WaitForShutdown()
		n.servers[i] = nil
	}
}

// whole is true when a server has caught up with the others.
func (n *nats) whole(i int) bool {
	z, err := n.servers[i].Jsz(&server.JSzOptions{})
	return err == nil && z.Streams > 0 && n.servers[i].JetStreamIsCurrent()
}

// block is the store in the switch's configuration.
func (n *nats) block() string {
	var all []string
	for _, o := range n.options {
		all = append(all, fmt.Sprintf("\"nats://%s:%d\"", o.Host, o.Port))
	}
	return "cluster {\n  store {\n    servers = [" + strings.Join(all, ", ") + "]\n  }\n}\n"
}

// The state is in an outside store whose servers die one after the other: calls and registrations do not notice, new ones are taken
// meanwhile, and a switch that is killed afterwards finds all of them there.
func TestOutsideStore(t *testing.T) {
	t.Parallel()
	n := newNATS(t, binary.Host())
	o := &office{binary.Start(t, binary.Office+binary.Media+n.block()), t}
	alice, bob := o.phone("UDP", "1001"), o.phone("UDP", "1002")
	c := connect(t, alice, bob, 0)
	answered := 1
	for i := range n.servers {
		n.kill(i)
		alice.Register()
		d := connect(t, bob, alice, 0)
		d.bye(d.a, d.b)
		answered++
		c.goesOn()
		n.start(i)
		o.Eventually(30*time.Second, "server caught up", func() bool { return n.whole(i) })
		o.Eventually(30*time.Second, "nothing waits", func() bool {
			m := o.Metrics()
			return m["tandem_cluster_records_waiting"] == 0 && m["tandem_cluster_degraded"] == 0
		})
	}
	if out, err := o.Run("cluster", "status"); err != nil || !strings.Contains(out, "outside, nats://") {
		t.Errorf("%v: %s", err, out)
	}
	o.Kill()
	o.Again()
	c.goesOn()
	c.hold(c.a, c.b, c.am, c.bm)
	c.bye(c.b, c.a)
	o.Idle(5 * time.Second)
	if all := o.Records(); len(all) != answered {
		t.Errorf("%d records of %d answered calls", len(all), answered)
	}
}
