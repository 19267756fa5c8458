package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// Config is what the console needs to start.
type Config struct {
	Socket string // path of the admin socket; empty: none
	HTTP   string // host:port of metrics and health; empty: none
}

// Server serves the admin socket and the HTTP address.
type Server struct {
	log     *slog.Logger
	socket  net.Listener
	http    net.Listener
	servers []*http.Server
}

// New binds both; an error names the one that failed and what would mend it. metrics is served at /metrics.
func New(cfg Config, s Switch, metrics http.Handler, log *slog.Logger) (*Server, error) {
	mux := http.NewServeMux()
	if metrics != nil {
		mux.Handle("GET /metrics", metrics)
	}
	health(mux, s)
	guardedPasses(mux, s)
	clusterPage(mux, s.Cluster)
	return bind(cfg, admin(s), mux, log)
}

// bind binds the admin socket for one handler and the HTTP address for the other.
func bind(cfg Config, api, open http.Handler, log *slog.Logger) (*Server, error) {
	srv := &Server{log: log}
	if cfg.Socket != "" {
		l, err := listenSocket(cfg.Socket)
		if err != nil {
			return nil, err
		}
		srv.socket = l
	}
	if cfg.HTTP != "" {
		l, err := net.Listen("tcp", cfg.HTTP)
		if err != nil {
			srv.Close()
			return nil, fmt.Errorf("metrics address %s: %w (choose another with `http` in the node block, or \"\" for none)", cfg.HTTP, err)
		}
		srv.http = l
	}
	for _, h := range []http.Handler{api, open} {
		srv.servers = append(srv.servers, &http.Server{
			Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
			WriteTimeout: 60 * time.Second, IdleTimeout: 60 * time.Second, MaxHeaderBytes: 16 << 10,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		})
	}
	return srv, nil
}

// listenSocket binds a unix socket that only its owner may open. A socket that a dead process left is removed;
// one that answers is somebody else's.
func listenSocket(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("admin socket %s: another switch answers there: stop it, or set `admin_socket` in the node block", path)
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		_ = os.Remove(path)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket %s: %w (the folder must exist and be writable; `admin_socket` in the node block names another)", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("admin socket %s: %w", path, err)
	}
	return l, nil
}

// HTTPAddr is the address of metrics and health; nil without one.
func (s *Server) HTTPAddr() net.Addr {
	if s.http == nil {
		return nil
	}
	return s.http.Addr()
}

// Close releases what New bound, for a Server that never ran.
func (s *Server) Close() {
	for _, l := range []net.Listener{s.socket, s.http} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// Run serves until ctx ends and returns when all its goroutines have.
func (s *Server) Run(ctx context.Context) error {
	done := make(chan struct{}, 2)
	running := 0
	for i, l := range []net.Listener{s.socket, s.http} {
		if l == nil {
			continue
		}
		running++
		go func() {
			if err := s.servers[i].Serve(l); !errors.Is(err, http.ErrServerClosed) {
				s.log.Error("console stopped serving", "address", l.Addr().String(), "err", err)
			}
			done <- struct{}{}
		}()
	}
	<-ctx.Done()
	for _, h := range s.servers {
		quick, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		if h.Shutdown(quick) != nil {
			_ = h.Close()
		}
		cancel()
	}
	for range running {
		<-done
	}
	return nil
}
