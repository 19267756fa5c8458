package registrar

import (
	"fmt"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/transport"
)

// While phones are turned away, those that are here stay: a refresh over the same flow, a query, an end and a retransmission are answered,
// and who is new, or comes over another connection, is told to come later.
func TestTurnedAway(t *testing.T) {
	away := false
	r := newTestRegistrar(Config{TurnsAway: func(aor string) bool { return away && aor == "1001" }})
	here, elsewhere := newLink(transport.TLS), newLink(transport.TLS)
	now := start
	ask := func(user string, l *link, cseq int, lines ...string) *sip.Message {
		t.Helper()
		now = now.Add(time.Second)
		m := message(t, homeAddr, append(lines, fmt.Sprintf("CSeq: %d REGISTER", cseq), "Call-ID: c"+user,
			"From: <sip:"+user+"@example.com>;tag=f", "To: <sip:"+user+"@example.com>")...)
		return answered(t, r.Register(now, l.flow(homeAddr), m, user))
	}
	instance := `Contact: <sip:1001@192.0.2.100;transport=tls>;reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000000000001>"`
	if m := ask("1001", here, 1, instance); m.Status() != 200 {
		t.Fatal(m.Status())
	}
	away = true
	for _, x := range []struct {
		name, user string
		link       *link
		cseq       int
		lines      []string
		want       int
	}{
		{"over another connection", "1001", elsewhere, 2, []string{instance}, 503},
		{"another phone", "1001", here, 3, []string{"Contact: <sip:1001@192.0.2.101>"}, 503},
		{"one of two is new", "1001", here, 3, []string{instance, "Contact: <sip:1001@192.0.2.101>"}, 503},
		{"refresh", "1001", here, 3, []string{instance}, 200},
		{"the same again", "1001", elsewhere, 3, []string{instance}, 200},
		{"query", "1001", elsewhere, 4, nil, 200},
		{"whom it does not concern", "1002", elsewhere, 1, []string{"Contact: <sip:1002@192.0.2.102>"}, 200},
		{"end", "1001", elsewhere, 5, []string{"Contact: *", "Expires: 0"}, 200},
		{"and new again", "1001", here, 6, []string{instance}, 503},
	} {
		m := ask(x.user, x.link, x.cseq, x.lines...)
		after, told := m.Seconds(sip.HeaderRetryAfter)
		if m.Status() != x.want || told != (x.want == 503) || told && (after < turnedAwayFor || after > 2*turnedAwayFor) {
			t.Errorf("%s: %d, Retry-After %d %v", x.name, m.Status(), after, told)
		}
	}
	if s := r.Stats(); s.TurnedAway != 4 || s.Refused != 4 {
		t.Errorf("turned away %d, refused %d", s.TurnedAway, s.Refused)
	}
	away = false
	if m := ask("1001", elsewhere, 7, instance); m.Status() != 200 {
		t.Error("later:", m.Status())
	}
}
