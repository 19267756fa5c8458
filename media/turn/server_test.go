package turn

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

const patience = 5 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// echo is the media of the switch: it sends back what it gets.
func echo(t *testing.T) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(b[:n], from)
		}
	}()
	return addrPort(pc.LocalAddr())
}

// passwords are those of two users; a name with "old:" in front has expired.
func passwords(username string, _ time.Time) (string, string, bool) {
	switch username {
	case "1:alice", "2:alice":
		return "alice", "secret", true
	case "1:bob":
		return "bob", "secret", true
	}
	return "", "", false
}

func serve(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	c := Config{Address: "127.0.0.1:0", FirstPort: 41000, LastPort: 41019, Realm: "example.com", PerUser: 2, Total: 3}
	change(&c)
	s, err := New(c, passwords, slog.New(slog.DiscardHandler))
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); must(t, <-done) })
	return s
}

// client is pion's; network is udp or tcp.
func client(t *testing.T, s *Server, network, username, password string) *turn.Client {
	t.Helper()
	var pc net.PacketConn
	var err error
	if network == "tcp" {
		c, dialErr := net.Dial("tcp", s.Addr().String())
		must(t, dialErr)
		pc = turn.NewSTUNConn(c)
	} else if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	c, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: s.Addr().String(), TURNServerAddr: s.Addr().String(), Conn: pc, Username: username, Password: password,
		Realm: "example.com", LoggerFactory: quiet,
	})
	must(t, err)
	must(t, c.Listen())
	t.Cleanup(func() { c.Close(); _ = pc.Close() })
	return c
}

// answers tells whether what is sent to an address by a relay comes back.
func answers(t *testing.T, relay net.PacketConn, to netip.AddrPort, wait time.Duration) bool {
	t.Helper()
	if _, err := relay.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(to)); err != nil {
		return false
	}
	_ = relay.SetReadDeadline(time.Now().Add(wait))
	b := make([]byte, 100)
	n, from, err := relay.ReadFrom(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	return err == nil && string(b[:n]) == "hello" && addrPort(from) == to
}

func TestRelaysToOurMediaOnly(t *testing.T) {
	media, other := echo(t), echo(t)
	s := serve(t, func(c *Config) { c.MediaPort = media.Port() })
	for _, network := range []string{"udp", "tcp"} {
		relay, err := client(t, s, network, "1:alice", "secret").Allocate()
		must(t, err)
		if !answers(t, relay, media, patience) {
			t.Errorf("%s: our media does not answer", network)
		}
		if answers(t, relay, other, 200*time.Millisecond) {
			t.Errorf("%s: a port that is not our media's answers", network)
		}
		if answers(t, relay, netip.MustParseAddrPort("192.0.2.1:9"), 100*time.Millisecond) {
			t.Errorf("%s: a stranger answers", network)
		}
		if at := relay.LocalAddr().(*net.UDPAddr).Port; at < 41000 || at > 41019 {
			t.Errorf("%s: port %d is out of the range", network, at)
		}
		must(t, relay.Close())
	}
	c := s.Counts()
	if c.Refused[refusedPeer] < 4 || c.In == 0 || c.Out == 0 || c.Created != 2 {
		t.Errorf("counts %+v", c)
	}
}

// Nobody else can send to a client through a lent port, whatever the client has asked for.
func TestOnlyOurMediaIsHeard(t *testing.T) {
	media := echo(t)
	s := serve(t, func(c *Config) { c.MediaPort = media.Port() })
	relay, err := client(t, s, "udp", "1:alice", "secret").Allocate()
	must(t, err)
	if !answers(t, relay, media, patience) {
		t.Fatal("our media does not answer")
	}
	stranger, err := net.Dial("udp", relay.LocalAddr().String())
	must(t, err)
	defer stranger.Close()
	_, err = stranger.Write([]byte("spam"))
	must(t, err)
	_ = relay.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, from, err := relay.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("%d octets from %v", n, from)
	}
}

// Behind a mapped address the client calls our media by the address that it knows.
func TestPublicAddress(t *testing.T) {
	media := echo(t)
	public := netip.MustParseAddr("198.51.100.7")
	s := serve(t, func(c *Config) { c.MediaPort, c.Public = media.Port(), public })
	relay, err := client(t, s, "udp", "1:alice", "secret").Allocate()
	must(t, err)
	if !answers(t, relay, netip.AddrPortFrom(public, media.Port()), patience) {
		t.Error("our media does not answer by its public address")
	}
}

// Media of other nodes is ours as well, each by the address that a client knows it by.
func TestMediaOfOtherNodes(t *testing.T) {
	media, stranger := echo(t), netip.MustParseAddr("198.51.100.9")
	near, far := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("198.51.100.8")
	s := serve(t, func(c *Config) {
		c.MediaPort, c.Media = media.Port(), map[netip.Addr]netip.Addr{near: netip.MustParseAddr("127.0.0.1"), far: netip.MustParseAddr("127.0.0.1")}
	})
	for _, seen := range []netip.Addr{near, far} {
		relay, err := client(t, s, "udp", "1:alice", "secret").Allocate()
		must(t, err)
		if !answers(t, relay, netip.AddrPortFrom(seen, media.Port()), patience) {
			t.Errorf("media does not answer as %v", seen)
		}
		if answers(t, relay, netip.AddrPortFrom(stranger, media.Port()), 200*time.Millisecond) {
			t.Error("a stranger answers")
		}
		must(t, relay.Close())
	}
}

// A relay at an address that moves is there before the address is.
func TestAddressThatIsElsewhere(t *testing.T) {
	c := Config{Address: "192.0.2.99:0", Realm: "example.com", FirstPort: 40001, LastPort: 40010, PerUser: 1, Total: 1, MediaPort: 9}
	nobody := func(string, time.Time) (string, string, bool) { return "", "", false }
	if s, err := New(c, nobody, slog.New(slog.DiscardHandler)); err == nil {
		must(t, s.Close())
		t.Fatal("the address is here")
	}
	c.Free = true
	s, err := New(c, nobody, slog.New(slog.DiscardHandler))
	must(t, err)
	must(t, s.Close())
}

func TestQuotaAndPasswords(t *testing.T) {
	s := serve(t, func(c *Config) { c.MediaPort = 9 })
	var lent []net.PacketConn
	for _, c := range []struct {
		username, password string
		ok                 bool
	}{
		{"1:alice", "wrong", false}, {"9:nobody", "secret", false}, {"1:alice", "secret", true}, {"2:alice", "secret", true},
		{"1:alice", "secret", false}, {"1:bob", "secret", true}, {"1:bob", "secret", false},
	} {
		relay, err := client(t, s, "udp", c.username, c.password).Allocate()
		if (err == nil) != c.ok {
			t.Errorf("%s with %s: %v", c.username, c.password, err)
		}
		if err == nil {
			lent = append(lent, relay)
		}
	}
	if c := s.Counts(); c.Allocations != 3 || c.Refused[refusedQuota] != 2 || c.Refused[refusedPassword] == 0 {
		t.Errorf("counts %+v", c)
	}
	for _, relay := range lent {
		must(t, relay.Close())
	}
	for deadline := time.After(patience); s.Counts().Allocations != 0; {
		select {
		case <-deadline:
			t.Fatalf("left: %+v, users %v", s.Counts(), s.users)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if len(s.users) != 0 {
		t.Errorf("users %v are remembered", s.users)
	}
}

// A flood of requests from one address is not answered; another one is served meanwhile.
func TestRequestsAreCounted(t *testing.T) {
	p := &paced{}
	now := time.Unix(100, 0)
	flood, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for i := range 100 {
		if got := p.mayAsk(flood, now); got != (i < requestsPerSecond) {
			t.Fatalf("request %d: %v", i, got)
		}
	}
	if !p.mayAsk(other, now) || p.counts[source(netip.MustParseAddr("2001:db8::2"))] != 1 {
		t.Error("another source is not served, or has more than its /64")
	}
	if !p.mayAsk(flood, now.Add(time.Second)) {
		t.Error("not served a second later")
	}
	for i := range 2 * maxSources {
		p.mayAsk(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now.Add(time.Second))
	}
	if len(p.counts) > maxSources {
		t.Errorf("%d sources are remembered", len(p.counts))
	}
	for name, b := range map[string][]byte{"ChannelData": {0x40, 0, 0, 0}, "indication": append([]byte{0x00, 0x16}, make([]byte, 18)...)} {
		if isRequest(b) {
			t.Errorf("%s counts as a request", name)
		}
	}
	if !isRequest(append([]byte{0x00, 0x03}, make([]byte, 18)...)) {
		t.Error("Allocate counts as none")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	s := serve(t, func(c *Config) { c.MediaPort = 9 })
	var open []net.Conn
	for range maxPerSource + 5 {
		c, err := net.Dial("tcp", s.Addr().String())
		must(t, err)
		open = append(open, c)
	}
	ends := make(chan bool)
	for _, c := range open {
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		go func() {
			_, err := c.Read(make([]byte, 1))
			ends <- err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
		}()
	}
	closed := 0
	for range open {
		if <-ends {
			closed++
		}
	}
	for _, c := range open {
		_ = c.Close()
	}
	if closed != 5 {
		t.Errorf("%d of %d connections were closed", closed, len(open))
	}
}

func TestAddressInUse(t *testing.T) {
	s := serve(t, func(c *Config) { c.MediaPort = 9 })
	if _, err := New(Config{Address: s.Addr().String(), FirstPort: 1, LastPort: 2}, passwords, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("two relays on one address")
	} else if want := "choose another `address` in the block turn"; !strings.Contains(err.Error(), want) {
		t.Errorf("%v says nothing of what to do", err)
	}
}
