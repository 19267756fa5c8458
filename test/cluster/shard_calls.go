package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// everyPair has a phone of each shard call one of each shard, its own among them; each side holds, and who was called hangs up.
func (s *Shards) everyPair(*testing.T) {
	var pairs [][2]*wire.Phone
	for i, from := range s.names {
		for j, to := range s.names {
			pairs = append(pairs, [2]*wire.Phone{s.phoneAt(from, fmt.Sprintf("1%d%d1", i, j)), s.phoneAt(to, fmt.Sprintf("1%d%d2", i, j))})
		}
	}
	s.registered = 2 * len(pairs)
	s.known(s.registered)
	for n, p := range pairs {
		c := s.connect(p[0], p[1], n)
		c.hold(c.a, c.b, c.am, c.bm)
		c.goesOn(5 * time.Second)
		c.hold(c.b, c.a, c.bm, c.am)
		c.goesOn(5 * time.Second)
		c.bye(c.b, c.a)
	}
}

// ringing has a phone of another shard rung: the caller gives up, and the one who is called refuses.
func (s *Shards) ringing(t *testing.T) {
	alice, bob := s.phoneAt("a", "1901"), s.phoneAt("c", "1902")
	s.registered += 2
	s.known(s.registered)
	var media *wire.Media
	s.inside("phones", func() { media = wire.NewMedia(t, phoneHost, "RING") })
	call := alice.Invite(bob.User, media.SDP())
	rung := bob.Rung()
	rung.Respond(180, "")
	call.Provisional(180)
	call.Cancel()
	cancel := bob.Request(5*time.Second, "CANCEL")
	bob.Reply(cancel, 200, wire.Reply{})
	rung.Respond(487, "")
	if m := call.Final(5 * time.Second); m.Status() != 487 {
		t.Errorf("cancelled: %s", m.Raw)
	}
	call = alice.Invite(bob.User, media.SDP())
	bob.Rung().Respond(486, "")
	if m := call.Final(5 * time.Second); m.Status() != 486 {
		t.Errorf("refused: %s", m.Raw)
	}
}

// message sends one to a phone of another shard.
func (s *Shards) message(t *testing.T) {
	alice, bob := s.phoneAt("b", "1903"), s.phoneAt("d", "1904")
	s.registered += 2
	s.known(s.registered)
	r := alice.New("MESSAGE", bob.User)
	r.Type, r.Body = "text/plain", "across"
	challenge := alice.Do(r)
	r = alice.Sign(r, challenge)
	alice.Send(alice.Text(r))
	m := bob.Request(5*time.Second, "MESSAGE")
	if m.Body != "across" {
		t.Errorf("heard %s", m.Raw)
	}
	bob.Reply(m, 200, wire.Reply{Tag: wire.Token()})
	alice.Await(5*time.Second, "200 to MESSAGE", func(m wire.Message) bool {
		_, method := m.CSeq()
		return m.Status() == 200 && method == "MESSAGE"
	})
}

// strangers use the way to a phone, which one that was called knows: nobody but a shard gets through.
func (s *Shards) strangers(t *testing.T) {
	alice, bob := s.phoneAt("a", "1905"), s.phoneAt("b", "1906")
	s.registered += 2
	s.known(s.registered)
	c := s.connect(alice, bob, 300)
	if len(c.b.Route) == 0 {
		t.Fatalf("no way back in\n%s", c.b.Asked.Raw)
	}
	var line *wire.Line
	s.inside("phones", func() { line = wire.UDP(t, phoneHost, 0, shardAddress["b"]+":5060") })
	mallory := wire.NewPhone(line, "1907", "wrong")
	way := c.b.Route
	forged := []string{strings.Replace(way[0], "sip:p.", "sip:p.A", 1)}
	for what, route := range map[string][]string{"the way of another": way, "a way made up": forged} {
		r := mallory.New("INVITE", bob.User)
		r.Extra, r.Body = route, c.am.SDP()
		if m := mallory.Do(r); m.Status() != 401 && m.Status() != 403 {
			t.Errorf("%s: INVITE got %s", what, m.Raw)
		}
		r = mallory.New("BYE", bob.User) // inside a dialog that does not exist, through b's shard to a's
		r.Extra, r.URI, r.To = route, "sip:"+shardAddress["a"]+":5060", r.To+";tag=none"
		if m := mallory.Do(r); m.Status() != 481 {
			t.Errorf("%s: BYE got %s", what, m.Raw)
		}
		r = mallory.New("OPTIONS", bob.User) // to somebody who is no shard
		r.Extra, r.URI, r.To = route, "sip:"+phoneHost+":9", r.To+";tag=none"
		if m := mallory.Do(r); m.Status() != 481 {
			t.Errorf("%s: OPTIONS to elsewhere got %s", what, m.Raw)
		}
	}
	if m, rang := bob.Poll(300*time.Millisecond, func(m wire.Message) bool { return m.Method() != "" }); rang {
		t.Errorf("the phone heard %s", m.Raw)
	}
	c.goesOn(5 * time.Second)
	c.bye(c.a, c.b)
}

// flows is one phone that has registered over two connections at two shards (RFC 5626).
type flows struct {
	s      *Shards
	user   string
	shards []string
	lines  []*wire.Phone
}

func (s *Shards) twoFlows(first, second, user string) *flows {
	s.t.Helper()
	f := &flows{s: s, user: user, shards: []string{first, second}}
	for i, shard := range f.shards {
		var line *wire.Line
		s.inside("phones", func() { line = wire.TCP(s.t, phoneHost, shardAddress[shard]+":5060") })
		p := wire.NewPhone(line, user, binary.Password)
		contact := fmt.Sprintf(`%s;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000000001950>";reg-id=%d`, p.Contact(), i+1)
		if m := p.Ask(p.Registration(contact, "Expires: 3600", "Supported: path, outbound")); m.Status() != 200 {
			s.t.Fatalf("REGISTER over flow %d: %s", i+1, m.Raw)
		}
		f.lines = append(f.lines, p)
	}
	s.registered += 2
	s.known(s.registered)
	return f
}

// rung has another phone call this one: its flow at one shard rings, and no other.
func (f *flows) rung(caller *wire.Phone, shard string) {
	t := f.s.t
	t.Helper()
	f.s.registered++
	var media, own *wire.Media
	f.s.inside("phones", func() {
		media, own = wire.NewMedia(t, phoneHost, "FLOW"), wire.NewMedia(t, phoneHost, "ANSW")
	})
	call := caller.Invite(f.user, media.SDP())
	on := f.lines[slices.Index(f.shards, shard)]
	m := on.Request(10*time.Second, "INVITE")
	on.Reply(m, 200, wire.Reply{Tag: wire.Token(), Contact: on.Contact(), Body: own.Answer(m.Body)})
	own.Start(t, m.Body)
	answer := call.Final(5 * time.Second)
	if answer.Status() != 200 {
		t.Fatalf("INVITE: %s", answer.Raw)
	}
	call.Ack()
	media.Start(t, answer.Body)
	f.s.eventually(5*time.Second, "media", func() bool { got, _ := own.Heard("FLOW"); return got > 10 })
	for i, p := range f.lines {
		if _, twice := p.Poll(100*time.Millisecond, func(m wire.Message) bool { return m.Method() == "INVITE" }); twice {
			t.Errorf("the flow at shard %s rang too", f.shards[i])
		}
	}
	caller.Send(caller.Text(call.Next("BYE", "")))
	on.Reply(on.Request(5*time.Second, "BYE"), 200, wire.Reply{})
	media.Stop()
	own.Stop()
}

// webSockets has phones called whose requests go through their connection: the route back has a part for each side.
func (s *Shards) webSockets(t *testing.T) {
	alice := s.phoneAt("b", "1908")
	var line, page *wire.Line
	s.inside("phones", func() {
		line, page = wire.WS(t, phoneHost, shardAddress["c"]+":5066", false), wire.WS(t, phoneHost, shardAddress["d"]+":5066", false)
	})
	bob, carol := wire.NewPhone(line, "1909", binary.Password), wire.NewPhone(page, "1910", binary.Password)
	carol.Page = true
	bob.Register()
	carol.Register()
	s.registered += 3
	s.known(s.registered)
	c := s.connect(alice, bob, 310)
	if len(c.b.Route) != 2 {
		t.Errorf("route set %q", c.b.Route)
	}
	c.hold(c.b, c.a, c.bm, c.am)
	c.goesOn(5 * time.Second)
	c.hold(c.a, c.b, c.am, c.bm)
	c.goesOn(5 * time.Second)
	c.bye(c.b, c.a)

	call := alice.Invite(carol.User, c.am.SDP())
	asked := carol.Rung()
	if !strings.Contains(asked.Asked.Body, "a=fingerprint:") || !strings.Contains(asked.Asked.Body, "a=ice-ufrag:") {
		t.Errorf("a page was offered\n%s", asked.Asked.Body)
	}
	asked.Respond(486, "")
	if m := call.Final(5 * time.Second); m.Status() != 486 {
		t.Errorf("refused: %s", m.Raw)
	}
	line.Close() // it is not registered any more, and everybody knows
	page.Close()
	s.registered -= 2
	s.known(s.registered)
}

// behindNAT has a phone called that knows itself under another address than it is seen at: its media is learnt from where it has
// registered, not from its shard.
func (s *Shards) behindNAT(t *testing.T) {
	const inside = "192.0.2.77"
	alice := s.phoneAt("a", "1911")
	var line *wire.Line
	s.inside("phones", func() { line = wire.UDP(t, phoneHost, 0, shardAddress["c"]+":5060") })
	bob := wire.NewPhone(line, "1912", binary.Password)
	if m := bob.Ask(bob.Registration("<sip:1912@"+inside+":5060>", "Expires: 3600")); m.Status() != 200 {
		t.Fatalf("REGISTER: %s", m.Raw)
	}
	s.registered += 2
	s.known(s.registered)
	var am, bm *wire.Media
	s.inside("phones", func() {
		am, bm = wire.NewMedia(t, phoneHost, "NEAR"), wire.NewMedia(t, phoneHost, "HOME")
	})
	call := alice.Invite(bob.User, am.SDP())
	at := s.rung(call, bob)
	at.Respond(200, strings.ReplaceAll(bm.Answer(at.Asked.Body), phoneHost, inside))
	bm.Start(t, at.Asked.Body)
	m := call.Final(5 * time.Second)
	if m.Status() != 200 {
		t.Fatalf("INVITE: %s", m.Raw)
	}
	call.Ack()
	at.Acked()
	am.Start(t, m.Body)
	c := &talk{p: s.Pair, a: call, b: at, am: am, bm: bm}
	c.goesOn(5 * time.Second)
	c.bye(c.b, c.a)
}
