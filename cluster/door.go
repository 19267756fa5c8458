package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// door is the one TCP port of the role: members speak raft through it, and newcomers ask to join. Which of the two is said
// by ALPN (RFC 7301), so a stranger without a certificate reaches nothing but the check of a token.
type door struct {
	id      *Identity
	log     *slog.Logger
	members map[string]bool
	listen  net.Listener
	raft    chan net.Conn
	done    chan struct{}
	closing sync.Once
	working sync.WaitGroup
	strange chan struct{} // newcomers at once
	ended   chan string   // members whose connections have; a few at a time tell enough
}

const (
	alpnRole = "tandem-role"
	// Newcomers are rare, so strangers may hold this many handshakes and no more; members are not counted.
	strangersAtOnce = 64
	handshakeWithin = 3 * time.Second
)

func openDoor(id *Identity, members map[string]bool, address string, log *slog.Logger) (*door, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	d := &door{id: id, log: log, members: members, listen: l, raft: make(chan net.Conn), done: make(chan struct{}), strange: make(chan struct{}, strangersAtOnce),
		ended: make(chan string, 8)}
	d.working.Go(d.serve)
	return d, nil
}

func (d *door) serve() {
	role, join := d.id.tls(d.members, alpnRole), d.id.joinTLS()
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
		select {
		case d.strange <- struct{}{}:
			d.working.Go(func() {
				defer func() { <-d.strange }()
				d.handshake(tls.Server(conn, cfg))
			})
		default:
			_ = conn.Close()
		}
	}
}

func (d *door) handshake(conn *tls.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeWithin)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		d.log.Debug("cluster port: handshake failed", "peer", conn.RemoteAddr(), "err", err)
		_ = conn.Close()
		return
	}
	if conn.ConnectionState().NegotiatedProtocol == alpnJoin {
		node, err := d.id.admit(conn)
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
	conn, err := (&tls.Dialer{Config: d.id.tls(d.members, alpnRole)}).DialContext(ctx, "tcp", string(address))
	if err != nil {
		return nil, err
	}
	if p := conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; p != alpnRole {
		_ = conn.Close()
		return nil, errors.New("the peer speaks another protocol")
	}
	return conn, nil
}
