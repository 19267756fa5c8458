package cluster

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// link is the way from one of two nodes to the other: a connection to its store, by mutual TLS. Over it records are copied, and
// the two tell each other several times a second how they stand.
type link struct {
	e    *Engine
	peer Member
	conn *nats.Conn
	sub  *nats.Subscription
	cut  func() // called when the connection is gone

	mu    sync.Mutex
	word  word          // the other's last
	heard time.Duration // BootTime when it was heard; 0: never
	since time.Time     // of it, for people
}

// word is what one node tells the other of itself.
type word struct {
	Node   string `json:"node"`
	Turn   turn   `json:"turn"`
	Serves bool   `json:"serves"`          // in Turn.Epoch
	Ready  bool   `json:"ready"`           // its role is played: it may be asked to take over
	Holds  bool   `json:"holds,omitempty"` // of the serving node: the other one holds every record
	Take   bool   `json:"take,omitempty"`  // Turn is the hearer's from now on
	Err    string `json:"err,omitempty"`   // why it did not take
}

// wordSubject is where a node's word is given, at the other's server.
const wordSubject = "word"

// listenForPeer opens the store of this node to the other one, and to nobody else.
func (e *Engine) listenForPeer(opts *server.Options) {
	me := e.member(e.cfg.Node)
	opts.DontListen, opts.Host, opts.Port = false, me.Host, me.Port+1
	opts.TLSConfig, opts.TLSTimeout = e.cfg.Identity.tls(e.names()), handshakeWithin.Seconds()
	opts.TLS, opts.TLSHandshakeFirst = true, true
	opts.TLSHandshakeFirstFallback = 10 * time.Millisecond // for this process's own connection, which has no TLS
	opts.PingInterval, opts.MaxPingsOut, opts.WriteDeadline = time.Second, 2, 2*time.Second
}

// openLink begins to look for the other node; it goes on until close.
func (e *Engine) openLink() (*link, error) {
	l := &link{e: e, peer: *e.member(e.others()[0]), cut: func() {}}
	var err error
	l.conn, err = nats.Connect("tls://"+l.peer.state(), nats.Name("tandem "+e.cfg.Node), nats.Secure(e.cfg.Identity.tls(e.names())),
		nats.TLSHandshakeFirst(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectJitter(20*time.Millisecond, 20*time.Millisecond), nats.ReconnectBufSize(-1), nats.Timeout(time.Second),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2), nats.FlusherTimeout(time.Second), nats.IgnoreDiscoveredServers(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { l.cut() }))
	if err != nil {
		return nil, err
	}
	l.sub, err = e.conn.Subscribe(wordSubject, l.answer)
	return l, err
}

func (l *link) close() {
	if l.conn != nil {
		l.conn.Close()
	}
}

// answer hears the other's word and gives our own.
func (l *link) answer(m *nats.Msg) {
	var w word
	if json.Unmarshal(m.Data, &w) != nil || w.Node != l.peer.Name {
		return
	}
	if !w.Take {
		l.hear(w)
		l.reply(m, "")
		return
	}
	err := errNotPlaying
	if h := l.e.twin.hand.Load(); h != nil {
		err = h.asked(w.Turn)
	}
	if err != nil {
		l.reply(m, err.Error())
		return
	}
	l.reply(m, "")
}

func (l *link) reply(m *nats.Msg, why string) {
	w := l.e.twin.word()
	w.Err = why
	b, _ := json.Marshal(w)
	_ = m.Respond(b)
}

func (l *link) hear(w word) {
	now := BootTime()
	l.mu.Lock()
	l.word, l.heard, l.since = w, now, time.Now()
	l.mu.Unlock()
	l.e.twin.heard(w)
}

// ask gives our word and hears the other's.
func (l *link) ask(ctx context.Context, w word) (answer word, err error) {
	b, _ := json.Marshal(w)
	m, err := l.conn.RequestWithContext(ctx, wordSubject, b)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return answer, err
	}
	l.hear(answer)
	return answer, nil
}

// talk gives our word again and again until ctx ends.
func (l *link) talk(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if l.conn.IsConnected() {
			once, cancel := context.WithTimeout(ctx, time.Second)
			_, _ = l.ask(once, l.e.twin.word())
			cancel()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// last is the other's last word, and how long ago it was heard; ok is false if it never was.
func (l *link) last() (w word, ago time.Duration, at time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.word, BootTime() - l.heard, l.since, l.heard != 0
}

// shutOut ends the connections of the other node to our store: what it had sent before this node was promoted, and lies in its
// memory still, must not arrive after.
func (l *link) shutOut() {
	all, err := l.e.server.Load().Connz(&server.ConnzOptions{})
	if err != nil {
		return
	}
	for _, c := range all.Conns {
		if c.TLSVersion != "" {
			_ = l.e.server.Load().DisconnectClientByID(c.Cid)
		}
	}
}
