package cluster

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/icholy/digest"

	"tandem/test/binary"
	"tandem/test/wire"
)

// crowdFirst is the first extension of a crowd.
const crowdFirst = 500_000

const crowdConfiguration = `
extensions { file = "crowd.csv" }
route "crowd" {
  from = [class.office]
  to   = "x{6}"
  dial {
    extension = call.to
    timeout   = "20s"
  }
}
`

// NewCrowdedPair is NewPair with so many extensions more, from crowdFirst on, and ports for the calls between them.
func NewCrowdedPair(t testing.TB, election time.Duration, extensions int) *Pair {
	t.Helper()
	var csv strings.Builder
	csv.WriteString("extension,name,password,class\n")
	for n := range extensions {
		hash := sha256.Sum256(fmt.Appendf(nil, "%d:%s:%s", crowdFirst+n, virtual, binary.Password))
		fmt.Fprintf(&csv, "%d,,sha256:%x,office\n", crowdFirst+n, hash)
	}
	text := strings.NewReplacer("ELECTION", election.String(), "20000-23999", "20000-59999").Replace(configuration) + crowdConfiguration
	p := newRig(t, hosts, text, func(p *Pair) {
		for name := range p.nodes {
			p.write(name, "crowd.csv", csv.String())
		}
	})
	p.eventually(120*time.Second, "pair whole", p.whole)
	return p
}

// crowdLines is how many sockets a crowd has: the contact of an extension is at the one of its number.
const crowdLines = 16

// crowd is many phones on few sockets. What they are asked while a call is up they answer, other INVITEs as answers says.
type crowd struct {
	p      *Pair
	lines  [crowdLines]*net.UDPConn
	to     *net.UDPAddr
	reader sync.WaitGroup

	mu      sync.Mutex
	nonce   *digest.Challenge
	count   int // of the nonce
	asked   map[string]*question
	answer  int               // status of the answer to an INVITE
	dialled []string          // who was, for each call
	arrived map[string]string // by Call-ID of the callee's leg: who was rung at the contact that is his
	astray  int               // INVITEs that came to another contact
}

// question is a request that waits for its final answer.
type question struct {
	make func(credentials func(method, uri, user string) string) string
	line *net.UDPConn
	text string
	sent time.Time
	done func(m wire.Message)
}

func (p *Pair) crowd() *crowd {
	p.t.Helper()
	c := &crowd{p: p, to: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(virtual + ":5060")), asked: map[string]*question{}, answer: 486, arrived: map[string]string{}}
	p.inside("phones", func() {
		for i := range c.lines {
			l, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(phoneHost)})
			if err != nil {
				p.t.Fatal(err)
			}
			_ = l.SetReadBuffer(4 << 20)
			c.lines[i] = l
		}
	})
	for i, l := range c.lines {
		c.reader.Go(func() { c.read(i, l) })
	}
	p.t.Cleanup(func() {
		for _, l := range c.lines {
			_ = l.Close()
		}
		c.reader.Wait()
	})
	return c
}

func (c *crowd) line(n int) *net.UDPConn { return c.lines[n%crowdLines] }

// contact is where an extension is.
func (c *crowd) contact(n int) string {
	return fmt.Sprintf("sip:%d@%s", crowdFirst+n, c.line(n).LocalAddr())
}

// read takes what comes to one socket until it is closed.
func (c *crowd) read(i int, l *net.UDPConn) {
	buf := make([]byte, 8192)
	for {
		n, err := l.Read(buf)
		if err != nil {
			return
		}
		m, ok := wire.Parse(string(buf[:n]))
		switch {
		case !ok || m.Method() == "ACK":
		case m.Method() == "":
			c.answered(l, m)
		default:
			c.inside(i, l, m)
		}
	}
}

// inside answers a request.
func (c *crowd) inside(i int, l *net.UDPConn, m wire.Message) {
	status, body := 200, ""
	if m.Method() == "INVITE" {
		uri, _, _ := strings.Cut(m.URI(), ";")
		user, _, _ := strings.Cut(strings.TrimPrefix(uri, "sip:"), "@")
		number, err := strconv.Atoi(user)
		c.mu.Lock()
		status = c.answer
		if err == nil && number >= crowdFirst && l == c.line(number-crowdFirst) && uri == c.contact(number-crowdFirst) {
			c.arrived[m.Get("call-id")] = user
		} else {
			c.astray++
		}
		c.mu.Unlock()
		if status == 200 {
			body = quiet(l)
		}
	}
	to := m.Get("to")
	if wire.Tag(to) == "" {
		to += fmt.Sprintf(";tag=t%d", i)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d Said\r\n", status)
	for _, v := range m.All("via") {
		fmt.Fprintf(&b, "Via: %s\r\n", v)
	}
	for _, v := range m.All("record-route") {
		fmt.Fprintf(&b, "Record-Route: %s\r\n", v)
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\n", m.Get("from"), to, m.Get("call-id"), m.Get("cseq"))
	if body != "" {
		fmt.Fprintf(&b, "Contact: <%s>\r\nContent-Type: application/sdp\r\n", m.URI())
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	_, _ = l.WriteToUDP([]byte(b.String()), c.to)
}

// reached are those who were dialled and those who were rung where they are, each as often and in order, and how many INVITEs came elsewhere.
func (c *crowd) reached() (dialled, rung []string, astray int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(slices.Values(c.dialled)), slices.Sorted(maps.Values(c.arrived)), c.astray
}

// quiet describes a stream that nobody sends and nobody misses.
func quiet(l *net.UDPConn) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=inactive\r\n", l.LocalAddr().(*net.UDPAddr).IP)
}

// answered takes the answer to a question of ours; a challenge that is not the last one is taken, and the question asked again.
func (c *crowd) answered(l *net.UDPConn, m wire.Message) {
	if m.Status() < 200 {
		return
	}
	if _, method := m.CSeq(); method == "INVITE" {
		c.acknowledge(l, m)
	}
	id := m.Get("call-id")
	c.mu.Lock()
	q := c.asked[id]
	switch {
	case q == nil || !strings.Contains(q.text, m.Branch()): // the same again
		q = nil
	case m.Status() == 401:
		if ch, err := digest.ParseChallenge(m.All("www-authenticate")[0]); err == nil && (c.nonce == nil || c.nonce.Nonce != ch.Nonce) {
			c.nonce, c.count = ch, 0
		}
		c.ask(q)
		q = nil
	default:
		delete(c.asked, id)
	}
	c.mu.Unlock()
	if q != nil {
		q.done(m)
	}
}

// acknowledge sends the ACK for a final answer: to the contact of a 200, on the transaction of any other.
func (c *crowd) acknowledge(l *net.UDPConn, m wire.Message) {
	uri, via := "sip:"+virtual, m.Get("via")
	if m.Status() == 200 {
		uri, via = wire.Target(m.Get("contact")), fmt.Sprintf("SIP/2.0/UDP %s;branch=z9hG4bK%s;rport", l.LocalAddr(), wire.Token())
	} else if _, user, ok := strings.Cut(m.Get("to"), "<"); ok {
		uri, _, _ = strings.Cut(user, ">")
	}
	seq, _ := m.CSeq()
	_, _ = l.WriteToUDP(fmt.Appendf(nil, "ACK %s SIP/2.0\r\nVia: %s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d ACK\r\nContent-Length: 0\r\n\r\n",
		uri, via, m.Get("from"), m.Get("to"), m.Get("call-id"), seq), c.to)
}

// ask asks, with credentials as soon as there has been a challenge. The caller holds c.
func (c *crowd) ask(q *question) {
	q.text = q.make(func(method, uri, user string) string {
		if c.nonce == nil {
			return ""
		}
		c.count++
		cred, err := digest.Digest(c.nonce, digest.Options{Method: method, URI: uri, Username: user, Password: binary.Password, Count: c.count})
		if err != nil {
			return ""
		}
		return "Authorization: " + cred.String() + "\r\n"
	})
	c.send(q)
}

// send sends what is asked, again if nobody answers.
func (c *crowd) send(q *question) {
	q.sent = time.Now()
	_, _ = q.line.WriteToUDP([]byte(q.text), c.to)
}

// each asks n questions, so many at a time, and repeats what stays unanswered for a second. It returns when all are answered.
func (c *crowd) each(n, window int, ask func(i int) (id string, q *question)) {
	c.p.t.Helper()
	done := make(chan struct{}, window)
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	limit := time.NewTimer(10 * time.Minute)
	defer limit.Stop()
	for sent, answered := 0, 0; answered < n; {
		for sent < n && sent-answered < window {
			id, q := ask(sent)
			then := q.done
			q.done = func(m wire.Message) {
				then(m)
				done <- struct{}{}
			}
			c.mu.Lock()
			c.asked[id] = q
			c.ask(q)
			c.mu.Unlock()
			sent++
		}
		select {
		case <-done:
			answered++
		case now := <-again.C:
			c.mu.Lock()
			for _, q := range c.asked {
				if now.Sub(q.sent) > time.Second {
					c.send(q)
				}
			}
			c.mu.Unlock()
		case <-limit.C:
			c.p.t.Fatalf("%d of %d were answered", answered, n)
		}
	}
}

// register registers n extensions.
func (c *crowd) register(n int) {
	c.p.t.Helper()
	began := time.Now()
	c.each(n, 64, func(i int) (string, *question) {
		user, uri, id, seq := fmt.Sprint(crowdFirst+i), "sip:"+virtual, fmt.Sprintf("reg-%d", i), 0
		return id, &question{line: c.line(i), make: func(credentials func(method, uri, user string) string) string {
			seq++
			return fmt.Sprintf("REGISTER %[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bK%[3]s-%[4]d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%[5]s@%[6]s>;tag=%[3]s\r\n"+
				"To: <sip:%[5]s@%[6]s>\r\nCall-ID: %[3]s\r\nCSeq: %[4]d REGISTER\r\nContact: <%[7]s>\r\nExpires: 3600\r\n%[8]sContent-Length: 0\r\n\r\n",
				uri, c.line(i).LocalAddr(), id, seq, user, virtual, c.contact(i), credentials("REGISTER", uri, user))
		}, done: func(m wire.Message) {
			if m.Status() != 200 {
				c.p.t.Errorf("REGISTER of %s: %s", user, m.Raw)
			}
		}}
	})
	took := time.Since(began)
	c.p.t.Logf("%d registrations in %v: %.0f a second", n, took.Round(time.Millisecond), float64(n)/took.Seconds())
}

// call has extension from call extension to, by their places in the crowd; done is told of the final answer.
func (c *crowd) call(from, to int, done func(m wire.Message)) (string, *question) {
	id, seq := wire.Token(), 0
	caller, callee := fmt.Sprint(crowdFirst+from), fmt.Sprint(crowdFirst+to)
	uri, line := "sip:"+callee+"@"+virtual, c.line(from)
	c.mu.Lock()
	c.dialled = append(c.dialled, callee)
	c.mu.Unlock()
	return id, &question{line: line, done: done, make: func(credentials func(method, uri, user string) string) string {
		authority := credentials("INVITE", uri, caller)
		seq++
		body := quiet(line)
		return fmt.Sprintf("INVITE %[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bK%[3]s-%[4]d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%[5]s@%[6]s>;tag=%[3]s\r\n"+
			"To: <%[1]s>\r\nCall-ID: %[3]s\r\nCSeq: %[4]d INVITE\r\nContact: <%[7]s>\r\n%[8]sContent-Type: application/sdp\r\nContent-Length: %[9]d\r\n\r\n%[10]s",
			uri, line.LocalAddr(), id, seq, caller, virtual, c.contact(from), authority, len(body), body)
	}}
}
