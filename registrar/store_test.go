package registrar

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tandem/sip/digest"
	"tandem/sip/transport"
)

func TestLookupOrder(t *testing.T) {
	r := newTestRegistrar(Config{})
	f := udpFlow(homeAddr)
	for i, c := range []string{"<sip:low@h>;q=0.1", "<sip:old@h>", "<sip:new@h>", "<sip:mid@h>;q=0.5", "<sip:short@h>;expires=60"} {
		m := message(t, homeAddr, fmt.Sprintf("CSeq: %d REGISTER", i+1), "Contact: "+c)
		r.Register(start.Add(time.Duration(i)*time.Second), f, m, "1001")
	}
	names := func(now time.Time) (all string) {
		for _, b := range r.Store().Lookup("1001", now) {
			all += b.Contact[4:strings.IndexByte(b.Contact, '@')] + " "
		}
		return all
	}
	if got := names(start.Add(10 * time.Second)); got != "short new old mid low " {
		t.Fatal(got)
	}
	if got := names(start.Add(100 * time.Second)); got != "new old mid low " { // expired, though not swept yet
		t.Fatal(got)
	}
	if got := r.Store().Lookup("1002", start); got != nil {
		t.Fatal(got)
	}
}

func TestClosedFlows(t *testing.T) {
	for _, c := range []struct {
		name    string
		proto   transport.Proto
		contact string
		kept    bool // without a flow
	}{
		{"TCP phone that listens", transport.TCP, "<sip:1001@192.0.2.100;transport=tcp>", true},
		{"TCP phone behind NAT", transport.TCP, "<sip:1001@10.0.0.1;transport=tcp>", false},
		{"TCP phone with outbound", transport.TCP, `<sip:1001@192.0.2.100;transport=tcp>;reg-id=1;+sip.instance="<urn:uuid:1>"`, false},
		{"TLS phone", transport.TLS, "<sip:1001@192.0.2.100;transport=tls>", false},
		{"browser", transport.WSS, "<sip:x@abc.invalid;transport=ws>", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newTestRegistrar(Config{})
			gone, other := newLink(c.proto), newLink(c.proto)
			r.Register(start, gone.flow(homeAddr), message(t, homeAddr, "Contact: "+c.contact, "Supported: outbound"), "1001")
			r.Register(start, other.flow(homeAddr), message(t, homeAddr, "To: <sip:1002@example.com>", "Contact: <sip:1002@192.0.2.100>"), "1002")
			gone.closed.Store(true)
			early := r.Store().Lookup("1001", start) // before the news arrive nobody is sent there either
			r.Closed(gone.flow(homeAddr))
			late := r.Store().Lookup("1001", start)
			for _, list := range [][]Binding{early, late} {
				if kept := len(list) == 1; kept != c.kept || kept && list[0].Flow.Valid() {
					t.Fatalf("early %+v\nlate %+v", early, late)
				}
			}
			if list := r.Store().Lookup("1002", start); len(list) != 1 || !list[0].Flow.Alive() {
				t.Fatalf("the other phone: %+v", list)
			}
			// It comes back over a new connection.
			back := newLink(c.proto)
			r.Register(start, back.flow(homeAddr), message(t, homeAddr, "Call-ID: c2", "Contact: "+c.contact, "Supported: outbound"), "1001")
			if list := r.Store().Lookup("1001", start); len(list) != 1 || list[0].Flow.ID() != back.ID() {
				t.Fatalf("back: %+v", list)
			}
		})
	}
}

// A connection that closes while its REGISTER is being worked on leaves nothing behind.
func TestClosedDuringRegister(t *testing.T) {
	r := newTestRegistrar(Config{})
	l := newLink(transport.WS)
	l.closed.Store(true)
	r.Closed(l.flow(homeAddr)) // the news came first
	r.Register(start, l.flow(homeAddr), message(t, homeAddr, "Contact: <sip:x@abc.invalid;transport=ws>"), "1001")
	if a, b := r.Store().Count(); a != 0 || b != 0 {
		t.Fatalf("%d AORs, %d bindings", a, b)
	}
}

// The index of flows must hold exactly what the bindings say, whatever happens.
func checkIndex(t *testing.T, s *Store) {
	t.Helper()
	bindings, aors := 0, 0
	for i := range s.shards {
		sh := &s.shards[i]
		want := map[uint64][]string{}
		for aor, list := range sh.aors {
			aors++
			bindings += len(list)
			for i := range list {
				if b := &list[i]; b.onConnection() && !slices.Contains(want[b.Flow.ID()], aor) {
					want[b.Flow.ID()] = append(want[b.Flow.ID()], aor)
				}
				if list[i].AOR != aor {
					t.Fatalf("%q holds a binding of %q", aor, list[i].AOR)
				}
			}
		}
		if len(want) != len(sh.flows) {
			t.Fatalf("shard %d: index %v, want %v", i, sh.flows, want)
		}
		for id, names := range want {
			got := slices.Clone(sh.flows[id])
			slices.Sort(got)
			slices.Sort(names)
			if !slices.Equal(got, names) {
				t.Fatalf("flow %d: index %v, want %v", id, got, names)
			}
		}
	}
	if a, b := s.Count(); a != aors || b != bindings {
		t.Fatalf("counted %d AORs and %d bindings, there are %d and %d", a, b, aors, bindings)
	}
}

func TestIndexUnderRandomChange(t *testing.T) {
	follower := NewStore(nil)
	j := &follow{to: follower}
	store := NewStore(j)
	r := New(Config{Domains: []string{"example.com"}}, store, digest.New(digest.Config{Realm: realm}), anyone{}, silent)
	rng := rand.New(rand.NewPCG(1, 2))
	var links []*link
	for range 12 {
		links = append(links, newLink([]transport.Proto{transport.UDP, transport.TCP, transport.WS}[rng.IntN(3)]))
	}
	j.links = &links
	now := start
	for i := range 5000 {
		now = now.Add(time.Duration(rng.IntN(3000)) * time.Millisecond)
		user := fmt.Sprint(1000 + rng.IntN(6))
		at := rng.IntN(len(links))
		f := links[at].flow(homeAddr)
		expires := []string{"0", "60", "120", "600"}[rng.IntN(4)]
		switch rng.IntN(12) {
		case 0:
			links[at].closed.Store(true)
			r.Closed(f)
			links[at] = newLink(links[at].proto)
		case 1:
			r.Register(now, f, message(t, homeAddr, "To: <sip:"+user+"@example.com>", fmt.Sprintf("CSeq: %d REGISTER", i+1), "Contact: *", "Expires: 0"), user)
		case 2:
			store.Expire(now)
		case 3:
			store.Drop(user)
		default:
			r.Register(now, f, message(t, homeAddr, "To: <sip:"+user+"@example.com>", fmt.Sprintf("CSeq: %d REGISTER", i+1),
				fmt.Sprintf("Contact: <sip:a@192.0.2.%d>;expires=%s, <sip:b@h%d>", 100+rng.IntN(2), expires, rng.IntN(4)),
				"Expires: "+expires), user)
		}
		checkIndex(t, store)
		checkIndex(t, follower)
	}
	if string(dump(t, store)) != string(dump(t, follower)) || len(dump(t, store)) < 100 {
		t.Fatalf("store\n%s\nfollower\n%s", dump(t, store), dump(t, follower))
	}
	// A standby that starts from a snapshot holds the same.
	fresh := NewStore(nil)
	for rec := range store.Snapshot() {
		text, err := json.Marshal(rec)
		var back Record
		if err == nil {
			err = json.Unmarshal(text, &back)
		}
		if err != nil {
			t.Fatal(err)
		}
		fresh.Apply(now, back, j.attach)
	}
	store.Expire(now)
	if string(dump(t, store)) != string(dump(t, fresh)) {
		t.Fatalf("store\n%s\nfrom snapshot\n%s", dump(t, store), dump(t, fresh))
	}
	store.Expire(now.Add(time.Hour))
	checkIndex(t, store)
	if a, _ := store.Count(); a != 0 {
		t.Fatalf("%d AORs an hour later", a)
	}
}

// follow is a Journal that a standby hangs on, with the changes sent as JSON.
type follow struct {
	to    *Store
	links *[]*link
}

func (j *follow) Put(rec Record)    { j.to.Apply(rec.Bindings[0].Registered, rec, j.attach) }
func (j *follow) Delete(aor string) { j.to.Apply(start, Record{AOR: aor}, j.attach) }

func (j *follow) attach(f FlowRecord) transport.Flow {
	for _, l := range *j.links {
		if l.proto == f.Proto {
			return transport.NewFlow(l, f.Local, f.Remote)
		}
	}
	return transport.Flow{}
}

// dump writes a Store as text, without what differs between nodes.
func dump(t *testing.T, s *Store) []byte {
	var all []Record
	for rec := range s.Snapshot() {
		rec.Written = time.Time{}
		for i := range rec.Bindings {
			rec.Bindings[i].Expires = rec.Bindings[i].Expires.Round(time.Millisecond)
			rec.Bindings[i].Registered = rec.Bindings[i].Registered.Round(time.Millisecond)
			if rec.Bindings[i].Flow != nil && rec.Bindings[i].Flow.Proto != transport.UDP {
				rec.Bindings[i].Flow = nil
			}
		}
		all = append(all, rec)
	}
	slices.SortFunc(all, func(a, b Record) int { return strings.Compare(a.AOR, b.AOR) })
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPages(t *testing.T) {
	r := newTestRegistrar(Config{})
	r.accounts = anyone{}
	f := udpFlow(homeAddr)
	for i := range 3000 {
		r.Register(start, f, message(t, homeAddr, fmt.Sprintf("To: <sip:%d@example.com>", i), "Contact: <sip:a@h>, <sip:b@h>"), "")
	}
	seen := map[string]int{}
	var at Cursor
	for pages := 0; ; pages++ {
		page, next, done := r.Store().All(at, 100, start)
		if len(page) > 101 || !done && len(page) < 100 || pages > 100 {
			t.Fatalf("page %d of %d bindings", pages, len(page))
		}
		for _, b := range page {
			seen[b.AOR+b.Contact]++
		}
		if at = next; done {
			break
		}
	}
	if len(seen) != 6000 {
		t.Fatalf("%d bindings seen", len(seen))
	}
	for k, n := range seen {
		if n != 1 {
			t.Fatalf("%s seen %d times", k, n)
		}
	}
}

// Every binding that needs it is pinged once an interval, evenly; all else is left alone; expired ones go.
func TestRun(t *testing.T) {
	for _, options := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newTestRegistrar(Config{Keepalive: Keepalive{Options: options}})
			r.accounts = anyone{}
			before := runtime.NumGoroutine()
			l, tcp := newLink(transport.UDP), newLink(transport.TCP)
			const n = 2000
			for i := range n {
				remote := netip.AddrPortFrom(homeAddr.Addr(), uint16(10000+i))
				r.Register(time.Now(), l.flow(remote), message(t, remote, fmt.Sprintf("To: <sip:%d@example.com>", i), "Contact: <sip:a@10.0.0.1>", "Expires: 300"), "")
			}
			r.Register(time.Now(), l.flow(homeAddr), message(t, homeAddr, "To: <sip:plain@example.com>", "Contact: <sip:a@192.0.2.100>"), "")
			r.Register(time.Now(), tcp.flow(homeAddr), message(t, homeAddr, "To: <sip:tcp@example.com>", "Contact: <sip:a@10.0.0.1>"), "")
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error)
			go func() { ended <- r.Run(ctx) }()
			for second := 1; second <= 25; second++ {
				time.Sleep(time.Second)
				synctest.Wait()
				if got, fair := l.count(), n*second/25; got < fair-fair/4-80 || got > fair+fair/4+80 {
					t.Fatalf("%d pings after %d s, %d would be even", got, second, fair)
				}
			}
			time.Sleep(time.Second / 5)
			synctest.Wait()
			to := map[string]int{}
			for _, s := range l.all()[:n] {
				remote, text, _ := strings.Cut(s, " ")
				to[remote]++
				if options != strings.HasPrefix(text, "OPTIONS sip:"+remote+" SIP/2.0\r\nVia: SIP/2.0/UDP pbx.example.net:5060;branch=z9hG4bK") ||
					!options && text != "\r\n\r\n" {
					t.Fatalf("ping %q", text)
				}
			}
			if len(to) != n || tcp.count() != 0 || to[homeAddr.String()] != 0 {
				t.Fatalf("%d of %d pinged, %d on TCP", len(to), n, tcp.count())
			}
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if a, _ := r.Store().Count(); a > 2 {
				t.Fatalf("%d AORs ten minutes later", a)
			}
			sent := l.count()
			time.Sleep(time.Minute)
			synctest.Wait()
			if l.count() != sent {
				t.Fatal("pings to bindings that expired")
			}
			cancel()
			if err := <-ended; err != context.Canceled {
				t.Fatal(err)
			}
			synctest.Wait()
			if after := runtime.NumGoroutine(); after > before {
				t.Fatalf("%d goroutines, before %d", after, before)
			}
		})
	}
}

func TestPingRateIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRegistrar(Config{Keepalive: Keepalive{Rate: 100}})
		r.accounts = anyone{}
		l := newLink(transport.UDP)
		for i := range 10_000 { // ten a step would be needed
			r.Register(time.Now(), l.flow(homeAddr), message(t, homeAddr, fmt.Sprintf("To: <sip:%d@example.com>", i), "Contact: <sip:a@10.0.0.1>"), "")
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if n := l.count(); n < 4000 || n > 6100 {
			t.Fatalf("%d pings in a minute at 100/s", n)
		}
		cancel()
		<-ended
	})
}

// A binding of an ordinary phone costs at most 2 KB, all indexes included.
func TestMemoryOfABinding(t *testing.T) {
	const n = 100_000
	r := newTestRegistrar(Config{})
	r.accounts = anyone{}
	tcp := newLink(transport.TCP)
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	register := func(round int) {
		buf := make([]byte, 0, 4096)
		for i := range n {
			remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 5060)
			l := tcp
			if i%2 == 0 {
				l = newLinkWith(transport.WSS, uint64(1_000_000+i))
			}
			m := parse(t, remote, fmt.Sprintf("REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/WSS h.invalid;branch=z9hG4bK1\r\nTo: <sip:%d@example.com>\r\n"+
				"From: <sip:%[1]d@example.com>;tag=1\r\nCSeq: %d REGISTER\r\nCall-ID: 7f8e9d0c-1234-5678-9abc-%012[1]d\r\nUser-Agent: Some Phone T46S 66.86.0.15\r\n"+
				"Supported: path, outbound\r\nContact: <sip:%[1]d@10.1.2.3:51234;transport=ws;ob>;reg-id=1;+sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-%012[1]d>\""+
				";methods=\"INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, MESSAGE, UPDATE\"\r\n\r\n", i, round))
			if buf = r.AppendRegister(buf[:0], start, l.flow(remote), m, ""); string(buf[:11]) != "SIP/2.0 200" {
				t.Fatalf("%s", buf)
			}
		}
	}
	before := heap()
	register(1)
	first := (heap() - before) / n
	register(2) // a refresh must not add to it
	second := (heap() - before) / n
	t.Logf("%d bytes a binding, %d after a refresh (the test's own links included)", first, second)
	if first > 2048 || second > 2048 {
		t.Fatalf("%d bytes a binding, %d after a refresh", first, second)
	}
	if _, b := r.Store().Count(); b != n {
		t.Fatalf("%d bindings", b)
	}
	r.Store().Expire(start.Add(24 * time.Hour))
	if rest := heap() - before; rest > 40<<20 { // Go maps keep their buckets
		t.Fatalf("%d bytes after all expired", rest)
	}
	runtime.KeepAlive(r)
}

func newLinkWith(p transport.Proto, id uint64) *link { return &link{proto: p, id: id} }

// Phones, closing connections, look-ups, sweeps and the console, all at once.
func TestConcurrent(t *testing.T) {
	r := newTestRegistrar(Config{})
	creds := map[string]digest.Credential{}
	for i := range 8 {
		u := fmt.Sprint(2000 + i)
		creds[u] = digest.NewCredential(u, realm, "secret-"+u)
	}
	r.accounts = cached{creds}
	r.credential = r.accounts.Credential
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			user := fmt.Sprint(2000 + i)
			for round := range 30 {
				l := newLink([]transport.Proto{transport.UDP, transport.WS}[round%2])
				p := newPhone(t, r, user, l.flow(homeAddr))
				if s := p.register(start.Add(time.Duration(round)*time.Second), "Contact: <sip:x@abc.invalid;transport=ws>").Status(); s != 200 {
					t.Errorf("status %d", s)
				}
				if l.proto == transport.WS {
					l.closed.Store(true)
					r.Closed(l.flow(homeAddr))
				}
			}
		})
		wg.Go(func() {
			for round := range 300 {
				now := start.Add(time.Duration(round) * 100 * time.Millisecond)
				for _, b := range r.Store().Lookup(fmt.Sprint(2000+i), now) {
					_ = b.RequestURI()
				}
				r.Store().All(Cursor{}, 10, now)
				r.Store().sweep(round%storeShards, now, nil, r.wantsPing)
				for range r.Store().Snapshot() {
				}
			}
		})
	}
	wg.Wait()
	checkIndex(t, r.Store())
}
