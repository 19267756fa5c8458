package cluster

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// keepAlive is how often a storm's client says something: less than the Flow-Timer that it is told (RFC 5626 §4.4.1).
const keepAlive = 15 * time.Second

// guest is a client of a storm: it keeps one connection, speaks on it every keepAlive, and connects and registers anew as soon as it has
// ended. What it hears it answers. Its methods but run are for before that.
type guest struct {
	p              *Pair
	kind           string // TLS or WSS
	user, instance string
	sessions       tls.ClientSessionCache
	line           *wire.Phone

	mu    sync.Mutex
	port  uint16    // ours
	gone  time.Time // its connection was found to have ended, since forget
	back  time.Time // and it had registered again
	trial int       // connections and registrations that failed
	why   []string  // and how
	later int       // 503 with Retry-After
	again bool      // its last TLS session was resumed
	rung  int       // INVITEs
	asked []wire.Message
}

// newGuests makes so many clients, half of them over TLS and half over WSS, with users from first on, and has them register.
func (p *Pair) newGuests(count, first int) []*guest {
	p.t.Helper()
	all := make([]*guest, count)
	for n := range all {
		g := &guest{
			p: p, kind: []string{"TLS", "WSS"}[n%2], user: strconv.Itoa(first + n), sessions: tls.NewLRUClientSessionCache(1),
			instance: fmt.Sprintf("00000000-0000-0000-0001-%012d", n),
		}
		all[n] = g
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var coming sync.WaitGroup
	for n := range 8 {
		coming.Go(func() {
			for i := n; i < count; i += 8 {
				all[i].comeBack(ctx)
			}
		})
	}
	if coming.Wait(); ctx.Err() != nil {
		p.t.Fatalf("not %d clients within two minutes; the last failed with %q", count, all[count-1].state().why)
	}
	return all
}

// errLater is a 503, with the time that it asks for.
type errLater time.Duration

func (e errLater) Error() string { return "503, later" }

// connect opens a connection and registers over it.
func (g *guest) connect(ctx context.Context) (err error) {
	var c net.Conn
	port := map[string]string{"TLS": "5061", "WSS": "7443"}[g.kind]
	if g.p.wires.nodes["phones"].Inside(func() {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(phoneHost)}, Timeout: 5 * time.Second}
		c, err = d.DialContext(ctx, "tcp", virtual+":"+port)
	}) != nil || err != nil {
		return cmp.Or(err, errors.New("no namespace"))
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	// A certificate of the test's own, which says nothing.
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: virtual, ClientSessionCache: g.sessions})
	if err := s.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return fmt.Errorf("handshake: %w", err)
	}
	line, err := wire.Over(g.p.t, g.kind, s)
	if err != nil {
		return err
	}
	_ = c.SetDeadline(time.Time{})
	phone := wire.NewPhone(line, g.user, binary.Password)
	contact := phone.Contact() + `;reg-id=1;+sip.instance="<urn:uuid:` + g.instance + `>"`
	r := phone.Registration(contact, "Supported: path, outbound", "Expires: 3600")
	m, ok := phone.Try(r, 10*time.Second)
	if ok && m.Status() == 401 {
		m, ok = phone.Try(phone.Sign(r, m), 10*time.Second)
	}
	switch {
	case ok && m.Status() == 200 && m.Get("flow-timer") == "20":
	case ok && m.Status() == 503:
		line.Close()
		seconds, _ := strconv.Atoi(m.Get("retry-after"))
		return errLater(time.Duration(seconds) * time.Second)
	default:
		line.Close()
		return fmt.Errorf("REGISTER: %v %q", ok, m.Raw)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.line, g.port, g.again = phone, phone.Local.Port(), s.ConnectionState().DidResume
	return nil
}

// run lives until ctx ends.
func (g *guest) run(ctx context.Context) {
	beat := time.NewTimer(rand.N(keepAlive)) // they do not beat as one
	defer beat.Stop()
	for ctx.Err() == nil {
		m, ok := g.line.Poll(time.Second, func(wire.Message) bool { return true })
		if ok {
			g.answer(m)
			continue
		}
		select {
		case <-g.line.Ended():
			g.mu.Lock()
			if g.gone.IsZero() {
				g.gone = time.Now()
			}
			g.mu.Unlock()
			g.line.Close()
			g.comeBack(ctx)
		case <-beat.C:
			_ = g.line.Ping() // whether it has left shows when the connection ends
			beat.Reset(keepAlive)
		default:
		}
	}
}

// comeBack tries until it is registered again: at once, and then after half a second to a second, or when it was told to.
func (g *guest) comeBack(ctx context.Context) {
	for ctx.Err() == nil {
		err := g.connect(ctx)
		wait := 500*time.Millisecond + rand.N(500*time.Millisecond)
		var later errLater
		g.mu.Lock()
		switch {
		case err == nil:
			g.back = time.Now()
		case errors.As(err, &later):
			g.later++
			wait = time.Duration(later)
		default:
			g.trial++
			g.why = append(g.why, fmt.Sprintf("%v after %v", err, time.Since(g.gone).Round(time.Millisecond)))
		}
		g.mu.Unlock()
		if err == nil {
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// answer refuses calls and takes everything else.
func (g *guest) answer(m wire.Message) {
	switch {
	case m.Method() == "" || m.Method() == "ACK":
		return
	case m.Method() == "INVITE" && wire.Tag(m.Get("to")) == "":
		g.line.Reply(m, 486, wire.Reply{Tag: wire.Token()})
	default:
		g.line.Reply(m, 200, wire.Reply{})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked = append(g.asked, m); m.Method() == "INVITE" {
		g.rung++
	}
}

// forget begins a new round.
func (g *guest) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone, g.back, g.trial, g.later, g.rung, g.asked, g.why = time.Time{}, time.Time{}, 0, 0, 0, nil, nil
}

// guestState is what came of a round.
type guestState struct {
	gone, back         time.Time
	trial, later, rung int
	resumed            bool
	port               uint16
	why                []string
}

func (g *guest) state() guestState {
	g.mu.Lock()
	defer g.mu.Unlock()
	return guestState{g.gone, g.back, g.trial, g.later, g.rung, g.again, g.port, g.why}
}
