package cluster

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Store is a NATS cluster of somebody else's, where a site has outgrown the one that the nodes make themselves. It wants JetStream,
// version 2.11 or later, and an account of this cluster's own.
//
// Its servers choose the leaders of the streams, so the death of one may leave writes unanswered for the 4 to 9 s of its election:
// the switch goes on without it then, see Config.AckWithin.
type Store struct {
	Servers     []string // nats://host:port or tls://host:port; empty: the nodes' own
	Authority   string   // PEM file of who signs the servers' certificates; empty: the system's
	Certificate string   // PEM files by which this node proves itself
	Key         string
	Credentials string // file with a user's JWT and seed
	Replicas    int    // of each record; 0: 3
}

func (s Store) outside() bool { return len(s.Servers) > 0 }

// connect opens the connection that records go over.
func (e *Engine) connect(ctx context.Context) (err error) {
	opts := []nats.Option{nats.Name("tandem " + e.cfg.Node), nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectBufSize(-1), nats.ErrorHandler(e.connError)}
	if !e.cfg.Store.outside() {
		e.conn, err = nats.Connect("", append(opts, nats.InProcessServer(inProcess{e}), nats.Token(e.token))...)
		return err
	}
	if opts, err = e.cfg.Store.options(opts); err != nil {
		return err
	}
	// A site that starts whole starts its store too.
	return soon(ctx, func(once context.Context) error {
		if e.conn != nil {
			e.conn.Close()
		}
		if e.conn, err = nats.Connect("", opts...); err != nil {
			return fmt.Errorf("store %s: %w", strings.Join(e.cfg.Store.Servers, ", "), err)
		}
		js, err := jetstream.New(e.conn)
		if err != nil {
			return err
		}
		if _, err := js.AccountInfo(once); err != nil {
			return fmt.Errorf("store %s: JetStream of this account: %w", e.conn.ConnectedUrlRedacted(), err)
		}
		return nil
	})
}

// options are those of an outside store.
func (s Store) options(opts []nats.Option) ([]nats.Option, error) {
	for _, file := range []string{s.Authority, s.Certificate, s.Key, s.Credentials} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	opts = append(opts, func(o *nats.Options) error { o.Servers = s.Servers; return nil },
		// A server that stands still must not keep records waiting longer than its successor takes.
		nats.Timeout(2*time.Second), nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2), nats.FlusherTimeout(time.Second),
		nats.ReconnectJitter(20*time.Millisecond, 100*time.Millisecond))
	if s.Authority != "" {
		opts = append(opts, nats.RootCAs(s.Authority))
	}
	if s.Certificate != "" {
		opts = append(opts, nats.ClientCert(s.Certificate, s.Key))
	}
	if s.Credentials != "" {
		opts = append(opts, nats.UserCredentials(s.Credentials))
	}
	return opts, nil
}

// leadsStream tells whether this node's own server leads a stream. Nobody's does of an outside store.
func (e *Engine) leadsStream(name string) bool {
	s := e.server.Load()
	return s != nil && s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, name)
}

// settleEvery is how often a replica that lags is asked again.
const settleEvery = 10 * time.Millisecond

// last is the sequence up to which a reader has to read, as the stream's leader knows it; 0 for our own store, where who takes over asks his own
// replica. A replica of an outside store may lag behind what two others have acknowledged.
func (e *Engine) last(ctx context.Context, b *bucket) (uint64, error) {
	if !e.cfg.Store.outside() {
		return 0, nil
	}
	s, err := e.manage.Stream(ctx, b.stream)
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.LastSeq, nil
}

// ownLast is the sequence of the last record that our own replica has stored, which has all that was acknowledged; 0 for a single node, where no
// other replica answers.
func (e *Engine) ownLast(b *bucket) uint64 {
	s := e.server.Load()
	if s == nil || len(e.cfg.Members) == 0 {
		return 0
	}
	all, err := s.JszAccount(&server.JSzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Streams: true})
	if err != nil {
		return 0
	}
	for _, x := range all.Streams {
		if x.Name == b.stream {
			return x.State.LastSeq
		}
	}
	return 0
}

// electionWithin is how long an outside store may need to be ready: an election of its own, twice.
const electionWithin = 20 * time.Second

// makeStreamSoon makes a stream as soon as the store can.
func (e *Engine) makeStreamSoon(ctx context.Context, b *bucket) error {
	if !e.cfg.Store.outside() {
		return e.makeStream(ctx, b)
	}
	return soon(ctx, func(once context.Context) error { return e.makeStream(once, b) })
}

// soon tries something of an outside store until it works.
func soon(ctx context.Context, f func(once context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, electionWithin)
	defer cancel()
	for {
		once, done := context.WithTimeout(ctx, 5*time.Second)
		err := f(once)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}
