package recover

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// A book is what the callers know: the Call-IDs of the INVITEs that were answered.
type book struct {
	mu       sync.Mutex
	answered map[string]bool
	tried    int
}

func (b *book) answer(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered[id] = true
}

// A robot is a phone that calls, or is called, at random, and forgives a switch that dies.
type robot struct {
	*wire.Phone
	book *book
	dice *rand.Rand
	open map[string]*wire.Call // INVITEs that nobody has answered so far
	live map[string]*wire.Call // answered calls
	stop chan struct{}
}

// sdp is a description of a stream that nobody sends.
func (r *robot) sdp() string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n", r.Local.Addr())
}

func (r *robot) over() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// calls places one call after the other until it is told to stop.
func (r *robot) calls(to string) {
	for !r.over() {
		r.call(to)
	}
	// A call that was given up may have been answered all the same.
	r.listen(2*time.Second, "")
	r.leaveAll()
}

// leaveAll hangs up whatever is left.
func (r *robot) leaveAll() {
	for id, c := range r.live {
		delete(r.live, id)
		r.Try(c.Next("BYE", ""), 8*time.Second) // 200, or 481 where the first was answered by a switch that died
	}
}

func (r *robot) call(to string) {
	r.listen(0, "")
	r.leaveAll()
	q := r.New("INVITE", to)
	q.Body = r.sdp()
	m, ok := r.Try(q, 8*time.Second)
	if !ok || m.Status() != 401 {
		return
	}
	q = r.Sign(q, m)
	q.Branch = "z9hG4bK" + wire.Token()
	c := &wire.Call{Phone: r.Phone, From: q.From, To: q.To, ID: q.CallID, Seq: q.Seq, Invite: q, Peer: q.URI}
	r.book.mu.Lock()
	r.book.tried++
	r.book.mu.Unlock()
	r.open[c.ID] = c
	// Until anything is heard the INVITE is sent again, as every phone does; after a provisional it is not.
	heard := false
	for range 6 {
		r.Send(r.Text(q))
		if _, heard = r.Poll(500*time.Millisecond, func(m wire.Message) bool { return m.Branch() == q.Branch && m.Status() >= 100 && m.Status() < 200 }); heard {
			break
		}
		if r.listen(0, c.ID) {
			heard = true
			break
		}
	}
	if !heard || r.open[c.ID] != nil && !r.listen(3*time.Second, c.ID) {
		return
	}
	r.listen(time.Duration(r.dice.IntN(400))*time.Millisecond, "")
	r.leaveAll()
}

// listen takes what comes for a while: answers to INVITEs, the same again, BYEs, and questions whether a call still lives. It is true when
// the INVITE of that Call-ID was answered finally.
func (r *robot) listen(limit time.Duration, id string) bool {
	for end := time.Now().Add(limit); ; {
		m, ok := r.Poll(max(time.Until(end), 0), func(m wire.Message) bool {
			_, method := m.CSeq()
			return m.Method() == "BYE" || m.Method() == "OPTIONS" || method == "INVITE" && m.Status() >= 200
		})
		if !ok {
			return false
		}
		if m.Method() != "" {
			r.inside(m)
			continue
		}
		if r.final(m) && m.Get("call-id") == id {
			return true
		}
	}
}

// inside answers a BYE or OPTIONS as the dialog demands.
func (r *robot) inside(m wire.Message) {
	status := 200
	if r.live[m.Get("call-id")] == nil {
		status = 481
	}
	if m.Method() == "BYE" {
		delete(r.live, m.Get("call-id"))
	}
	r.Reply(m, status, wire.Reply{})
}

// final takes a final response to an INVITE; it is false for one that came before.
func (r *robot) final(m wire.Message) bool {
	c := r.open[m.Get("call-id")]
	if c == nil {
		seq, _ := m.CSeq()
		if m.Status() < 300 { // the same again
			r.Send(r.Text(wire.Request{
				Method: "ACK", URI: wire.Target(m.Get("contact")), From: m.Get("from"), To: m.Get("to"), CallID: m.Get("call-id"), Seq: seq,
			}))
		}
		return false
	}
	delete(r.open, c.ID)
	if m.Status() >= 300 {
		c.Acknowledge(m)
		return true
	}
	r.book.answer(c.ID)
	r.live[c.ID] = c
	c.AckTo(m)
	return true
}

// answers takes every call, and hangs some of them up.
func (r *robot) answers() {
	type due struct {
		at   time.Time
		call *wire.Call
	}
	var byes []due
	for !r.over() {
		m, ok := r.Poll(20*time.Millisecond, func(m wire.Message) bool { return m.Method() != "" })
		if ok && m.Method() == "INVITE" {
			tag := wire.Token()
			r.Reply(m, 200, wire.Reply{Tag: tag, Contact: r.Contact(), Body: r.sdp()})
			c := &wire.Call{Phone: r.Phone, From: m.Get("to") + ";tag=" + tag, To: m.Get("from"), ID: m.Get("call-id"), Peer: wire.Target(m.Get("contact")), Seq: 1}
			r.live[c.ID] = c
			if r.dice.IntN(3) == 0 {
				byes = append(byes, due{time.Now().Add(time.Duration(r.dice.IntN(300)) * time.Millisecond), c})
			}
		} else if ok && (m.Method() == "BYE" || m.Method() == "OPTIONS") {
			r.inside(m)
		}
		if len(byes) > 0 && time.Now().After(byes[0].at) {
			delete(r.live, byes[0].call.ID)
			r.Send(r.Text(byes[0].call.Next("BYE", "")))
			byes = byes[1:]
		}
	}
}

// Phones call each other while the switch is killed at random moments. Every call that a caller knows to be answered has exactly one
// record that says so, and no other record does.
func TestSoakLedgerUnderKills(t *testing.T) {
	kills := 40
	if os.Getenv("TANDEM_SOAK") != "" {
		kills = 500
	}
	if v := os.Getenv("TANDEM_KILLS"); v != "" {
		kills, _ = strconv.Atoi(v)
	}
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("TANDEM_SEED"); v != "" {
		seed, _ = strconv.ParseUint(v, 10, 64)
	}
	t.Logf("%d kills with TANDEM_SEED=%d", kills, seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	o := open(t)
	b := &book{answered: map[string]bool{}}
	stop, deaf := make(chan struct{}), make(chan struct{})
	var callers, callees sync.WaitGroup
	var gone []*robot
	for i := range 4 {
		caller, callee := strconv.Itoa(1001+i), strconv.Itoa(1005+i)
		machine := func(user string, stop chan struct{}, stream int) *robot {
			p := o.phone("UDP", user)
			p.Pong = false
			return &robot{p, b, rand.New(rand.NewPCG(seed, uint64(stream))), map[string]*wire.Call{}, map[string]*wire.Call{}, stop}
		}
		a, c := machine(caller, stop, i), machine(callee, deaf, 100+i)
		callers.Go(func() { a.calls(callee) })
		callees.Go(c.answers)
		gone = append(gone, a)
	}
	for n := range kills {
		<-time.After(time.Duration(50+dice.IntN(450)) * time.Millisecond)
		if n%4 == 3 {
			o.Leave()
		} else {
			o.Kill()
		}
		o.Again()
	}
	close(stop)
	callers.Wait()
	for _, a := range gone { // they still say of calls that they gave up that they know nothing of them
		callees.Go(func() {
			for a.stop = deaf; !a.over(); {
				a.listen(50*time.Millisecond, "")
			}
		})
	}
	if n := o.Metrics()["tandem_calls"]; n > 0 { // those that a dead switch left halfway are found by their silence
		out, _ := exec.Command(binary.Path(t), "calls", "--json", "--config", o.Dir).CombinedOutput()
		t.Logf("%v calls are left when the callers have gone: %s", n, out)
	}
	o.Idle(80 * time.Second)
	close(deaf)
	callees.Wait()
	o.Stop() // all that is known is in the file then
	compare(t, b, o.Switch)
}

// compare holds the callers' book against the records.
func compare(t *testing.T, b *book, s *binary.Switch) {
	t.Helper()
	records := map[string]int{}
	answered, orphans := 0, 0
	for _, r := range s.Records() {
		if r["answered"] == nil {
			continue
		}
		answered++
		if r["ended_by"] == "failover-orphan" {
			orphans++
		}
		for _, l := range r["legs"].([]any) {
			if leg := l.(map[string]any); leg["leg"] == "a" {
				records[leg["call_id"].(string)]++
			}
		}
	}
	for id := range b.answered {
		if n := records[id]; n != 1 {
			t.Errorf("call %s was answered and has %d records", id, n)
		}
	}
	for id, n := range records {
		if !b.answered[id] {
			t.Errorf("call %s has %d records of an answer, and its caller knows of none", id, n)
		}
	}
	if len(b.answered) < 20 {
		t.Errorf("only %d calls were answered", len(b.answered))
	}
	t.Logf("%d INVITEs, %d answered, %d records of answered calls, %d of them orphans", b.tried, len(b.answered), answered, orphans)
}
