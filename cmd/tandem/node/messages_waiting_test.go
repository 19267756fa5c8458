package node

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/cluster"
	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/siptest"
	"tandem/sip/transport"
	"tandem/voicemail"
)

// office is where everybody has the same password and registers himself.
type office struct{}

func (office) Credential(user string) (digest.Credential, bool) {
	return digest.NewCredential(user, "example.com", "secret"), true
}
func (office) MayRegister(user, aor string) bool { return user == aor }

// desk is a switch that takes REGISTERs and nothing else, and a phone of it.
type desk struct {
	t     *testing.T
	n     *Node
	close func()
	phone *siptest.Peer
	to    transport.Flow
	seq   int
	asked string // what was asked last
}

func newDesk(t *testing.T, ackWithin time.Duration) *desk {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	cfg := cluster.Config{Node: "single", Dir: t.TempDir(), Buckets: buckets, SyncEvery: time.Second, AckWithin: ackWithin}
	engine, err := cluster.Open(context.Background(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	boxes, err := voicemail.Open(voicemail.Config{Dir: t.TempDir()}, log)
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{state: engine, held: newBindingJournal(engine, log), lamps: voicemail.NewLamps(boxes, nil, nil, "x", log)}
	n.bindings = registrar.NewStore(n.held)
	authority := digest.New(digest.Config{Realm: "example.com"})
	n.registrar = registrar.New(registrar.Config{Domains: []string{"example.com"}}, n.bindings, authority, office{}, log)
	net := siptest.NewNetwork(t, siptest.Options{})
	net.Listen(transport.UDP, "192.0.2.9:5060", answers{n})
	d := &desk{t: t, n: n, close: sync.OnceFunc(engine.Close), phone: net.Peer(transport.UDP, "192.0.2.1:5060")}
	d.to = d.phone.Flow("192.0.2.9:5060")
	t.Cleanup(d.close)
	return d
}

// answers sends what the registrar appends at once.
type answers struct{ n *Node }

func (a answers) Receive(f transport.Flow, m *sip.Message) {
	if out := registrations(a).AppendReceive(nil, time.Now(), f, m); len(out) > 0 {
		_ = f.Send(out)
	}
}
func (answers) Closed(transport.Flow) {}

// ask has the phone register for so many seconds; a challenge is taken.
func (d *desk) ask(expires int) {
	d.t.Helper()
	text := func(credentials string) string {
		d.seq++
		return fmt.Sprintf("REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK%d;rport\r\nMax-Forwards: 70\r\n"+
			"From: <sip:1001@example.com>;tag=x\r\nTo: <sip:1001@example.com>\r\nCall-ID: one\r\nCSeq: %d REGISTER\r\n"+
			"Contact: <sip:1001@192.0.2.1:5060>\r\nExpires: %d\r\n%sContent-Length: 0\r\n\r\n", d.seq, d.seq, expires, credentials)
	}
	d.phone.SendText(d.to, text(""))
	m := d.phone.Next()
	if m.Status() != 401 {
		d.t.Fatalf("REGISTER without credentials: %s", m.Raw())
	}
	who, _ := office{}.Credential("1001")
	var session digest.Session
	name, value, err := session.Answer(m.Message, who, sip.REGISTER, "sip:example.com", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	d.asked = text(name + ": " + value + "\r\n")
	d.phone.SendText(d.to, d.asked)
}

// accepted waits for a 200 to what was asked last.
func (d *desk) accepted() {
	d.t.Helper()
	m := d.phone.Next()
	if seq, _, _ := m.CSeq(); m.Status() != 200 || int(seq) != d.seq {
		d.t.Fatalf("answered\n%s", m.Raw())
	}
}

// kept tells whether the store has the phone.
func (d *desk) kept() (found bool) {
	d.t.Helper()
	for r, err := range d.n.state.Load(context.Background(), bucketRegistrations) {
		if err != nil {
			d.t.Fatal(err)
		}
		found = found || r.Key == "1001" && !r.Deleted && strings.Contains(string(r.Value), "sip:1001@192.0.2.1:5060")
	}
	return found
}

// deaf has nobody hear what the store answers until the end: what is written meanwhile does not land.
func (d *desk) deaf() (end func()) {
	d.t.Helper()
	gate := make(chan struct{})
	for deaf := make(chan bool); ; {
		d.n.state.Put(cluster.Write{Bucket: bucketRecords, Key: "gate", Value: []byte("x"), Done: func(err error) {
			if deaf <- err == nil; err == nil {
				<-gate
			}
		}})
		if <-deaf { // and not told that the store is late
			end = sync.OnceFunc(func() { close(gate) })
			d.t.Cleanup(end)
			return end
		}
	}
}

// unheard is for how long it is listened that nothing is answered.
const unheard = 200 * time.Millisecond

// The 200 to a REGISTER leaves when its record is held, to a phone that repeats itself as well, and so does that to its end; who changes nothing
// waits for nobody.
func TestRegisterIsAnsweredWhenItIsHeld(t *testing.T) {
	t.Parallel()
	d := newDesk(t, time.Minute)
	end := d.deaf()
	d.ask(3600)
	d.phone.Quiet(unheard)
	d.phone.SendText(d.to, d.asked)
	d.phone.Quiet(unheard)
	end()
	d.accepted()
	d.accepted()
	if !d.kept() {
		t.Error("answered, and not kept")
	}

	end = d.deaf()
	d.ask(3600)
	d.accepted() // a refresh of what is kept for longer
	d.ask(0)
	d.phone.Quiet(unheard)
	end()
	d.accepted()
	if d.kept() {
		t.Error("its end is answered, and it is kept")
	}
}

// A store that does not answer in time is not waited for: what it has not taken waits, and is written when it answers.
func TestRegisterIsAnsweredWhenTheStoreIsLate(t *testing.T) {
	t.Parallel()
	const patience = 500 * time.Millisecond
	d := newDesk(t, patience)
	end := d.deaf()
	asked := time.Now()
	d.ask(3600)
	d.accepted()
	if took := time.Since(asked); took < patience {
		t.Errorf("answered after %v, though it is not held", took)
	}
	if s := d.n.state.Status(); !s.Degraded {
		t.Errorf("nobody is told that the store is late: %+v", s)
	}
	end()
	for limit := time.Now().Add(20 * time.Second); !d.kept() || d.n.state.Status().Waits > 0; {
		if time.Now().After(limit) {
			t.Fatalf("not kept: %+v", d.n.state.Status())
		}
		<-time.After(10 * time.Millisecond)
	}
}

// What the store will never be known to have taken, since this node may not write any more, is not answered.
func TestRegisterIsNotAnsweredWithoutTheRight(t *testing.T) {
	t.Parallel()
	d := newDesk(t, time.Minute)
	end := d.deaf()
	d.ask(3600)
	d.phone.Quiet(unheard)
	d.close()
	end()
	d.phone.Quiet(unheard)
	if left := d.n.held.aors.Load(); left != 0 {
		t.Errorf("%d AORs are under way, and nothing is", left)
	}
}
