package registrar

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/digest"
)

func TestReceiveChallengesThenBinds(t *testing.T) {
	r := newTestRegistrar(Config{})
	p := newPhone(t, r, "1001", udpFlow(homeAddr))
	for i := range 3 { // later ones reuse the nonce
		resp := p.register(start.Add(time.Duration(i)*time.Second), "Contact: <sip:1001@192.0.2.100>")
		if resp.Status() != 200 {
			t.Fatalf("%d %s", resp.Status(), resp.Reason())
		}
	}
	if s := r.Stats(); s.Received != 4 || s.Challenged != 1 || s.Accepted != 3 || s.Verdicts["ok"] != 3 || s.Verdicts["missing"] != 1 {
		t.Fatalf("%+v", s)
	}
	if a, b := r.Store().Count(); a != 1 || b != 1 {
		t.Fatalf("%d AORs, %d bindings", a, b)
	}
}

// A retransmission of any request gets the same answer, To-tag and all, and changes nothing.
func TestRetransmissions(t *testing.T) {
	r := newTestRegistrar(Config{})
	p := newPhone(t, r, "1001", udpFlow(homeAddr))
	bare := message(t, homeAddr, "Contact: <sip:1001@192.0.2.100>")
	one, two := answered(t, r.Receive(start, p.flow, bare)), answered(t, r.Receive(start, p.flow, bare))
	if one.Status() != 401 || one.ToTag() == "" || one.ToTag() != two.ToTag() {
		t.Fatalf("tags %q %q", one.ToTag(), two.ToTag())
	}
	first := p.register(start, "Contact: <sip:1001@192.0.2.100>", "Expires: 300")
	again := answered(t, r.Receive(start.Add(time.Second), p.flow, p.last))
	if again.Status() != 200 || again.ToTag() != first.ToTag() || contactsOf(again) != "<sip:1001@192.0.2.100>;expires=299" {
		t.Fatalf("%s\n%s", first.Raw(), again.Raw())
	}
	if r.Stats().Repeated != 1 {
		t.Fatalf("%+v", r.Stats())
	}
	other := message(t, homeAddr, "Via: SIP/2.0/UDP h;branch=z9hG4bKother")
	if tag := answered(t, r.Receive(start, p.flow, other)).ToTag(); tag == one.ToTag() {
		t.Fatal("another branch has the same tag")
	}
}

func TestTagIsSharedByKey(t *testing.T) {
	f, m := udpFlow(homeAddr), message(t, homeAddr)
	a, b, c := newTestRegistrar(Config{Key: []byte("k")}), newTestRegistrar(Config{Key: []byte("k")}), newTestRegistrar(Config{})
	x, y, z := answered(t, a.Receive(start, f, m)), answered(t, b.Receive(start, f, m)), answered(t, c.Receive(start, f, m))
	if x.ToTag() != y.ToTag() || x.ToTag() == z.ToTag() {
		t.Fatalf("%q %q %q", x.ToTag(), y.ToTag(), z.ToTag())
	}
}

// Attempts to get at alice's calls (1001) by what is known of them.
func TestHijack(t *testing.T) {
	evil := netip.MustParseAddrPort("198.51.100.66:5060")
	for _, c := range []struct {
		name   string
		status int
		attack func(r *Registrar, alice, mallory *phone) *sip.Message
	}{
		{"right password on another's number", 403, func(_ *Registrar, _, m *phone) *sip.Message {
			return m.register(start, "To: <sip:1001@example.com>", "Contact: <sip:m@198.51.100.66>")
		}},
		{"another's number, star", 403, func(_ *Registrar, _, m *phone) *sip.Message {
			return m.register(start, "To: <sip:1001@example.com>", "Contact: *", "Expires: 0")
		}},
		{"another's number, query", 403, func(_ *Registrar, _, m *phone) *sip.Message {
			return m.register(start, "To: <sip:1001@example.com>")
		}},
		{"number that does not exist", 403, func(_ *Registrar, _, m *phone) *sip.Message {
			return m.register(start, "To: <sip:9999@example.com>", "Contact: <sip:m@198.51.100.66>")
		}},
		{"another's number, escaped", 403, func(_ *Registrar, _, m *phone) *sip.Message {
			return m.register(start, "To: <sip:%31001@example.com>", "Contact: <sip:m@198.51.100.66>")
		}},
		{"From is one's own", 403, func(_ *Registrar, _, m *phone) *sip.Message {
			return m.register(start, "From: <sip:1002@example.com>;tag=x", "To: <sip:1001@example.com>", "Contact: <sip:m@198.51.100.66>")
		}},
		{"wrong password", 401, func(_ *Registrar, _, m *phone) *sip.Message {
			m.user, m.password = "1001", "guess"
			return m.register(start, "Contact: <sip:m@198.51.100.66>")
		}},
		{"no password", 401, func(_ *Registrar, _, m *phone) *sip.Message {
			m.user, m.password = "1001", ""
			return m.register(start, "Contact: <sip:m@198.51.100.66>")
		}},
		{"captured, from elsewhere", 401, func(r *Registrar, a, m *phone) *sip.Message {
			stolen := *a.last
			stolen.Source = evil
			return answered(t, r.Receive(start, m.flow, &stolen))
		}},
		{"captured, new branch", 401, func(r *Registrar, a, _ *phone) *sip.Message {
			text := strings.Replace(a.last.Raw(), "branch=z9hG4bKb", "branch=z9hG4bKc", 1)
			return answered(t, r.Receive(start, a.flow, parse(t, homeAddr, text)))
		}},
		{"captured, other Contact, source forged", 401, func(r *Registrar, a, _ *phone) *sip.Message {
			text := strings.Replace(a.last.Raw(), "<sip:1001@192.0.2.100>", "<sip:m@198.51.100.66>", 1)
			return answered(t, r.Receive(start, a.flow, parse(t, homeAddr, text)))
		}},
		{"captured, replayed after the nonce's life", 401, func(r *Registrar, a, _ *phone) *sip.Message {
			return answered(t, r.Receive(start.Add(time.Hour/2), a.flow, a.last))
		}},
		{"captured, byte for byte, source forged: only an answer to the owner", 200, func(r *Registrar, a, _ *phone) *sip.Message {
			return answered(t, r.Receive(start, a.flow, a.last))
		}},
		{"two credentials of one algorithm", 400, func(r *Registrar, a, _ *phone) *sip.Message {
			auth := "Authorization: " + a.last.Header(sip.HeaderAuthorization)
			return answered(t, r.Receive(start, a.flow, message(t, homeAddr, auth, auth, "Contact: <sip:m@198.51.100.66>")))
		}},
		{"answer to another URI's challenge", 400, func(r *Registrar, a, _ *phone) *sip.Message {
			auth := "Authorization: " + a.last.Header(sip.HeaderAuthorization)
			return answered(t, r.Receive(start, a.flow, message(t, homeAddr, "R-URI: sip:192.0.2.1", auth)))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newTestRegistrar(Config{MaxExpires: 2 * time.Hour})
			alice, mallory := newPhone(t, r, "1001", udpFlow(homeAddr)), newPhone(t, r, "1002", udpFlow(evil))
			if s := alice.register(start, "Contact: <sip:1001@192.0.2.100>", "Expires: 7200").Status(); s != 200 {
				t.Fatal(s)
			}
			before := r.Store().Lookup("1001", start)
			if got := c.attack(r, alice, mallory).Status(); got != c.status {
				t.Fatalf("%d, want %d", got, c.status)
			}
			after := r.Store().Lookup("1001", start)
			if len(after) != 1 || after[0].Contact != before[0].Contact || after[0].Expires != before[0].Expires || after[0].Flow != before[0].Flow {
				t.Fatalf("before %+v\nafter %+v", before, after)
			}
			if _, n := r.Store().Count(); n != 1 {
				t.Fatalf("%d bindings", n)
			}
		})
	}
}

// An old REGISTER replayed with its proof gone, and one with a lower CSeq but fresh proof, change nothing.
func TestOldRegister(t *testing.T) {
	r := newTestRegistrar(Config{})
	p := newPhone(t, r, "1001", udpFlow(homeAddr))
	p.register(start, "Contact: <sip:1001@192.0.2.100>")
	p.register(start.Add(time.Second), "Contact: <sip:1001@192.0.2.100>", "Expires: 1000")
	p.cseq -= 2
	if s := p.register(start.Add(2*time.Second), "Contact: <sip:1001@192.0.2.100>;expires=0").Status(); s != 500 {
		t.Fatal(s)
	}
	if list := r.Store().Lookup("1001", start.Add(3*time.Second)); len(list) != 1 || list[0].Expires != start.Add(1001*time.Second) {
		t.Fatalf("%+v", list)
	}
}

// masked takes out of an answer what differs from request to request: nonces and tags.
func masked(raw []byte) string {
	s := string(raw)
	for _, mark := range []string{"nonce=\"", ";tag="} {
		var out strings.Builder
		for {
			i := strings.Index(s, mark)
			if i < 0 {
				break
			}
			i += len(mark)
			out.WriteString(s[:i])
			s = s[i:]
			s = s[strings.IndexAny(s, "\"\r;>"):]
		}
		s = out.String() + s
	}
	return s
}

// From outside nobody can tell a number that exists from one that does not, however often they ask.
func TestUnknownUserLooksLikeWrongPassword(t *testing.T) {
	// Later than either registrar is made, whatever the machine does meanwhile: their clocks begin then.
	asked := start.Add(time.Hour)
	run := func(user string) (answers []string) {
		r := newTestRegistrar(Config{})
		f := udpFlow(homeAddr)
		cred := digest.NewCredential(user, realm, "wrong")
		var s digest.Session
		auth := "X: y"
		for i := range 40 {
			m := message(t, homeAddr, "To: <sip:0@example.com>", auth, "Contact: <sip:a@b>")
			raw := r.Receive(asked.Add(time.Duration(i)*50*time.Millisecond), f, m)
			answers = append(answers, masked(raw))
			if resp := answered(t, raw); i == 0 {
				_, v, err := s.Answer(resp, cred, sip.REGISTER, "sip:example.com", nil)
				if err != nil {
					t.Fatal(err)
				}
				auth = "Authorization: " + v
			}
		}
		return answers
	}
	known, unknown := run("1001"), run("4711")
	slowed := 0
	for i := range known {
		if known[i] != unknown[i] {
			t.Fatalf("answer %d:\n%s\n%s", i, known[i], unknown[i])
		}
		if strings.HasPrefix(known[i], "SIP/2.0 403") && strings.Contains(known[i], "Retry-After: ") {
			slowed++
		}
	}
	if slowed < 20 {
		t.Fatalf("only %d of 40 were slowed", slowed)
	}
}

func TestSlowedSourcesMayBeDropped(t *testing.T) {
	r := newTestRegistrar(Config{DropSlowed: true})
	p := newPhone(t, r, "1001", udpFlow(homeAddr))
	p.password = "wrong"
	p.register(start)
	for i := range 20 {
		raw := r.AppendReceive([]byte("kept"), start, p.flow, p.last)
		if dropped := string(raw) == "kept"; dropped != (i >= 5) {
			t.Fatalf("attempt %d: %q", i, raw)
		}
	}
}

func TestMD5OnlyPhone(t *testing.T) {
	r := newTestRegistrar(Config{})
	f := udpFlow(homeAddr)
	cred := digest.NewCredential("1001", realm, "secret-1001")
	cred.SHA256 = ""
	var s digest.Session
	_, v, err := s.Answer(answered(t, r.Receive(start, f, message(t, homeAddr))), cred, sip.REGISTER, "sip:example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := answered(t, r.Receive(start, f, message(t, homeAddr, "Authorization: "+v))).Status(); got != 200 {
		t.Fatal(got)
	}
}

// What an unauthenticated stranger gets back is not much more than what he sent: a forged source is no amplifier.
func TestNoAmplification(t *testing.T) {
	r := newTestRegistrar(Config{})
	m := message(t, homeAddr, "User-Agent: some phone 1.2.3", "Contact: <sip:1001@192.0.2.100:5060;transport=udp>", "Expires: 3600", "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, REFER")
	if in, out := len(m.Raw()), len(r.Receive(start, udpFlow(homeAddr), m)); out*2 > in*3 {
		t.Fatalf("%d bytes for %d", out, in)
	}
}

func TestAnswerIsAppended(t *testing.T) {
	r := newTestRegistrar(Config{MaxContacts: 1})
	out := r.AppendReceive([]byte("before"), start, udpFlow(homeAddr), message(t, homeAddr, "To: x"))
	if !bytes.HasPrefix(out, []byte("beforeSIP/2.0 400 ")) {
		t.Fatalf("%q", out)
	}
	// A refusal after the 200 was begun leaves nothing of it.
	out = r.AppendRegister([]byte("before"), start, udpFlow(homeAddr), message(t, homeAddr, "Contact: <sip:a@b>, <sip:c@d>"), "1001")
	if !bytes.HasPrefix(out, []byte("beforeSIP/2.0 403 ")) || bytes.Contains(out, []byte(" 200 ")) || bytes.Contains(out, []byte("Date:")) {
		t.Fatalf("%q", out)
	}
	if out := r.Register(start, udpFlow(homeAddr), message(t, homeAddr), "1002"); !bytes.HasPrefix(out, []byte("SIP/2.0 403 ")) {
		t.Fatalf("%q", out)
	}
}

// A reload's limits hold for the next REGISTER.
func TestUpdate(t *testing.T) {
	r := newTestRegistrar(Config{})
	p := newPhone(t, r, "1001", udpFlow(homeAddr))
	if resp := p.register(start, "Contact: <sip:1001@192.0.2.100>;expires=60"); resp.Status() != 200 {
		t.Fatalf("before: %d %s", resp.Status(), resp.Reason())
	}
	cfg := r.policy().Config
	cfg.MinExpires = 2 * time.Minute
	r.Update(cfg)
	resp := p.register(start.Add(time.Second), "Contact: <sip:1001@192.0.2.100>;expires=60")
	if resp.Status() != 423 || resp.Header(sip.HeaderMinExpires) != "120" {
		t.Fatalf("after: %d %s, Min-Expires %q", resp.Status(), resp.Reason(), resp.Header(sip.HeaderMinExpires))
	}
	if _, n := r.Store().Count(); n != 1 {
		t.Fatalf("%d bindings, want the one from before", n)
	}
}
