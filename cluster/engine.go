package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"
)

// Engine keeps the state of one node. Its methods may be called from any goroutine.
type Engine struct {
	cfg      Config
	log      *slog.Logger
	server   atomic.Pointer[server.Server] // nil with an outside cluster
	fault    storeFault
	disk     *diskProbe // of where the state is
	conn     *nats.Conn
	manage   jetstream.JetStream // of the streams; records go over conn directly
	buckets  map[string]*bucket
	seal     *sealer
	open     *opener
	writer   *writer
	lease    Lease
	door     *door // of a member
	role     decider
	address  *addresses
	peers    peers
	health   *health // of a member
	twin     *twin   // of two nodes without a witness
	plans    plans
	agrees   agreement
	late     lateness // heartbeats
	clocks   clocks   // of the others
	happened happened

	newcomer newcomer
	form     atomic.Uint32 // see Form; 0: nobody has been heard
	self     Member
	token    string     // of a member's own connection to its server
	lock     *os.File   // of the folder
	telling  sync.Mutex // one Event at a time

	mu            sync.Mutex    // guards role
	coincide      atomic.Bool   // the active node has led streams for too long
	coincideSince time.Time     // of keep
	agesKnown     chan struct{} // closed when another member has told when it saw which records; nil where nobody can
	agesAwaited   sync.Once     // sets agesUntil
	agesUntil     time.Time     // nobody waits longer for agesKnown
	cancel        context.CancelFunc
	keeping       sync.WaitGroup // goroutines of this room
	running       sync.WaitGroup // the server
}

// bucket is a stream and what this node knows of it.
type bucket struct {
	Bucket
	stream  string
	subject string // of its records, up to the key
	fence   fence
	holding holding
	read    atomic.Uint64 // the last sequence that went into holding while this node stood by
	givable *givable      // of a member, where it is Given
	acked   uint64        // the sequence that the store has acknowledged last; the writer's lock guards it
	lacks   bool          // a record that the store may have was dropped: nothing is given any more; the same lock

	sightings sightings // of a member
}

// readyWithin is how long the embedded server may take to read its disk when it starts.
const readyWithin = 60 * time.Second

// readyLook is how often it is asked meanwhile whether it has given up.
const readyLook = 250 * time.Millisecond

// Open starts the engine: when it returns, what an earlier process wrote can be read. An error is a sentence for the
// operator. Close ends it; ctx bounds the start only.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	e := &Engine{cfg: cfg, log: log, buckets: map[string]*bucket{}, disk: &diskProbe{dir: cfg.Dir}}
	for _, b := range cfg.Buckets {
		e.buckets[b.Name] = &bucket{Bucket: b, stream: streamName(b.Name), subject: storePrefix + b.Name + "."}
	}
	if err := e.start(ctx); err != nil {
		e.Close()
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return e, nil
}

func (e *Engine) start(ctx context.Context) error {
	if err := os.MkdirAll(e.cfg.Dir, 0o700); err != nil {
		return err
	}
	var err error
	if e.lock, err = lockFolder(e.cfg.Dir); err != nil {
		return err
	}
	keys := e.cfg.Dir
	if e.cfg.Identity != nil {
		keys = e.cfg.Identity.dir
		if err := e.cfg.Identity.ready(time.Now()); err != nil {
			return err
		}
	}
	key, err := clusterKey(keys)
	if err != nil {
		return err
	}
	if e.seal, err = newSealer(key); err != nil {
		return err
	}
	e.open = newOpener(key)
	if !e.cfg.Store.outside() {
		if err := e.startServer(); err != nil {
			return err
		}
	}
	if err := e.connect(ctx); err != nil {
		return err
	}
	if e.manage, err = jetstream.New(e.conn); err != nil {
		return err
	}
	run, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	if e.writer, err = newWriter(e); err != nil {
		return err
	}
	e.keeping.Go(func() { e.writer.run(run) })
	e.keeping.Go(func() { e.disk.run(run) })
	if !e.cfg.Store.outside() {
		e.keeping.Go(func() { e.watchStore(run) })
	}
	switch {
	case e.cfg.Decides != ByVote:
		return e.startTwin(ctx, run)
	case len(e.cfg.Members) > 0:
		return e.startMember(run)
	}
	return e.startSingle(ctx, run)
}

// startSingle makes the one node there is the active one.
func (e *Engine) startSingle(ctx, run context.Context) error {
	for _, b := range e.buckets {
		if err := e.makeStreamSoon(ctx, b); err != nil {
			return fmt.Errorf("bucket %s: %w", b.Name, err)
		}
	}
	epoch, err := nextEpoch(e.cfg.Dir)
	if err != nil {
		return err
	}
	e.lease.begin(epoch)
	e.lease.grant(forever)
	e.lease.admit()
	e.writer.begin(epoch)
	e.keepHealth(run)
	return nil
}

// startServer starts the NATS server. It has no listener for clients: only this process speaks to it, and the members of a
// pair do through their routes, with mutual TLS.
func (e *Engine) startServer() error {
	opts := &server.Options{
		ServerName: e.cfg.Node, DontListen: true, NoSigs: true, NoLog: true, JetStream: true, DisableJetStreamBanner: true,
		StoreDir: filepath.Join(e.cfg.Dir, "store"), MaxPayload: 4 << 20,
		SyncAlways: e.cfg.SyncEvery == 0, SyncInterval: e.cfg.SyncEvery,
		// Nothing else may fill these: the buckets have limits of their own, the disk has its own end.
		JetStreamMaxMemory: 4 << 30, JetStreamMaxStore: 1 << 40,
	}
	switch {
	case e.cfg.Decides != ByVote:
		e.listenForPeer(opts)
	case len(e.cfg.Members) > 0:
		if err := e.routes(opts); err != nil {
			return err
		}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	log := serverLog{e.log, make(chan string, 1), &e.fault}
	s.SetLoggerV2(log, false, false, false)
	e.server.Store(s)
	e.running.Go(s.Start) // where it listens it returns when it has been shut down
	for end := time.Now().Add(readyWithin); !s.ReadyForConnections(readyLook); {
		select {
		case why := <-log.fatal:
			return fmt.Errorf("store: %s", why)
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("the store in %s was not ready within %v", opts.StoreDir, readyWithin)
		}
	}
	return nil
}

// makeStream makes a bucket's stream, or brings it in line with the configuration.
func (e *Engine) makeStream(ctx context.Context, b *bucket) error {
	cfg := jetstream.StreamConfig{
		Name: b.stream, Subjects: []string{b.subject + "*"}, Storage: jetstream.FileStorage, Replicas: e.replicas(),
		MaxMsgsPerSubject: 1, MaxAge: b.MaxAge, MaxBytes: sizeOf(b.MaxSize), Discard: jetstream.DiscardNew,
		AllowDirect: true, AllowMsgTTL: true, Duplicates: time.Second,
	}
	if len(e.cfg.Members) > 0 { // alone, nobody follows but by looking
		cfg.RePublish = &jetstream.RePublish{Source: b.subject + "*", Destination: followPrefix + b.Name + ".{{wildcard(1)}}"}
	}
	if b.MaxAge > 0 && b.MaxAge < cfg.Duplicates {
		cfg.Duplicates = b.MaxAge
	}
	if b.Storage == Memory && cfg.Replicas > 1 {
		cfg.Storage = jetstream.MemoryStorage
	}
	_, err := e.manage.CreateOrUpdateStream(ctx, cfg)
	return err
}

// replicas is how many members hold a record in one store. Of two without a witness each has a store of its own.
func (e *Engine) replicas() int {
	if e.cfg.Store.outside() {
		return max(1, e.cfg.Store.Replicas)
	}
	if e.cfg.Decides != ByVote {
		return 1
	}
	return max(1, len(e.cfg.Members))
}

func sizeOf(limit int64) int64 {
	if limit == 0 {
		return -1
	}
	return limit
}

// Close writes what waits, as far as the store takes it within a second, and ends the engine. It may be called once.
func (e *Engine) Close() {
	if e.writer != nil {
		e.writer.drain(time.Second)
	}
	if e.cancel != nil {
		e.cancel()
	}
	if e.door != nil {
		_ = e.door.Close()
	}
	e.twin.close()
	e.keeping.Wait()
	if e.conn != nil {
		e.conn.Close()
	}
	if s := e.server.Load(); s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
	e.running.Wait()
	if e.twin != nil && e.twin.turns != nil {
		e.twin.turns.close()
	}
	if e.lock != nil {
		_ = e.lock.Close()
	}
}

// lockFolder keeps a second process out of the folder: two stores in one destroy each other.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("the state in %s is in use by another process: stop it, or set another `state_dir`", dir)
	}
	return f, nil
}

// Lease tells whether this node is the active one.
func (e *Engine) Lease() *Lease { return &e.lease }

func (e *Engine) tell(ev Event) {
	e.telling.Lock()
	defer e.telling.Unlock()
	if ev.Alarm {
		e.log.Error(ev.Name, "detail", ev.Detail, "waiting", ev.Backlog)
	} else {
		e.log.Info(ev.Name, "detail", ev.Detail)
	}
	e.happened.add(ev, time.Now())
	e.cfg.Tell(ev)
}

// Name is that of this node.
func (e *Engine) Name() string { return e.cfg.Node }

// stale is told of a deposed node's late write. The active node's room puts its own value in its place, so that no later epoch takes the
// late one for good, and is told what it says: somebody may have been answered for it.
func (e *Engine) stale(r Record) {
	e.log.Warn("late record of a deposed node refused", "bucket", r.Bucket, "key", r.Key, "epoch", r.Epoch, "node", r.Node)
	e.cfg.Doubt(r.Bucket, r.Key)
	if !r.Deleted { // who wakes up late forgets what has expired by his time only
		e.cfg.Left([]Record{r})
	}
}

func (e *Engine) connError(_ *nats.Conn, _ *nats.Subscription, err error) {
	if !errors.Is(err, nats.ErrConnectionClosed) {
		e.log.Warn("state store", "err", err)
	}
}

// serverLog passes what the embedded server says to the log of the switch, lower than the server means it: what an operator
// must know of the store is an Event. It keeps what made the server give up.
type serverLog struct {
	log   *slog.Logger
	fatal chan string // the first one; bounded to that
	fault *storeFault
}

func (l serverLog) Noticef(format string, v ...any) {
	l.log.Debug("store: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Warnf(format string, v ...any) { l.log.Debug("store: " + fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.fault.note(text)
	l.log.Info("store: " + text)
}
func (l serverLog) Debugf(string, ...any) {}
func (l serverLog) Tracef(string, ...any) {}

func (l serverLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error("store: " + text)
	select {
	case l.fatal <- text:
	default:
	}
}
