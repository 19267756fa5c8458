package turn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

// Config is what a Server needs to start.
type Config struct {
	Address             string     // host:port to listen on, UDP and TCP
	FirstPort, LastPort uint16     // UDP ports that clients are lent
	Realm               string     // of the passwords
	PerUser             int        // allocations of one user at once
	Total               int        // of all
	Public              netip.Addr // address that peers outside see in place of ours; invalid: none
	MediaPort           uint16     // the only port that packets go to, on our own addresses
	// Media are addresses at which media of ours answers on whichever machine, and where packets for each go: of the nodes of a
	// cluster with shards. They are our own too.
	Media map[netip.Addr]netip.Addr
	// Free binds Address also while it is not here: it moves between machines. Nobody is lent a port meanwhile.
	Free bool
}

// Password gives the password of a user name and whose it is; false: nobody's, or expired. It is called for each request
// that needs proof.
type Password func(username string, now time.Time) (user, password string, ok bool)

// Counts are what a Server has done.
type Counts struct {
	Allocations int    // in use
	Created     uint64 // allocations made
	Refused     map[string]uint64
	In, Out     uint64 // bytes from clients to our media, and back
}

// Why requests and packets are refused.
const (
	refusedQuota    = "quota"    // a user, or all of them, have too many allocations
	refusedPeer     = "peer"     // packets for somebody else than our media
	refusedPassword = "password" // wrong, or expired
	refusedRate     = "rate"     // too many requests of one source
)

// Server is a running relay.
type Server struct {
	config   Config
	password Password
	log      *slog.Logger
	own      own
	udp      net.PacketConn
	tcp      net.Listener
	inner    *turn.Server

	mu    sync.Mutex
	users map[string]int // allocations by user
	total int

	created, in, out                   atomic.Uint64
	byQuota, byPeer, byPassword, bySrc atomic.Uint64
}

// New binds the address and serves at once; Run ends it. The error is for the operator.
func New(c Config, password Password, log *slog.Logger) (*Server, error) {
	s := &Server{config: c, password: password, log: log, users: map[string]int{}}
	var err error
	if s.udp, err = c.binding().ListenPacket(context.Background(), "udp", c.Address); err != nil {
		return nil, fmt.Errorf("turn: %w (choose another `address` in the block turn)", err)
	}
	if s.tcp, err = c.binding().Listen(context.Background(), "tcp", s.udp.LocalAddr().String()); err != nil {
		_ = s.udp.Close()
		return nil, fmt.Errorf("turn: %w (choose another `address` in the block turn)", err)
	}
	quiet := &logging.DefaultLoggerFactory{Writer: logs{log}, DefaultLogLevel: logging.LogLevelDisabled, ScopeLevels: map[string]logging.LogLevel{}}
	s.inner, err = turn.NewServer(turn.ServerConfig{
		Realm: c.Realm, AuthHandler: s.authenticate, QuotaHandler: s.admit, LoggerFactory: quiet,
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: &paced{PacketConn: s.udp, server: s}, RelayAddressGenerator: lender{s}, PermissionHandler: s.permit,
		}},
		ListenerConfigs: []turn.ListenerConfig{{
			Listener: newDoor(s.tcp), RelayAddressGenerator: lender{s}, PermissionHandler: s.permit,
		}},
		EventHandler: turn.EventHandler{OnAllocationCreated: s.allocated, OnAllocationDeleted: s.released},
	})
	if err != nil {
		_ = errors.Join(s.udp.Close(), s.tcp.Close())
		return nil, fmt.Errorf("turn: %w", err)
	}
	return s, nil
}

// binding is how the relay's own sockets are bound.
func (c Config) binding() *net.ListenConfig {
	l := &net.ListenConfig{}
	if c.Free {
		l.Control = freeBind
	}
	return l
}

// Run returns when ctx has ended and everything is closed.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	return s.Close()
}

// Close ends all allocations and frees the port.
func (s *Server) Close() error {
	if err := s.inner.Close(); err != nil {
		return fmt.Errorf("turn: %w", err)
	}
	return nil
}

// Addr is where clients come to.
func (s *Server) Addr() netip.AddrPort { return addrPort(s.udp.LocalAddr()) }

// Counts may be asked for at any time.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	live := s.total
	s.mu.Unlock()
	return Counts{
		Allocations: live, Created: s.created.Load(), In: s.in.Load(), Out: s.out.Load(),
		Refused: map[string]uint64{
			refusedQuota: s.byQuota.Load(), refusedPeer: s.byPeer.Load(), refusedPassword: s.byPassword.Load(), refusedRate: s.bySrc.Load(),
		},
	}
}

// authenticate gives the key of a user name (RFC 8489 §9.2.2).
func (s *Server) authenticate(ra *turn.RequestAttributes) (userID string, key []byte, ok bool) {
	user, password, ok := s.password(ra.Username, time.Now())
	if !ok {
		s.byPassword.Add(1)
		return "", nil, false
	}
	return user, turn.GenerateAuthKey(ra.Username, s.config.Realm, password), true
}

// admit says whether a user may have one more allocation. Two passwords of one user share a quota.
func (s *Server) admit(user, _ string, _ net.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[user] >= s.config.PerUser || s.total >= s.config.Total {
		s.byQuota.Add(1)
		return false
	}
	return true
}

func (s *Server) allocated(_, _ net.Addr, _, user, _ string, _ net.Addr, _ int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[user]++
	s.total++
	s.created.Add(1)
}

func (s *Server) released(_, _ net.Addr, _, user, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total--; s.users[user] > 1 {
		s.users[user]--
	} else {
		delete(s.users, user)
	}
}

// permit says whether a client may ask for a peer: one of our own addresses. The port is looked at packet by packet.
func (s *Server) permit(_ net.Addr, peer net.IP) bool {
	addr, ok := netip.AddrFromSlice(peer)
	if ok && s.ours(addr.Unmap()) {
		return true
	}
	s.byPeer.Add(1)
	return false
}

// ours tells whether media of this switch answers at an address.
func (s *Server) ours(addr netip.Addr) bool {
	if _, shared := s.config.Media[addr]; shared || addr == s.config.Public {
		return true
	}
	return !addr.IsUnspecified() && !addr.IsMulticast() && s.own.has(addr)
}

// speaks tells whether packets from an address may be those of our media.
func (s *Server) speaks(addr netip.Addr) bool {
	home, shared := s.config.Media[addr]
	return shared && home == addr || s.own.has(addr)
}

func addrPort(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		ap := u.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	}
	return netip.AddrPort{}
}

// logs are pion's, which says nothing an operator could use at its usual levels.
type logs struct{ log *slog.Logger }

func (l logs) Write(p []byte) (int, error) {
	l.log.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}
