// Package baresip runs Debian's baresip 1.0 headless, for tests against a phone that shares no code with the switch: it
// sends a tone, records what it hears, registers, and is told what to do over its control port. Everything stays on
// 127.0.0.1.
//
// A Phone is one process; Close always ends it. This release speaks UDP, TCP and TLS, plain RTP and SDES-SRTP, and no
// WebSocket. Only tests may import it.
package baresip

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// An Event is one that baresip tells of: CALL_INCOMING, CALL_RINGING, CALL_PROGRESS,
// CALL_ESTABLISHED, CALL_CLOSED, CALL_DTMF_START and others. Text is its parameter: the key, the reason, the peer.
type Event struct {
	Type  string `json:"type"`
	Class string `json:"class"`
	Peer  string `json:"peeruri"`
	Text  string `json:"param"`
}

// A Phone is a running baresip.
type Phone struct {
	config  Config
	uri     string
	command *exec.Cmd
	control net.Conn
	output  output
	done    chan struct{} // the process has ended
	running sync.WaitGroup
	failure error

	sending sync.Mutex // one command at a time
	answers chan answer

	mu      sync.Mutex
	events  []Event
	changed chan struct{} // closed and replaced with each event
}

type answer struct {
	OK   bool   `json:"ok"`
	Data string `json:"data"`
}

// output keeps the last part of what the process printed.
type output struct {
	mu   sync.Mutex
	text []byte
}

const keptOutput = 64 << 10

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	if len(o.text) > keptOutput {
		o.text = o.text[len(o.text)-keptOutput:]
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// Installed says whether baresip can be run.
func Installed() bool {
	_, err := exec.LookPath("baresip")
	return err == nil
}

// Start runs a phone and returns when its control port answers. When Server is set it registers by itself; use
// Registered to wait for that.
func Start(ctx context.Context, c Config) (*Phone, error) {
	for field, fallback := range map[*string]string{&c.Domain: "127.0.0.1", &c.Transport: "udp", &c.Answer: "manual", &c.Binary: "baresip"} {
		if *field == "" {
			*field = fallback
		}
	}
	if c.Tone == 0 {
		c.Tone = 440
	}
	if c.Dir == "" || c.User == "" {
		return nil, errors.New("baresip: Dir and User must be set")
	}
	p, err := freePorts()
	if err != nil {
		return nil, err
	}
	if err := c.write(p); err != nil {
		return nil, err
	}
	phone := &Phone{config: c, uri: c.uri(p), done: make(chan struct{}), answers: make(chan answer, 1), changed: make(chan struct{})}
	if err := phone.start(); err != nil {
		return nil, err
	}
	if err := phone.connect(ctx, p.control); err != nil {
		phone.Close()
		return nil, fmt.Errorf("baresip: %w; it printed:\n%s", err, phone.Output())
	}
	return phone, nil
}

func (c Config) uri(p ports) string {
	port := p.sip
	if c.Transport == "tls" {
		port++ // baresip puts TLS one above
	}
	uri := fmt.Sprintf("sip:%s@127.0.0.1:%d", c.User, port)
	if c.Transport != "udp" {
		uri += ";transport=" + c.Transport
	}
	return uri
}

func (p *Phone) start() error {
	p.command = exec.Command(p.config.Binary, "-f", p.config.Dir, "-v")
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	// stdin stays open and empty: its end would be read as a command.
	stdin, err := p.command.StdinPipe()
	if err != nil {
		return err
	}
	// The process must not outlive the test, however that ends.
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		return fmt.Errorf("baresip: %w", err)
	}
	p.running.Go(func() {
		defer stdin.Close()
		p.failure = p.command.Wait()
		close(p.done)
	})
	return nil
}

func (p *Phone) connect(ctx context.Context, port int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			p.control = conn
			p.running.Go(p.listen)
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("it ended at once: %v", p.failure)
		case <-ctx.Done():
			return fmt.Errorf("no control port: %w", ctx.Err())
		}
	}
}

// URI is where this phone can be called without a switch.
func (p *Phone) URI() string { return p.uri }

// Output is the last part of what it printed.
func (p *Phone) Output() string { return p.output.String() }

// listen reads netstrings: "length:json,".
func (p *Phone) listen() {
	in := bufio.NewReader(p.control)
	for {
		length, err := in.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
		if err != nil || n < 0 || n > 1<<20 {
			return
		}
		body := make([]byte, n+1)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		p.heard(body[:n])
	}
}

func (p *Phone) heard(body []byte) {
	var kind struct {
		Event    bool `json:"event"`
		Response bool `json:"response"`
	}
	if json.Unmarshal(body, &kind) != nil {
		return
	}
	if kind.Response {
		var a answer
		_ = json.Unmarshal(body, &a)
		select {
		case p.answers <- a:
		default: // nobody waits any more
		}
		return
	}
	var e Event
	if json.Unmarshal(body, &e) != nil || !kind.Event {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
	close(p.changed)
	p.changed = make(chan struct{})
}

// Command sends one of baresip's menu commands ("dial", "hangup", "reginfo") and returns what it printed.
func (p *Phone) Command(ctx context.Context, name, params string) (string, error) {
	p.sending.Lock()
	defer p.sending.Unlock()
	select {
	case <-p.answers: // left over from one that was given up
	default:
	}
	body, err := json.Marshal(map[string]string{"command": name, "params": params, "token": name})
	if err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(p.control, "%d:%s,", len(body), body); err != nil {
		return "", fmt.Errorf("baresip %s: %w", name, err)
	}
	select {
	case a := <-p.answers:
		if !a.OK {
			return a.Data, fmt.Errorf("baresip %s %s: refused: %s", name, params, strings.TrimSpace(a.Data))
		}
		return a.Data, nil
	case <-p.done:
		return "", fmt.Errorf("baresip %s: the process has ended", name)
	case <-ctx.Done():
		return "", fmt.Errorf("baresip %s: %w", name, ctx.Err())
	}
}

// Events are all that came so far.
func (p *Phone) Events() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Event(nil), p.events...)
}

// WaitEvent returns the first event of the type after the given number of events; pass 0 for any, or len(Events()) from
// before what should cause it.
func (p *Phone) WaitEvent(ctx context.Context, kind string, after int) (Event, error) {
	for {
		p.mu.Lock()
		events, changed := p.events, p.changed
		p.mu.Unlock()
		for _, e := range events[min(after, len(events)):] {
			if e.Type == kind {
				return e, nil
			}
		}
		select {
		case <-changed:
		case <-p.done:
			return Event{}, fmt.Errorf("baresip ended before %s; it printed:\n%s", kind, p.Output())
		case <-ctx.Done():
			return Event{}, fmt.Errorf("no %s from baresip: %w; events %v; it printed:\n%s", kind, ctx.Err(), events, p.Output())
		}
	}
}

// Registered waits until the REGISTER that baresip sent by itself is accepted, or returns why it was not. It asks for the
// state, because the event may have come before the control port was open.
//
// This release gives up ("Function not implemented") when any challenge of a 401 names another algorithm than MD5, even
// beside one with MD5.
func (p *Phone) Registered(ctx context.Context) error {
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		state, err := p.Command(ctx, "reginfo", "")
		switch {
		case err != nil:
			return fmt.Errorf("%w; it printed:\n%s", err, p.Output())
		case strings.Contains(state, "OK "):
			return nil
		case strings.Contains(state, "ERR"):
			return fmt.Errorf("baresip is not registered: %s", p.lastLine("reg: "))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("baresip did not register: %w; it printed:\n%s", ctx.Err(), p.Output())
		}
	}
}

// lastLine is the last printed line with the mark in it, from there on.
func (p *Phone) lastLine(mark string) string {
	text := p.Output()
	if i := strings.LastIndex(text, mark); i >= 0 {
		text, _, _ = strings.Cut(text[i:], "\n")
	}
	return text
}

// Dial calls a number, user@host or SIP URI; it does not wait for the answer (WaitEvent "CALL_ESTABLISHED").
func (p *Phone) Dial(ctx context.Context, target string) error {
	_, err := p.Command(ctx, "dial", target)
	return err
}

// Answer takes the ringing call.
func (p *Phone) Answer(ctx context.Context) error { return p.plain(ctx, "accept") }

// Hangup ends the current call: by BYE, by CANCEL, or by refusing it with 486.
func (p *Phone) Hangup(ctx context.Context) error { return p.plain(ctx, "hangup") }

// Transfer asks the other side to call a URI in this phone's place (REFER).
func (p *Phone) Transfer(ctx context.Context, uri string) error {
	_, err := p.Command(ctx, "transfer", uri)
	return err
}

// Hold and Resume are re-INVITEs with sendonly and sendrecv.
func (p *Phone) Hold(ctx context.Context) error   { return p.plain(ctx, "hold") }
func (p *Phone) Resume(ctx context.Context) error { return p.plain(ctx, "resume") }

func (p *Phone) plain(ctx context.Context, name string) error {
	_, err := p.Command(ctx, name, "")
	return err
}

// DTMF sends keys as telephone-events.
func (p *Phone) DTMF(ctx context.Context, keys string) error {
	for _, key := range keys {
		if _, err := p.Command(ctx, "sndcode", string(key)); err != nil {
			return err
		}
	}
	return nil
}

// Recordings are the WAV files of what was heard, oldest first: a new one each time that the audio starts, which a
// resume does too. Their sizes are right once the call is over.
func (p *Phone) Recordings() []string {
	files, _ := filepath.Glob(filepath.Join(p.config.Dir, "dump-*-dec.wav"))
	return files // the names hold the time, so Glob's order is that of the files
}

// Kill ends the process as a crash would.
func (p *Phone) Kill() {
	_ = p.command.Process.Kill()
	<-p.done
}

// Close ends the process, politely for two seconds and then by force. It may be called more than once.
func (p *Phone) Close() error {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(2 * time.Second)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Kill()
	}
	if p.control != nil {
		p.control.Close()
	}
	p.running.Wait()
	return nil
}
