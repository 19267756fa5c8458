package digest

import (
	"testing"
	"time"

	"tandem/sip"
)

// prepared are requests with one nonce and rising counts.
func prepared(tb testing.TB, a *Authority, alg Algorithm, n int) []*sip.Message {
	tb.Helper()
	ans := newAnswer(nonceFor(tb, a, testNow))
	ans.alg = alg
	out := make([]*sip.Message, n)
	for i := range out {
		ans.nc = uint32(i + 1)
		out[i] = request(tb, 2+i, ans.line())
	}
	return out
}

func benchmarkVerify(b *testing.B, alg Algorithm) {
	a := New(Config{Realm: testRealm})
	ms := prepared(b, a, alg, 4096)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(ms) { // the counts are used up
			b.StopTimer()
			a.counts = counts{limit: a.counts.limit, period: a.counts.period}
			b.StartTimer()
			i = 0
		}
		if a.Verify(testNow, ms[i], accounts).Verdict != OK {
			b.Fatal("not OK")
		}
		i++
	}
}

func BenchmarkVerifySHA256(b *testing.B) { benchmarkVerify(b, SHA256) }
func BenchmarkVerifyMD5(b *testing.B)    { benchmarkVerify(b, MD5) }

func BenchmarkVerifyStale(b *testing.B) {
	a := New(Config{Realm: testRealm})
	m := prepared(b, a, SHA256, 1)[0]
	b.ReportAllocs()
	for b.Loop() {
		a.Verify(testNow.Add(time.Hour), m, accounts)
	}
}

func BenchmarkChallenge(b *testing.B) {
	a := New(Config{Realm: testRealm})
	m := request(b, 1)
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = a.AppendChallenge(buf[:0], sip.HeaderWWWAuthenticate, testNow, m, false)
	}
}

// Neither asking nor checking costs garbage.
func TestAllocations(t *testing.T) {
	a := New(Config{Realm: testRealm})
	for _, alg := range []Algorithm{SHA256, MD5} {
		ms := prepared(t, a, alg, 1001)
		i := 0
		if n := testing.AllocsPerRun(1000, func() { a.Verify(testNow, ms[i], accounts); i++ }); n > 0 {
			t.Errorf("Verify with %v: %v allocations", alg, n)
		}
	}
	m, buf := request(t, 1), make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(1000, func() {
		buf = a.AppendChallenge(buf[:0], sip.HeaderWWWAuthenticate, testNow, m, false)
	}); n > 1 {
		t.Errorf("AppendChallenge: %v allocations", n)
	}
}
