package phones

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/baresip"
	"tandem/test/binary"
)

// reaches calls a phone, hears it, and hangs up.
func reaches(t *testing.T, caller, callee *phone.Phone, user string) {
	t.Helper()
	call, err := caller.Call(within(t), user, phone.CallOptions{Play: "tone:440"})
	must(t, "call", err)
	other := incoming(t, callee)
	hear(t, "caller", call, 660)
	hear(t, "callee", other, 440)
	must(t, "hang up", call.Hangup(within(t)))
	ended(t, other, phone.ByRemote)
}

// What is not allowed to register: a wrong password, somebody else's extension, nobody's.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	user, other := o.extension(t), o.extension(t)
	t.Run("phones", func(t *testing.T) {
		for name, change := range map[string]func(*phone.Config){
			"wrong password":    func(c *phone.Config) { c.Password = "wrong" },
			"no such extension": func(c *phone.Config) { c.User = "2999" },
			"somebody else's":   func(c *phone.Config) { c.AuthUser = other },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := o.config(user, "udp")
				change(&c)
				p := start(t, c)
				var refusal *phone.StatusError
				if err := p.Register(within(t), time.Minute); !errors.As(err, &refusal) || refusal.Code != 401 && refusal.Code != 403 {
					t.Errorf("REGISTER: %v, want 401 or 403", err)
				}
				if _, err := p.Call(within(t), "9196", phone.CallOptions{}); !errors.As(err, &refusal) || refusal.Code != 401 && refusal.Code != 403 {
					t.Errorf("INVITE: %v, want 401 or 403", err)
				}
			})
		}
	})
	if n := binary.Sum(o.Metrics(), "tandem_registrations"); n != 0 {
		t.Errorf("%v registrations", n)
	}
	// The owner is not locked out.
	register(t, o.config(user, "tcp"))
	o.Idle(patience)
}

// A phone that registers again and again stays reachable; one that unregisters, or lets its registration expire, is not.
func TestRegistrationsComeAndGo(t *testing.T) {
	t.Parallel()
	o := open(t, "registrar { min_expires = \"1s\" }\n")
	a, _ := o.desk(t, "udp")
	caller, user := o.desk(t, "ws")
	t.Run("again and again", func(t *testing.T) {
		t.Parallel()
		b, to := start2(t, o, "tcp")
		must(t, "register", b.Register(within(t), 2*time.Second))
		until(t, "registered three times", func() bool { return b.Registration().Count >= 3 })
		b.SetAnswer(phone.AutoAnswer("tone:660"))
		reaches(t, a, b, to)
		must(t, "unregister", b.Unregister(within(t)))
		var refusal *phone.StatusError
		if _, err := a.Call(within(t), to, phone.CallOptions{}); !errors.As(err, &refusal) || refusal.Code != 480 {
			t.Errorf("after it unregistered: %v, want 480", err)
		}
		must(t, "register", b.Register(within(t), time.Minute))
		reaches(t, a, b, to)
	})
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		b, to := start2(t, o, "udp")
		must(t, "register", b.Register(within(t), time.Second))
		must(t, "abandon", b.Abandon())
		until(t, "expired", func() bool {
			out, err := o.Run("registrations")
			must(t, out, err)
			return !strings.Contains(out, "sip:"+to+"@")
		})
		o.refused(t, caller, user, to, 480, 0)
	})
	t.Cleanup(func() { o.Idle(patience) })
}

func start2(t *testing.T, o *office, transport string) (*phone.Phone, string) {
	t.Helper()
	user := o.extension(t)
	return start(t, o.config(user, transport)), user
}

// A registration shorter than the switch allows is asked for again with its minimum (423).
func TestTooShortRegistration(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	b, _ := start2(t, o, "udp")
	must(t, "register", b.Register(within(t), 5*time.Second))
	if r := b.Registration(); r.Granted != time.Minute {
		t.Errorf("granted %v, want the minimum of a minute", r.Granted)
	}
}

// The connection of a phone is cut: it registers over a new one, and calls reach it there. A call in progress goes on,
// and ends over the new connection.
func TestConnectionCut(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("phones", func(t *testing.T) {
		for _, transport := range []string{"tcp", "tls", "ws", "wss"} {
			t.Run(transport, func(t *testing.T) {
				t.Parallel()
				a, _ := o.desk(t, "udp")
				line := newLine(t, o.Addr(ports[transport]))
				c := o.config(o.extension(t), transport)
				c.Domain, c.ServerName, c.Server = o.Host, o.Host, line.address()
				c.Outbound, c.KeepAlive, c.Answer = true, 100*time.Millisecond, phone.AutoAnswer("tone:660")
				b := register(t, c)
				reaches(t, a, b, c.User)

				call, err := a.Call(within(t), c.User, phone.CallOptions{Play: "tone:440"})
				must(t, "call", err)
				other := incoming(t, b)
				hear(t, "caller", call, 660)
				before := b.Registration().Count
				line.cut()
				until(t, "registered over a new connection", func() bool { return b.Registration().Count > before })
				hear(t, "caller after the cut", call, 660)
				hear(t, "callee after the cut", other, 440)
				must(t, "hang up", call.Hangup(within(t)))
				ended(t, other, phone.ByRemote)

				reaches(t, a, b, c.User)
			})
		}
	})
	o.Idle(patience)
}

// A line is a TCP relay that can be cut.
type line struct {
	to       string
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l := &line{to: to}
	var err error
	l.listener, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, "listen", err)
	l.running.Go(l.accept)
	t.Cleanup(func() {
		_ = l.listener.Close()
		l.cut()
		l.running.Wait()
	})
	return l
}

func (l *line) address() string { return l.listener.Addr().String() }

func (l *line) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		l.mu.Lock()
		l.conns = append(l.conns, near, far)
		l.mu.Unlock()
		for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
			l.running.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				_, _ = near.Close(), far.Close()
			})
		}
	}
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// baresip with a wrong password is not registered, and one that unregisters is not reached.
func TestBaresipRegistration(t *testing.T) {
	t.Parallel()
	needBaresip(t)
	o := open(t, "")
	p, err := baresip.Start(within(t), baresip.Config{
		User: o.extension(t), Password: "wrong", Domain: o.Host, Server: o.Addr(5060), Dir: t.TempDir(),
	})
	must(t, "baresip", err)
	defer func() { _ = p.Close() }()
	if err := p.Registered(within(t)); err == nil {
		t.Error("baresip registered with a wrong password")
	}
	if n := binary.Sum(o.Metrics(), "tandem_registrations"); n != 0 {
		t.Errorf("%v registrations", n)
	}
}
