package cluster

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// outside is a NATS cluster of three servers that want certificates of their clients.
type outside struct {
	t       *testing.T
	id      *Identity
	dir     string
	options [3]*server.Options
	servers [3]*server.Server
	store   Store
}

func newOutside(t *testing.T) *outside {
	o := &outside{t: t, dir: t.TempDir()}
	var err error
	if o.id, err = Init(filepath.Join(o.dir, "authority"), "localhost"); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(o.dir, "authority", identityDir, name) }
	o.store = Store{Authority: at(fileCA), Certificate: at(fileCert), Key: at(fileKey)}
	var routes []*url.URL
	for i := range o.options {
		clients, routed := freePort(t), freePort(t)
		tls := o.id.tls(map[string]bool{"localhost": true})
		o.options[i] = &server.Options{ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: clients, NoSigs: true, NoLog: true, JetStream: true, StoreDir: filepath.Join(o.dir, fmt.Sprint(i)),
			TLSConfig: tls, TLS: true, TLSVerify: true, TLSTimeout: 5, Cluster: server.ClusterOpts{Name: "outside", Host: "127.0.0.1", Port: routed}}
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprint("127.0.0.1:", routed)})
		o.store.Servers = append(o.store.Servers, fmt.Sprint("tls://localhost:", clients))
	}
	for i := range o.options {
		o.options[i].Routes = routes
		o.start(i)
	}
	t.Cleanup(func() {
		for i := range o.servers {
			o.kill(i)
		}
	})
	return o
}

func (o *outside) start(i int) {
	s, err := server.NewServer(o.options[i].Clone())
	if err != nil {
		o.t.Fatal(err)
	}
	o.servers[i] = s
	go s.Start()
}

func (o *outside) kill(i int) {
	if o.servers[i] != nil {
		o.servers[i].Shutdown()
		o.servers[i].WaitForShutdown()
		o.servers[i] = nil
	}
}

// A node whose state is in an outside store loses nothing while its servers die one after the other, and never stands still.
func TestOutsideStore(t *testing.T) {
	if testing.Short() {
		t.Skip("elections of the store take seconds")
	}
	o := newOutside(t)
	open := func() *Engine {
		t.Helper()
		e, err := Open(context.Background(), Config{Node: "single", Dir: filepath.Join(o.dir, "node"), Buckets: testBuckets, Store: o.store}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := open()
	p := &testPair{t: t, nodes: map[string]*testNode{"single": {engine: e}}}
	want := 0
	for i := range o.servers {
		p.write(e, "reg", fmt.Sprint(i, "-before-"), 200)
		o.kill(i)
		began := time.Now()
		for n := range 200 { // with the server that was just killed away
			err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: fmt.Sprint(i, "-during-", n), Value: []byte("x")})
			if err != nil && err != ErrDegraded {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("200 records took %v with server %d away", took, i)
		}
		want += 400
		p.eventually("every record held by two of three", func() bool { s := e.Status(); return s.Waits == 0 && !s.Degraded && s.Lost == 0 })
		o.start(i)
		p.eventually("the server is back", func() bool {
			z, err := o.servers[i].Jsz(&server.JSzOptions{Streams: true, Accounts: true})
			return err == nil && z.Streams == len(testBuckets) && o.servers[i].JetStreamIsCurrent()
		})
	}
	if s := e.Status(); !strings.HasPrefix(s.Store, "tls://localhost:") {
		t.Errorf("store %q", s.Store)
	}
	e.Close()
	e = open()
	defer e.Close()
	if got := len(loadAll(t, e, "reg")); got != want {
		t.Errorf("%d records of %d", got, want)
	}

	bad := o.store
	bad.Certificate, bad.Key = "", ""
	short, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := Open(short, Config{Node: "single", Dir: filepath.Join(o.dir, "other"), Buckets: testBuckets, Store: bad}, quiet); err == nil || !strings.Contains(err.Error(), "store") {
		t.Errorf("without a certificate: %v", err)
	}
}
