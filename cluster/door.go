package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// door is the one TCP port of the role: members speak raft through it, and newcomers ask to join. Which of the two is said
// by ALPN (RFC 7301), so a stranger without a certificate reaches nothing but the check of a token.
type door struct {
	id      *Identity
	log     *slog.Logger
	members map[string]bool
	may     func(node string) error // join now
	timers  time.Duration           // election time
	listen  net.Listener
	raft    chan net.Conn
	done    chan struct{}
	closing sync.Once
	working sync.WaitGroup
	strange chan struct{} // whose names are not known yet, at once
	ended   chan string   // members whose connections have; a few at a time tell enough
	refused atomic.Pointer[refusal]
	told    atomic.Int64 // seconds since 1970 when somebody was last told of a machine that is out

	mu    sync.Mutex
	knock map[netip.Addr]int // who is strange, by address
}

const (
	alpnRole = "tandem-role"
	// Newcomers are rare, so this many may be in a handshake and no more, and from one address a few: a stranger must not keep members out.
	strangersAtOnce = 64
	strangersAtOne  = 8
	handshakeWithin = 3 * time.Second
)

// alpn names the election time too: members with different ones must not vote with each other, since a lease by the longer one would outlast
// what the others wait.
func (d *door) alpn() string { return alpnRole + "-" + d.timers.String() }

func openDoor(id *Identity, members map[string]bool, address string, may func(node string) error, timers time.Duration, log *slog.Logger) (*door, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	d := &door{id: id, log: log, members: members, may: may, timers: timers, listen: l, raft: make(chan net.Conn), done: make(chan struct{}), strange: make(chan struct{}, strangersAtOnce), knock: map[netip.Addr]int{},
		ended: make(chan string, 8)}
	d.working.Go(d.serve)
	return d, nil
}

func (d *door) serve() {
	role, join := d.id.tls(d.members, d.alpn()), d.id.joinTLS()
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		for _, p := range h.SupportedProtos {
			if p == alpnJoin {
				return join, nil
			}
		}
		return role, nil
	}}
	for {
		conn, err := d.listen.Accept()
		if err != nil {
			select {
			case <-d.done:
				return
			case <-time.After(50 * time.Millisecond): // out of descriptors, most likely
				continue
			}
		}
		from, ok := d.enter(conn)
		if !ok {
			_ = conn.Close()
			continue
		}
		d.working.Go(func() {
			defer d.leave(from)
			d.handshake(tls.Server(conn, cfg))
		})
	}
}

// enter takes a place for a handshake; false where too many are in one.
func (d *door) enter(conn net.Conn) (from netip.Addr, ok bool) {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		from = a.AddrPort().Addr().Unmap()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.knock[from] == strangersAtOne {
		return from, false
	}
	select {
	case d.strange <- struct{}{}:
		d.knock[from]++
		return from, true
	default:
		return from, false
	}
}

func (d *door) leave(from netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	<-d.strange
	if d.knock[from]--; d.knock[from] == 0 {
		delete(d.knock, from)
	}
}

func (d *door) handshake(conn *tls.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeWithin)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		d.failed(conn.RemoteAddr(), err)
		_ = conn.Close()
		return
	}
	if conn.ConnectionState().NegotiatedProtocol == alpnJoin {
		node, err := d.id.admit(conn, d.may)
		if err != nil {
			d.log.Warn("a machine was not let into the cluster", "peer", conn.RemoteAddr(), "node", node, "err", err)
		} else {
			d.log.Info("a machine joined the cluster", "peer", conn.RemoteAddr(), "node", node)
		}
		_ = conn.Close()
		return
	}
	select {
	case d.raft <- linked(conn, d.ended):
	case <-d.done:
		_ = conn.Close()
	}
}

// failed notes a handshake that failed: of strangers for who looks for a fault, of machines that were members for the operator, once a
// minute, since they try again and again.
func (d *door) failed(peer net.Addr, err error) {
	var out outError
	if last, now := d.told.Load(), time.Now().Unix(); errors.As(err, &out) && now-last >= 60 && d.told.CompareAndSwap(last, now) {
		d.log.Warn("a machine that was taken out of the cluster calls: stop it", "peer", peer, "node", string(out))
		return
	}
	d.log.Debug("cluster port: handshake failed", "peer", peer, "err", err)
}

// Accept, Close, Addr and Dial are the stream layer of raft.

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.raft:
		return c, nil
	case <-d.done:
		return nil, net.ErrClosed
	}
}

// Close is called by raft when it ends, and by us.
func (d *door) Close() error {
	d.closing.Do(func() {
		close(d.done)
		_ = d.listen.Close()
		d.working.Wait()
	})
	return nil
}

func (d *door) Addr() net.Addr { return d.listen.Addr() }

func (d *door) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := (&tls.Dialer{Config: d.id.tls(d.members, d.alpn())}).DialContext(ctx, "tcp", string(address))
	if err != nil {
		return nil, err
	}
	if p := conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; p != d.alpn() {
		_ = conn.Close()
		return nil, errors.New("the peer speaks another protocol")
	}
	return asker{conn, string(address), &d.refused}, nil
}

// refusal is that of our certificate by a member.
type refusal struct {
	by string // address
	at time.Time
}

// asker is a connection that we have opened. The other side judges our certificate after the handshake has ended for us (RFC 8446,
// section 4.4), so its refusal comes with the first read.
type asker struct {
	net.Conn
	to      string
	refused *atomic.Pointer[refusal]
}

func (a asker) Read(b []byte) (int, error) {
	n, err := a.Conn.Read(b)
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "remote error": // an alert
		a.refused.Store(&refusal{a.to, time.Now()})
	case n > 0:
		if r := a.refused.Load(); r != nil && r.by == a.to {
			a.refused.CompareAndSwap(r, nil)
		}
	}
	return n, err
}

// refusedFor is how long a refusal is told: members are asked far more often.
const refusedFor = 10 * time.Second

// refusedBy is the address of a member that has just refused our certificate; empty: nobody has.
func (d *door) refusedBy(now time.Time) string {
	if r := d.refused.Load(); r != nil && now.Sub(r.at) < refusedFor {
		return r.by
	}
	return ""
}
