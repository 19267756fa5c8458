package digest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

var (
	attacker = netip.MustParseAddr("198.51.100.66")
	home     = netip.MustParseAddr("192.0.2.10")
)

// guesses counts how many of n attempts, evenly spread over d, are let through to be computed, all wrong.
func guesses(l *Limiter, src func(int) netip.Addr, user func(int) string, n int, d time.Duration) (through int) {
	for i := range n {
		now := l.start.Add(d * time.Duration(i) / time.Duration(n))
		if l.Wait(now, src(i), user(i)) == 0 {
			through++
			l.Failed(now, src(i), user(i))
		}
	}
	return through
}

func TestGuessingIsSlow(t *testing.T) {
	one := func(int) netip.Addr { return attacker }
	for _, c := range []struct {
		name string
		src  func(int) netip.Addr
		user func(int) string
		n    int
		d    time.Duration
		most int
	}{
		{"one source, one user, a minute", one, func(int) string { return "1001" }, 10_000, time.Minute, 12},
		{"one source, many users, a minute", one, func(i int) string { return fmt.Sprint(i) }, 10_000, time.Minute, 20},
		{"one source, many users, an hour", one, func(i int) string { return fmt.Sprint(i) }, 100_000, time.Hour, 90},
		{"one /64, an address each", func(i int) netip.Addr {
			b := netip.MustParseAddr("2001:db8:1:2::").As16()
			binary.BigEndian.PutUint64(b[8:], uint64(i))
			return netip.AddrFrom16(b)
		}, func(i int) string { return fmt.Sprint(i) }, 10_000, time.Minute, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := guesses(NewLimiter(Limits{}), c.src, c.user, c.n, c.d)
			if n > c.most || n < 5 {
				t.Fatalf("%d of %d attempts got through, want 5 to %d", n, c.n, c.most)
			}
		})
	}
}

func TestOwnerIsNotLockedOut(t *testing.T) {
	l := NewLimiter(Limits{})
	now := l.start.Add(time.Minute)
	guesses(l, func(int) netip.Addr { return attacker }, func(int) string { return "alice" }, 10_000, time.Minute)
	if w := l.Wait(now, attacker, "alice"); w == 0 {
		t.Fatal("the attacker does not wait")
	}
	if w := l.Wait(now, home, "alice"); w != 0 {
		t.Fatalf("the owner, elsewhere, waits %v", w)
	}
}

// A hostile device behind the office's NAT stops strangers there, but not the phones that are known.
func TestKnownPhonesOutliveTheBanOfTheirSource(t *testing.T) {
	l := NewLimiter(Limits{})
	l.Succeeded(l.start, home, "alice")
	guesses(l, func(int) netip.Addr { return home }, func(i int) string { return fmt.Sprint(i) }, 10_000, time.Minute)
	now := l.start.Add(time.Minute)
	if w := l.Wait(now, home, "carol"); w == 0 {
		t.Fatal("a stranger does not wait")
	}
	if w := l.Wait(now, home, "alice"); w != 0 {
		t.Fatalf("the known phone waits %v", w)
	}
	// Guesses at the known user are held to the budget of the pair.
	if n := guesses(l, func(int) netip.Addr { return home }, func(int) string { return "alice" }, 10_000, time.Minute); n > 12 {
		t.Fatalf("%d guesses at the known user", n)
	}
}

func TestFailuresAreForgiven(t *testing.T) {
	l := NewLimiter(Limits{})
	// A phone with an old password, once a minute for a day, never makes its source wait.
	for i := range 24 * 60 {
		now := l.start.Add(time.Duration(i) * time.Minute)
		if w := l.Wait(now, home, "carol"); w != 0 {
			t.Fatalf("minute %d: %v", i, w)
		}
		l.Failed(now, home, "carol")
	}
	l.Succeeded(l.start, home, "carol")
	for range 5 {
		l.Failed(l.start, attacker, "x")
	}
	l.Failed(l.start, attacker, "x")
	if w := l.Wait(l.start, attacker, "x"); w != time.Second {
		t.Fatalf("the sixth failure waits %v, want 1s", w)
	}
	if w := l.Wait(l.start.Add(time.Second), attacker, "x"); w != 0 {
		t.Fatalf("after it %v", w)
	}
}

func TestLimiterIsBounded(t *testing.T) {
	l := NewLimiter(Limits{Entries: 6400})
	for i := range 300_000 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(i))
		src := netip.AddrFrom4(b)
		l.Failed(l.start, src, "x")
		l.Succeeded(l.start, src, "y")
	}
	owing, proven := l.Size()
	if owing > 2*6400 || proven > 2*6400 {
		t.Fatalf("%d owing, %d proven", owing, proven)
	}
	for i := range 100_000 { // later failures clear what is paid
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(i))
		l.Failed(l.start.Add(time.Hour), netip.AddrFrom4(b), "z")
		if i%1000 == 0 {
			l.Failed(l.start.Add(2*time.Hour), netip.AddrFrom4(b), "z")
		}
	}
	if owing, _ := l.Size(); owing > 2*6400 {
		t.Fatalf("%d owing", owing)
	}
}

func TestSlowedBeforeAnythingIsComputed(t *testing.T) {
	a := New(Config{Realm: testRealm})
	computed := 0
	a.computed = func(Algorithm) { computed++ }
	wrong := newAnswer(nonceFor(t, a, testNow))
	wrong.cred.SHA256 = alice.MD5
	for i := range 100 {
		got := a.Verify(testNow, request(t, 2+i, wrong.line()), accounts)
		if want := i >= 6; (got.Verdict == Slowed) != want || want != (got.Wait > 0) {
			t.Fatalf("attempt %d: %v, wait %v", i, got.Verdict, got.Wait)
		}
	}
	if computed != 6 {
		t.Fatalf("%d computed", computed)
	}
	// The owner comes from elsewhere with her own nonce.
	m := request(t, 1)
	m.Source = netip.MustParseAddrPort("203.0.113.9:5060")
	var p params
	rest, _ := isDigest(a.Challenge(testNow, m, false)[0])
	p.parse(rest)
	right := request(t, 300, newAnswer(p.value[fNonce]).line())
	right.Source = m.Source
	if v := a.Verify(testNow, right, accounts).Verdict; v != OK {
		t.Fatalf("owner: %v", v)
	}
}

// Somebody who forges alice's address cannot make her wait: his nonce is not good from there, and what is not
// good is not counted.
func TestForgedSourceCollectsNoFailures(t *testing.T) {
	a := New(Config{Realm: testRealm})
	m := request(t, 1)
	m.Source = netip.AddrPortFrom(attacker, 5060)
	var p params
	rest, _ := isDigest(a.Challenge(testNow, m, false)[0])
	p.parse(rest)
	wrong := newAnswer(p.value[fNonce])
	wrong.cred.SHA256 = alice.MD5
	for i := range 50 {
		if v := a.Verify(testNow, request(t, 2+i, wrong.line()), accounts).Verdict; v != Stale { // sent as from testSource
			t.Fatalf("forged: %v", v)
		}
	}
	if owing, _ := a.limiter.Size(); owing != 0 {
		t.Fatalf("%d entries", owing)
	}
}

// Unknown users, refused algorithms and wrong passwords take the same steps.
func TestNobodyCostsAsMuchAsSomebody(t *testing.T) {
	work := func(edit func(*answer)) (got []Algorithm, owing int) {
		a := New(Config{Realm: testRealm})
		a.computed = func(alg Algorithm) { got = append(got, alg) }
		ans := newAnswer(nonceFor(t, a, testNow))
		edit(&ans)
		verdict(t, a, testNow, request(t, 2, ans.line()), Wrong, false)
		owing, _ = a.limiter.Size()
		return got, owing
	}
	for _, alg := range []Algorithm{SHA256, MD5} {
		known, owing := work(func(x *answer) { x.alg = alg; x.cred = NewCredential("alice", testRealm, "no") })
		for name, user := range map[string]string{"unknown user": "mallory", "may not use it or wrong": "bob"} {
			got, o := work(func(x *answer) { x.alg = alg; x.cred = NewCredential(user, testRealm, "no") })
			if len(got) != 1 || len(known) != 1 || got[0] != known[0] || o != owing {
				t.Errorf("%v, %s: computed %v and owes %d; a wrong password %v and %d", alg, name, got, o, known, owing)
			}
		}
	}
}
