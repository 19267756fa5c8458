package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/console"
	"tandem/test/wire"
)

// What phones of a roll ask for: who refreshes asks for more than is kept of who moves, so that a refresh has to be kept too.
const (
	movedFor     = 10 * time.Minute
	refreshedFor = time.Hour
)

// roll is the callers' ledger of registrations: what the 200s have told each phone of a crowd. It is guarded as the crowd is.
type roll struct {
	c     *crowd
	dice  *rand.Rand
	seq   []int       // CSeq
	at    []int       // the number of the contact that was acknowledged; 0: none yet
	until []time.Time // and for how long at least
	moves bool        // everybody, in the next round
}

func newRoll(c *crowd, phones int, dice *rand.Rand) *roll {
	return &roll{c: c, dice: dice, seq: make([]int, phones), at: make([]int, phones), until: make([]time.Time, phones)}
}

// contact is the one of a number that a phone has; it moves from one to the next.
func (r *roll) contact(phone, number int) string {
	return fmt.Sprintf("sip:%d-%d@%s", crowdFirst+phone, number, r.c.line(phone).LocalAddr())
}

// register has a phone that is nowhere yet come, and any other move or stay as the dice say.
func (r *roll) register(phone int) (string, *question) {
	user, uri, id, line := fmt.Sprint(crowdFirst+phone), "sip:"+virtual, fmt.Sprintf("roll-%d", phone), r.c.line(phone)
	number, granted := r.at[phone], refreshedFor
	left := ""
	if number == 0 || r.moves || r.dice.IntN(2) == 0 {
		for n := number; n > max(0, number-2); n-- { // the one before too: that it was left may have been lost with a node that was alone
			left += fmt.Sprintf("Contact: <%s>;expires=0\r\n", r.contact(phone, n))
		}
		number, granted = number+1, movedFor
	}
	contacts := fmt.Sprintf("Contact: <%s>;expires=%.0f\r\n%s", r.contact(phone, number), granted.Seconds(), left)
	began := time.Now()
	return id, &question{line: line, make: func(credentials func(method, uri, user string) string) string {
		r.seq[phone]++
		return fmt.Sprintf("REGISTER %[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bK%[3]s-%[4]d;rport\r\nMax-Forwards: 70\r\n"+
			"From: <sip:%[5]s@%[6]s>;tag=%[3]s\r\nTo: <sip:%[5]s@%[6]s>\r\nCall-ID: %[3]s\r\nCSeq: %[4]d REGISTER\r\n%[7]s%[8]sContent-Length: 0\r\n\r\n",
			uri, line.LocalAddr(), id, r.seq[phone], user, virtual, contacts, credentials("REGISTER", uri, user))
	}, done: func(m wire.Message) {
		if m.Status() != 200 {
			r.c.p.t.Errorf("REGISTER of %s: %s", user, m.Raw)
			return
		}
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		r.at[phone], r.until[phone] = number, began.Add(granted)
	}}
}

// round has each phone register once, so many at a time; something happens before the one of a place asks. It returns when all are answered.
func (r *roll) round(window, place int, happens func()) {
	r.c.p.t.Helper()
	order := r.dice.Perm(len(r.at))
	r.c.each(len(order), window, func(i int) (string, *question) {
		if i == place {
			happens()
		}
		return r.register(order[i])
	})
}

// held compares what a node holds with what the phones were told: each is where it was acknowledged to be, nowhere else, and for as long.
func (r *roll) held(name string) {
	p := r.c.p
	p.t.Helper()
	list, err := console.Dial(filepath.Join(p.dir, name, "state", "admin.sock")).Registrations()
	if err != nil {
		p.t.Fatal(err)
	}
	expires := make(map[string]time.Time, len(list))
	for _, x := range list {
		expires[x.Contact] = x.Expires
	}
	var lost, short []string
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	for phone, number := range r.at {
		contact := r.contact(phone, number)
		until, there := expires[contact]
		switch {
		case !there:
			lost = append(lost, contact)
		case until.Before(r.until[phone].Add(-time.Second)): // it is told in whole seconds
			short = append(short, fmt.Sprintf("%s by %v", contact, r.until[phone].Sub(until)))
		}
		delete(expires, contact)
	}
	if len(lost)+len(short)+len(expires) > 0 {
		p.t.Errorf("T4: of %d phones that were told so %d are not registered at %s (%s), %d too short (%s), and %d are where they have left",
			len(r.at), len(lost), name, sample(lost), len(short), sample(short), len(expires))
	}
}

// sample is the first of some.
func sample(all []string) string { return strings.Join(all[:min(len(all), 5)], ", ") }

// behind is true while a node says that what it answers for is held by itself alone.
func (p *Pair) behind(name string) bool {
	out := p.nodes[name].out.String()
	return strings.LastIndex(out, "replication degraded") > strings.LastIndex(out, "replication restored")
}

// underKills has phones register all along while the serving node is killed, so often: whatever was acknowledged by it or by its successor is held
// by the successor.
func underKills(t *testing.T, election time.Duration, phones, window, kills int) {
	seed := uint64(number("TANDEM_SEED", int(time.Now().Unix())))
	t.Logf("%d phones and %d kills with TANDEM_SEED=%d", phones, kills, seed)
	dice := rand.New(rand.NewPCG(seed, 4))
	p := NewCrowdedPair(t, election, phones)
	r := newRoll(p.crowd(), phones, dice)
	r.round(window, -1, nil)
	r.held(p.serving())
	shown := 0
	for kill := range kills {
		p.eventually(90*time.Second, "whole again", p.whole)
		serves := p.serving()
		p.eventually(20*time.Second, "all that "+serves+" answers for held by two", func() bool { return !p.behind(serves) })
		began := time.Now()
		r.round(window, dice.IntN(phones*3/4), func() { p.signal(serves, syscall.SIGKILL) })
		took := time.Since(began)
		<-p.nodes[serves].done
		p.eventually(20*time.Second, "other node serves", func() bool { return p.has(other(serves), virtual) })
		t.Logf("kill %d: %d phones have registered within %v; %s", kill+1, phones, took.Round(time.Millisecond), p.tookOver(other(serves)))
		if p.behind(serves) { // for 50 ms, so its 200s promised nothing
			t.Logf("kill %d shows nothing: the store was late when %s died", kill+1, serves)
			r.moves = true
			r.round(window, -1, nil)
			r.moves = false
		} else {
			shown++
		}
		if r.held(other(serves)); t.Failed() {
			return
		}
		p.start(serves)
	}
	if t.Logf("T4: %d kills of %d have shown something", shown, kills); shown == 0 {
		t.Error("this has shown nothing")
	}
}

// T4: TANDEM_KILLS times (20) the serving node is killed while TANDEM_PHONES phones (5,000) come, move and refresh: nobody who was told that he is
// registered is forgotten, and nobody is where he has left.
func TestSoakT4RegistersUnderKills(t *testing.T) {
	if os.Getenv("TANDEM_SOAK") == "" {
		t.Skip("make soak runs it")
	}
	underKills(t, timers(), number("TANDEM_PHONES", 5000), 64, number("TANDEM_KILLS", 20))
}
