package phones

import (
	"errors"
	"strings"
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
