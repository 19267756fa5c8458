package digest

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"tandem/sip"
)

func verdict(t *testing.T, a *Authority, now time.Time, m *sip.Message, want Verdict, repeated bool) {
	t.Helper()
	got := a.Verify(now, m, accounts)
	if got.Verdict != want || got.Repeated != repeated {
		t.Fatalf("%v repeated=%v (%s), want %v %v", got.Verdict, got.Repeated, got.Reason, want, repeated)
	}
}

func TestReplay(t *testing.T) {
	a := New(Config{Realm: testRealm})
	ans := newAnswer(nonceFor(t, a, testNow))
	first := request(t, 2, ans.line())
	verdict(t, a, testNow, first, OK, false)
	verdict(t, a, testNow, first, OK, true) // the 200 was lost: a retransmission, byte for byte
	verdict(t, a, testNow, request(t, 3, ans.line()), Stale, false)

	other := *first
	other.Source = netip.MustParseAddrPort("192.0.2.10:40000") // another port of the same host is not a retransmission
	verdict(t, a, testNow, &other, Stale, false)
	other.Source = netip.MustParseAddrPort("198.51.100.7:5060")
	verdict(t, a, testNow, &other, Stale, false)

	ans.nc = 2
	verdict(t, a, testNow, request(t, 4, ans.line()), OK, false)
	verdict(t, a, testNow, first, Stale, false) // no longer the last one
}

func TestRepeatIsForRegisterOnly(t *testing.T) {
	a := New(Config{Realm: testRealm})
	ans := newAnswer(nonceFor(t, a, testNow))
	ans.method = "MESSAGE"
	m := new(sip.Message)
	_ = m.Parse("MESSAGE sip:pbx.example.com SIP/2.0\r\nCSeq: 2 MESSAGE\r\n" + ans.line() + "\r\n\r\n")
	m.Source = testSource
	verdict(t, a, testNow, m, OK, false)
	verdict(t, a, testNow, m, Stale, false)
}

func TestCountsMayArriveOutOfOrder(t *testing.T) {
	a := New(Config{Realm: testRealm})
	ans := newAnswer(nonceFor(t, a, testNow))
	for i, c := range []struct {
		nc   uint32
		want Verdict
	}{{1, OK}, {4, OK}, {2, OK}, {3, OK}, {2, Stale}, {4, Stale}, {40, OK}, {9, OK}, {8, Stale}, {3, Stale}, {0xffffffff, OK}, {41, Stale}} {
		ans.nc = c.nc
		if got := a.Verify(testNow, request(t, 10+i, ans.line()), accounts); got.Verdict != c.want {
			t.Fatalf("step %d, nc %d: %v, want %v", i, c.nc, got.Verdict, c.want)
		}
	}
}

func TestNonceLifetime(t *testing.T) {
	a := New(Config{Realm: testRealm, Lifetime: time.Minute})
	n := nonceFor(t, a, testNow)
	for _, c := range []struct {
		age  time.Duration
		want Verdict
	}{{59 * time.Second, OK}, {61 * time.Second, Stale}, {time.Hour, Stale}, {-29 * time.Second, OK}, {-time.Minute, Stale}} {
		fresh := New(Config{Realm: testRealm, Lifetime: time.Minute, Key: a.cfg.Key})
		fresh.start, fresh.startMS = a.start, a.startMS
		if got := fresh.Verify(testNow.Add(c.age), request(t, 2, newAnswer(n).line()), accounts).Verdict; got != c.want {
			t.Errorf("age %v: %v, want %v", c.age, got, c.want)
		}
	}
}

// A used count must stay used for as long as its nonce could be taken, whenever the generations turn.
func TestCountsOutliveTheirNonce(t *testing.T) {
	a := New(Config{Realm: testRealm, Lifetime: time.Minute})
	var used []string
	for step := range 1000 {
		now := testNow.Add(time.Duration(step) * 3 * time.Second)
		n := nonceFor(t, a, now)
		verdict(t, a, now, request(t, 2, newAnswer(n).line()), OK, false)
		if used = append(used, n); len(used) > 20 {
			used = used[1:]
		}
		for _, n := range used {
			verdict(t, a, now, request(t, 3, newAnswer(n).line()), Stale, false)
		}
	}
	// One every 3 s, kept for two generations of 90 s each, and until its shard is next used (every 192 s on average).
	if n := a.NoncesInUse(); n < 20 || n > 300 {
		t.Fatalf("%d nonces in use", n)
	}
}

func TestNonceOfAnotherNode(t *testing.T) {
	key := []byte("the pair's")
	a, b := New(Config{Realm: testRealm, Key: key}), New(Config{Realm: testRealm, Key: key})
	verdict(t, b, testNow, request(t, 2, newAnswer(nonceFor(t, a, testNow)).line()), OK, false)
}

// A full table makes phones ask again; it never forgets what was used.
func TestFullCountsTableStaysSafe(t *testing.T) {
	a := New(Config{Realm: testRealm, Counts: 1})
	var used []*sip.Message
	accepted := 0
	for i := range 300 {
		now := testNow.Add(time.Duration(i) * 10 * time.Millisecond)
		m := request(t, 2+i, newAnswer(nonceFor(t, a, now)).line())
		if a.Verify(now, m, accounts).Verdict == OK {
			accepted++
			used = append(used, request(t, 1000+i, newAnswer(paramOf(t, m, fNonce)).line()))
		}
		for _, u := range used {
			if v := a.Verify(now, u, accounts).Verdict; v != Stale {
				t.Fatalf("request %d: a used nonce is %v", i, v)
			}
		}
	}
	if accepted < 100 {
		t.Fatalf("only %d of 300 got in", accepted)
	}
	if n := a.NoncesInUse(); n > 2*countShards {
		t.Fatalf("%d entries", n)
	}
}

func paramOf(t *testing.T, m *sip.Message, f field) string {
	t.Helper()
	var p params
	rest, _ := isDigest(m.Header(sip.HeaderAuthorization))
	if !p.parse(rest) {
		t.Fatal("no credentials")
	}
	return p.value[f]
}

func TestNoQopNonceIsGoodForOneRequest(t *testing.T) {
	a := New(Config{Realm: testRealm, NoQop: true})
	ans := newAnswer(nonceFor(t, a, testNow))
	ans.qop, ans.alg = "", MD5
	verdict(t, a, testNow, request(t, 2, ans.line()), OK, false)
	verdict(t, a, testNow, request(t, 3, ans.line()), Stale, false)
}

// A challenge keeps nothing: a million of them leave the heap as it was.
func TestChallengesAreStateless(t *testing.T) {
	a := New(Config{Realm: testRealm})
	m := request(t, 1)
	buf := make([]byte, 0, 1024)
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := heap()
	for range 1_000_000 {
		buf = a.AppendChallenge(buf[:0], sip.HeaderWWWAuthenticate, testNow, m, false)
	}
	if after := heap(); after > before+256<<10 {
		t.Fatalf("heap grew from %d to %d bytes", before, after)
	}
	if n := a.NoncesInUse(); n != 0 {
		t.Fatalf("%d nonces kept", n)
	}
}
