//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// browserLegs is how many legs are up while their packets and their memory are measured: half of them call, the others answer.
const browserLegs = 200

// lastCore is where the load runs.
func lastCore() int { return runtime.NumCPU() - 1 }

// A callServer is what browsers speak through: the built switch, or the peer on PeerConnection.
type callServer struct {
	name, does string
	*process
	ws     string // address of its WebSocket
	heap   *profiled
	answer bool // half of the phones register and answer; otherwise all of them call, two the same number
	end    func()
}

// browserConfig is a switch that is called by pages; whatever else is on is on as shipped.
const browserConfig = `
node "bench" {
  domains      = ["bench.local"]
  state_dir    = "state"
  admin_socket = "admin.sock"
  http         = "HOST:9690"
}
listen "pages" {
  transport = "ws"
  address   = "HOST:5066"
}
media {
  loopback_peers = true
  private_peers  = true
}
class "office" {}
extensions { file = "phones.csv" }
route "desks" {
  from = [class.office]
  to   = "200xxx"
  dial { extension = call.to }
}
`

// startSwitch runs the built binary for browsers.
func (l *lab) startSwitch() (*callServer, error) {
	dir, err := os.MkdirTemp(l.dir, "browsers-")
	if err != nil {
		return nil, err
	}
	host := servers.String()
	var csv strings.Builder
	csv.WriteString("extension,name,password,class\n")
	for i := range browserLegs / 2 {
		fmt.Fprintf(&csv, "%d,Page %d,file:password,office\n%d,Page %d,file:password,office\n", firstPhone+i, i, firstDesk+i, i)
	}
	for name, text := range map[string]string{
		"bench.hcl": strings.ReplaceAll(browserConfig, "HOST", host), "phones.csv": csv.String(), "password": password,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	p, err := start(dir, l.core, l.binary, "serve", "--config", dir)
	if err != nil {
		return nil, err
	}
	s := &callServer{
		name: "tandem", does: "tandem serve: SIP over WebSocket, ICE-lite on one port, AES-GCM opened, counted, numbered anew and sealed",
		process: p, ws: host + ":5066", heap: profiledAt("unix", filepath.Join(dir, "admin.sock"), "tandem/media"), answer: true, end: p.stop,
	}
	return s, p.until("ready", func() bool { return ready("http://" + host + ":9690/readyz") })
}

// startRooms runs this program once more as the peer.
func (l *lab) startRooms() (*callServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ws, at := rooms4.String()+":5066", rooms4.String()+":9690"
	p, in, _, err := startTalking(l.dir, l.core, "rooms", self, "-serve", "rooms", ws, at)
	if err != nil {
		return nil, err
	}
	s := &callServer{
		name: "PeerConnection", does: "pion/webrtc as it comes, ICE-lite, behind sipgo; ReadRTP of one leg, WriteRTP of the other",
		process: p, ws: ws, heap: profiledAt("tcp", at, "github.com/pion/"), end: func() { _ = in.Close(); p.stop() },
	}
	return s, p.until("ready", func() bool { return ready("http://" + at + "/debug/pprof/") })
}

func ready(url string) bool {
	resp, err := http.Get(url)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// A browserLoad is a server with its 200 legs.
type browserLoad struct {
	*callServer
	callers, callees *crowd
	spent            time.Duration // of the server, from the first REGISTER until all legs were up
	registered       time.Duration // the part of it until the first call
}

// load brings the phones up. The first half registers and waits before the other one calls.
func (l *lab) load(s *callServer, calls int) (b *browserLoad, err error) {
	b = &browserLoad{callServer: s}
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	began := s.cpu()
	to := fmt.Sprint(firstDesk)
	how := []string{"--call", to}
	if s.answer {
		how = []string{"--answer"}
	}
	if b.callees, err = l.startCrowd(s.name+"-answers", s.ws, calls, firstDesk, how...); err != nil {
		return b, err
	}
	if s.answer {
		if err = s.until("registered with", func() bool { return l.gauge("tandem_registrations") == calls }); err != nil {
			return b, err
		}
	}
	b.registered = s.cpu() - began
	if b.callers, err = l.startCrowd(s.name+"-calls", s.ws, calls, firstPhone, "--call", to); err != nil {
		return b, err
	}
	if err = errors.Join(b.callers.up(), b.callees.up()); err != nil {
		return b, err
	}
	b.spent = s.cpu() - began
	return b, nil
}

// gauge asks the switch for a metric; 0: no answer.
func (l *lab) gauge(name string) int {
	resp, err := http.Get("http://" + servers.String() + ":9690/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return metric(resp.Body, name)
}

func (b *browserLoad) crowds() []*crowd { return []*crowd{b.callers, b.callees} }

func (b *browserLoad) each(do func(*crowd)) {
	for _, c := range b.crowds() {
		if c != nil {
			do(c)
		}
	}
}

func (b *browserLoad) stop() { b.each((*crowd).stop) }

// sum is what both crowds have told last, after each has told once more.
func (b *browserLoad) sum() (sent, received int, err error) {
	var other tally
	var failed error
	waited := make(chan struct{})
	go func() {
		other, failed = b.callers.next()
		close(waited)
	}()
	t, err := b.callees.next()
	<-waited
	return t.Sent + other.Sent, t.Received + other.Received, errors.Join(err, failed)
}

// round lets the load run for some seconds: the packets that came out at the phones, and how many did not. It ends with a tally, and the load is
// stopped in between, so that the subjects do not disturb each other.
func (b *browserLoad) round(d time.Duration) (units, lost int, used time.Duration, err error) {
	b.each((*crowd).proceed)
	defer b.each((*crowd).pause)
	if _, _, err = b.sum(); err != nil { // they have come to again
		return 0, 0, 0, err
	}
	sent, received, err := b.sum()
	if err != nil {
		return 0, 0, 0, err
	}
	before, end := b.cpu(), time.Now().Add(d)
	for time.Now().Before(end) {
		s, r, err := b.sum()
		if err != nil {
			return 0, 0, 0, err
		}
		units, lost = r-received, (s-sent)-(r-received)
	}
	return units, max(lost, 0), b.cpu() - before, nil
}

// browserPackets measures a packet that is relayed between two browsers: the built switch beside PeerConnection, under the same phones.
func (l *lab) browserPackets() (*section, error) {
	s := &section{Title: fmt.Sprintf("CPU per relayed packet between browsers (%d legs of tandem phone --webrtc, 50 packets/s each, DTLS-SRTP)", browserLegs),
		Unit: "packets", Aims: []*aim{{Ours: "tandem", Theirs: "PeerConnection", Most: 0.45}}}
	for _, begin := range []func() (*callServer, error){l.startSwitch, l.startRooms} {
		server, err := begin()
		if server != nil {
			defer server.end()
		}
		if err != nil {
			return s, err
		}
		b, err := l.load(server, browserLegs/2)
		if err != nil {
			return s, fmt.Errorf("%w\n%s: %s", err, server.name, server.tail())
		}
		defer b.stop()
		s.Notes = append(s.Notes, fmt.Sprintf("%s: %.0f µs for a leg set up by SIP, ICE and DTLS (%.0f µs more for a registration)", server.name,
			float64((b.spent-b.registered).Microseconds())/browserLegs, float64(b.registered.Microseconds())/(browserLegs/2)))
		b.each((*crowd).pause)
		s.Subjects = append(s.Subjects, &subject{Name: server.name, Does: server.does, cpu: b.cpu, spent: b.round})
	}
	return s, s.measure(l.rounds, l.length)
}

// How long a leg is up before it is looked at. A last flight is kept for 9 s; transactions of SIP linger for 32 s, and with them the messages.
const (
	settledMedia = 12 * time.Second
	settledSIP   = 34 * time.Second
)

// browserMemory measures what a leg holds once it is up: in the built switch, with every allocation sampled, and in the peer.
func (l *lab) browserMemory() (*section, error) {
	s := &section{Title: fmt.Sprintf("Heap and goroutines per browser leg (%d legs up for %s, the load stopped, after a collection)", browserLegs, settledSIP)}
	for _, begin := range []func() (*callServer, error){l.startSwitch, l.startRooms} {
		if err := os.Setenv("GODEBUG", "memprofilerate=1"); err != nil {
			return s, err
		}
		server, err := begin()
		_ = os.Unsetenv("GODEBUG")
		if err == nil {
			var h held
			if h, err = l.hold(server); err == nil {
				s.Notes = append(s.Notes, fmt.Sprintf("%s: %.0f bytes and %.2f goroutines a leg for its media (what %s... has allocated and runs); %.0f bytes and %.2f goroutines in the whole process",
					server.name, float64(h.Within)/browserLegs, float64(h.GoroutinesWithin)/browserLegs, server.heap.within,
					float64(h.Bytes)/browserLegs, float64(h.Goroutines)/browserLegs))
				if server.answer {
					s.Notes = append(s.Notes, verdict("bytes a leg for its media", float64(h.Within)/browserLegs, 12000))
				}
			} else {
				err = fmt.Errorf("%w\n%s: %s", err, server.name, server.tail())
			}
		}
		if server != nil {
			server.end()
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

func verdict(what string, figure, most float64) string {
	if figure > most {
		return fmt.Sprintf("%.0f %s (aim: at most %.0f, MISSED)", figure, what, most)
	}
	return fmt.Sprintf("%.0f %s (aim: at most %.0f, met)", figure, what, most)
}

// hold is what the legs add to a server that has had one call before: tables, a certificate and code that runs once are no leg's.
func (l *lab) hold(server *callServer) (held, error) {
	first, err := l.load(server, 1)
	if err != nil {
		return held{}, err
	}
	first.stop()
	<-time.After(settledMedia)
	if err := server.heap.collect(); err != nil {
		return held{}, err
	}
	before, err := server.heap.held()
	if err != nil {
		return held{}, err
	}
	b, err := l.load(server, browserLegs/2)
	if err != nil {
		return held{}, err
	}
	defer b.stop()
	<-time.After(settledSIP)
	if err := server.heap.collect(); err != nil {
		return held{}, err
	}
	b.each((*crowd).pause) // what comes in while it collects would be counted as held
	<-time.After(time.Second)
	after, err := server.heap.held()
	if n := l.gauge("tandem_media_sessions"); err == nil && server.answer && n != browserLegs {
		err = fmt.Errorf("%d of %d legs are there after the heap was read: the others have ended meanwhile", n, browserLegs)
	}
	return after.minus(before), err
}
