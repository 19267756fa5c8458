package phone

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A registration is what the phone keeps between two REGISTERs. It is guarded by the phone's lock but for seq.
type registration struct {
	callID  string
	tag     string
	seq     *atomic.Uint32
	wanted  time.Duration // 0: not registered, or unregistered
	granted time.Duration
	count   int   // successful REGISTERs
	lastErr error // of the last refresh
	flow    sip.Connection
	pong    chan struct{}
	changed chan struct{} // wakes the keeper
	keeping bool
}

// Registration tells how a phone's registration stands.
type Registration struct {
	Active  bool          `json:"active"`
	Granted time.Duration `json:"granted"`
	// Count is how many REGISTERs were accepted, the first and every refresh.
	Count int   `json:"count"`
	Err   error `json:"-"` // of the last refresh, nil when it went well
}

// Registration returns the present state.
func (p *Phone) Registration() Registration {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.registration
	return Registration{Active: r.wanted > 0 && r.granted > 0 && r.lastErr == nil, Granted: r.granted, Count: r.count, Err: r.lastErr}
}

// Register binds this phone's contact to its address of record for the time asked for (an hour when 0), and keeps it
// bound until Unregister or Close: it refreshes before the expiry, pings the server, and registers anew when the
// connection is lost. It returns once the server has accepted the first REGISTER.
func (p *Phone) Register(ctx context.Context, expires time.Duration) error {
	if p.set.host == "" {
		return fmt.Errorf("cannot register: no server is set")
	}
	if expires <= 0 {
		expires = time.Hour
	}
	granted, err := p.register(ctx, expires)
	if err != nil {
		return err
	}
	p.mu.Lock()
	r := &p.registration
	r.wanted, r.granted, r.lastErr = expires, granted, nil
	r.count++
	start := !r.keeping
	r.keeping = true
	p.mu.Unlock()
	if start {
		p.spawn(p.keepRegistered)
	} else {
		p.wakeKeeper()
	}
	return nil
}

// Unregister removes this phone's own contact, not those of others.
func (p *Phone) Unregister(ctx context.Context) error {
	p.mu.Lock()
	p.registration.wanted, p.registration.granted = 0, 0
	p.mu.Unlock()
	p.wakeKeeper()
	_, err := p.register(ctx, 0)
	return err
}

func (p *Phone) wakeKeeper() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.registration.changed <- struct{}{}:
	default:
	}
}

// register sends one REGISTER (with its challenges) and returns the time granted. A 423 is asked again with the
// server's minimum.
func (p *Phone) register(ctx context.Context, expires time.Duration) (time.Duration, error) {
	p.mu.Lock()
	r := &p.registration
	if r.seq == nil {
		r.callID, r.tag, r.seq = newUUID(), sip.GenerateTagN(12), new(atomic.Uint32)
		r.pong, r.changed = make(chan struct{}, 1), make(chan struct{}, 1)
	}
	seq, id, tag := r.seq, r.callID, r.tag
	p.mu.Unlock()
	for range 2 {
		d := draft{method: "REGISTER", target: "sip:" + p.set.Domain, callID: id,
			from: quoteDisplay(p.set.Display) + "<" + p.aor() + ">;tag=" + tag, to: "<" + p.aor() + ">",
			contact: p.registeredContact(expires),
			extra:   []Header{{"Expires", seconds(expires)}, {"Allow", allowed}}}
		if p.set.Outbound {
			d.extra = append(d.extra, Header{"Supported", "path, outbound"})
		}
		res, err := p.exchange(ctx, d, counter(seq))
		if err != nil {
			return 0, err
		}
		if res.IsSuccess() {
			return p.granted(res, expires), nil
		}
		refused := statusError("REGISTER", res)
		minimum, err := strconv.Atoi(headerValue(res, "Min-Expires", ""))
		if res.StatusCode != 423 || err != nil || expires >= time.Duration(minimum)*time.Second {
			return 0, refused
		}
		expires = time.Duration(minimum) * time.Second
	}
	return 0, fmt.Errorf("the server raised Min-Expires twice")
}

func seconds(d time.Duration) string { return strconv.Itoa(int((d + time.Second - 1) / time.Second)) }

func (p *Phone) registeredContact(expires time.Duration) string {
	text := "<" + p.contact + ">"
	if p.set.WebRTC {
		text += ";+sip.ice" // RFC 5768 §4, as JsSIP writes it
	}
	if p.set.Outbound {
		text += `;reg-id=1;+sip.instance="<urn:uuid:` + p.set.Instance + `>"`
	}
	return text + ";expires=" + seconds(expires)
}

// granted finds our own contact among those of a 200, by address or by instance.
func (p *Phone) granted(res *sip.Response, asked time.Duration) time.Duration {
	fallback := asked
	if n, err := strconv.Atoi(headerValue(res, "Expires", "")); err == nil {
		fallback = time.Duration(n) * time.Second
	}
	for _, value := range headerValues(res, "Contact", "m") {
		a := parseAddress(value)
		ours := strings.EqualFold(a.uri, p.contact) || p.set.Outbound && strings.Contains(a.param("+sip.instance"), p.set.Instance)
		if n, err := strconv.Atoi(a.param("expires")); ours && err == nil {
			return time.Duration(n) * time.Second
		}
	}
	return fallback
}

// keepRegistered refreshes at four fifths of the time granted, pings in between, and after a failure tries again
// (see recovery). It runs until Close.
func (p *Phone) keepRegistered() {
	const pongTime = 10 * time.Second // RFC 5626 §4.4.1
	failures := 0
	p.mu.Lock()
	due := time.Now().Add(p.registration.granted * 4 / 5)
	changed := p.registration.changed
	p.mu.Unlock()
	for {
		wait := time.Until(due)
		ping := p.set.KeepAlive > 0 && p.set.KeepAlive < wait
		if ping {
			wait = p.set.KeepAlive
		}
		timer := time.NewTimer(wait)
		select {
		case <-p.ctx.Done():
			timer.Stop()
			return
		case <-changed:
			timer.Stop()
			failures = 0
			due = p.refreshDue()
			continue
		case <-p.gone: // its connection: a browser is told so, and does not wait for the next ping
			timer.Stop()
			ping = false
		case <-timer.C:
		}
		state := p.Registration()
		if p.wanted() == 0 {
			due = time.Now().Add(time.Hour)
			continue
		}
		if ping && state.Err == nil && p.ping(pongTime) {
			continue
		}
		if p.refresh() {
			failures, due = 0, p.refreshDue()
		} else {
			due = time.Now().Add(p.recovery(failures))
			failures++
		}
	}
}

// lost tells that a connection has closed.
func (p *Phone) lost() {
	select {
	case p.gone <- struct{}{}:
	default:
	}
}

// recovery is the wait after so many failures. A browser is as impatient as JsSIP: every two seconds at first.
func (p *Phone) recovery(failures int) time.Duration {
	if p.set.WebRTC && failures < 10 {
		return 2 * time.Second
	}
	return min(30*time.Second, time.Second<<min(failures, 5))
}

func (p *Phone) wanted() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.registration.wanted
}

func (p *Phone) refreshDue() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.registration.wanted == 0 {
		return time.Now().Add(time.Hour)
	}
	return time.Now().Add(p.registration.granted * 4 / 5)
}

func (p *Phone) refresh() bool {
	ctx, cancel := context.WithTimeout(p.ctx, giveUpTime)
	defer cancel()
	wanted := p.wanted()
	granted, err := p.register(ctx, wanted)
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.registration
	if r.wanted == 0 {
		return true
	}
	r.lastErr = err
	if err != nil {
		p.log.Warn("registration not refreshed", "error", err)
		return false
	}
	r.granted = granted
	r.count++
	return true
}

func (p *Phone) setFlow(conn sip.Connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.registration.flow = conn
}

// ping sends the double CRLF of RFC 5626 §3.5.1 down the registered connection, and with Outbound waits for the pong.
// On UDP it is a datagram that only keeps a NAT open. False means that the flow is dead.
func (p *Phone) ping(wait time.Duration) bool {
	p.mu.Lock()
	flow, pong := p.registration.flow, p.registration.pong
	p.mu.Unlock()
	select {
	case <-pong: // a late one
	default:
	}
	var err error
	switch conn := flow.(type) {
	case *sip.UDPConnection:
		return true // every REGISTER refresh and in-dialog request keeps the NAT open
	case io.Writer:
		_, err = conn.Write([]byte("\r\n\r\n"))
	}
	if err != nil {
		return false
	}
	if !p.set.Outbound {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-pong:
		return true
	case <-p.ctx.Done():
		return true
	case <-p.gone:
		return false
	case <-timer.C:
		if conn, ok := flow.(io.Closer); ok {
			_ = conn.Close()
		}
		return false
	}
}

// readFilter sees every read before sipgo parses it; a lone CRLF is the pong. A closing phone is deaf.
func (p *Phone) readFilter(_ sip.TransportReadProps, data []byte) ([]byte, error) {
	if p.ctx.Err() != nil {
		return nil, nil
	}
	if string(data) == "\r\n" {
		p.mu.Lock()
		defer p.mu.Unlock()
		select {
		case p.registration.pong <- struct{}{}:
		default:
		}
	}
	return data, nil
}
