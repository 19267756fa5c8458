package transaction_test

import (
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"testing"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// answering is a user that answers everything at once and keeps nothing.
type answering struct {
	status int
	buf    []byte
}

func (a *answering) Stateless(transport.Flow, *sip.Message) bool { return false }
func (a *answering) Request(tx *transaction.Server, m *sip.Message) {
	a.buf = sip.AppendResponse(a.buf[:0], m, a.status, "", "tag-of-the-answer")
	if err := tx.Respond(a.buf); err != nil {
		panic(err)
	}
}
func (a *answering) Ack(transport.Flow, *sip.Message)                    {}
func (a *answering) Cancel(*transaction.Server, *sip.Message)            {}
func (a *answering) Stray(transport.Flow, *sip.Message)                  {}
func (a *answering) Closed(transport.Flow)                               {}
func (a *answering) Terminated(*transaction.Server, transaction.Failure) {}
func (a *answering) Response(*transaction.Client, *sip.Message)          {}
func (a *answering) Failed(*transaction.Client, transaction.Failure)     {}

// phoneRequest is of the size that a desk phone sends, 480 bytes without a body.
func phoneRequest(method string, i int) siptest.Request {
	return siptest.Request{
		Method: method, CallID: "3848276298220188511-" + strconv.Itoa(i) + "@phone.example.com", CSeq: 2,
		Branch: "z9hG4bK-524287-1---" + fmt.Sprintf("%016x", i), FromTag: "a73kszlfl",
		Lines: []string{
			"Contact: <sip:alice@192.0.2.2:5060;transport=udp>", "User-Agent: Deskphone 4000 / 12.3.4.5",
			"Allow: INVITE, ACK, CANCEL, BYE, REFER, NOTIFY, OPTIONS", "Accept: application/sdp",
		},
	}
}

// TestMemory bounds what a finished transaction costs until it is forgotten: 2 KB, everything counted that
// the heap holds for it. An INVITE comes with 1 KB of SDP.
func TestMemory(t *testing.T) {
	sdp := strings.Repeat("a=candidate:1 1 UDP 2130706431 192.0.2.2 40000 typ host\r\n", 18)
	cases := []struct {
		name   string
		n      int
		most   float64 // bytes each
		finish func(*transaction.Table, transport.Flow, int)
	}{
		{"non-invite server", 100_000, 1000, func(table *transaction.Table, f transport.Flow, i int) {
			table.Receive(f, parse(t, phoneRequest(sip.MESSAGE, i).Bytes(f)))
		}},
		{"non-invite client", 20_000, 600, func(table *transaction.Table, f transport.Flow, i int) {
			finishClient(t, table, f, phoneRequest(sip.MESSAGE, i), 200)
		}},
		{"invite server, refused and acknowledged", 20_000, 700, func(table *transaction.Table, f transport.Flow, i int) {
			r := phoneRequest(sip.INVITE, i)
			r.Body = sdp
			table.Receive(f, parse(t, r.Bytes(f)))
			r.Method, r.Body, r.ToTag = sip.ACK, "", "tag-of-the-answer"
			table.Receive(f, parse(t, r.Bytes(f)))
		}},
		{"invite client, refused", 20_000, 1000, func(table *transaction.Table, f transport.Flow, i int) {
			r := phoneRequest(sip.INVITE, i)
			r.Body = sdp
			finishClient(t, table, f, r, 486)
		}},
		{"invite client, accepted", 20_000, 1600, func(table *transaction.Table, f transport.Flow, i int) {
			r := phoneRequest(sip.INVITE, i)
			r.Body = sdp
			finishClient(t, table, f, r, 200)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			user := &answering{status: 404}
			table := transaction.New(transaction.Config{}, user, quiet())
			f := siptest.NewDiscard(transport.UDP).Flow()
			before := heap()
			for i := range c.n {
				c.finish(table, f, i)
			}
			each := float64(heap()-before) / float64(c.n)
			stats := table.Stats()
			if stats.Total() != c.n {
				t.Fatalf("%d live", stats.Total())
			}
			t.Logf("%.0f bytes each", each)
			if each > c.most {
				t.Errorf("%.0f bytes each, at most %.0f wanted", each, c.most)
			}
			runtime.KeepAlive(table)
		})
	}
}

func finishClient(t *testing.T, table *transaction.Table, f transport.Flow, r siptest.Request, status int) {
	t.Helper()
	raw := r.Bytes(f)
	if _, err := table.Send(f, raw, &answering{}); err != nil {
		t.Fatal(err)
	}
	table.Receive(f, parse(t, siptest.Response(parse(t, raw), status, "x")))
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestAllocations keeps a request with its answer to what lives on: the handle, the entry, the key, the
// response, and the user's own.
func TestAllocations(t *testing.T) {
	table := transaction.New(transaction.Config{Max: 1 << 20}, &answering{status: 200}, quiet())
	f := siptest.NewDiscard(transport.UDP).Flow()
	var requests []*sip.Message
	for i := range 2001 {
		requests = append(requests, parse(t, phoneRequest(sip.MESSAGE, i).Bytes(f)))
	}
	i := 0
	perRequest := testing.AllocsPerRun(2000, func() {
		table.Receive(f, requests[i])
		i++
	})
	again := testing.AllocsPerRun(100, func() { table.Receive(f, requests[0]) })
	t.Logf("%.0f allocations a request, %.0f when it is repeated", perRequest, again)
	if perRequest > 8 || again > 2 {
		t.Errorf("%.0f allocations a request, %.0f when it is repeated", perRequest, again)
	}
}

// BenchmarkServer is one non-INVITE request with its answer, from the indexed message to the wire.
func BenchmarkServer(b *testing.B) {
	for _, proto := range []transport.Proto{transport.UDP, transport.TCP} {
		b.Run(proto.String(), func(b *testing.B) {
			f := siptest.NewDiscard(proto).Flow()
			texts := make([]string, b.N)
			for i := range texts {
				texts[i] = string(phoneRequest(sip.MESSAGE, i).Bytes(f))
			}
			table := transaction.New(transaction.Config{Max: 1 << 30}, &answering{status: 200}, quiet())
			var m sip.Message
			b.ReportAllocs()
			b.ResetTimer()
			for _, text := range texts {
				if err := m.Parse(text); err != nil {
					b.Fatal(err)
				}
				m.Source = f.Remote()
				table.Receive(f, &m)
			}
		})
	}
}

// BenchmarkClient is one non-INVITE request of ours with its answer.
func BenchmarkClient(b *testing.B) {
	f := siptest.NewDiscard(transport.UDP).Flow()
	requests, responses := make([][]byte, b.N), make([]*sip.Message, b.N)
	for i := range requests {
		requests[i] = phoneRequest(sip.MESSAGE, i).Bytes(f)
		responses[i] = parse(b, siptest.Response(parse(b, requests[i]), 200, "x"))
	}
	sink := &answering{}
	table := transaction.New(transaction.Config{Max: 1 << 30}, sink, quiet())
	b.ReportAllocs()
	b.ResetTimer()
	for i := range requests {
		if _, err := table.Send(f, requests[i], sink); err != nil {
			b.Fatal(err)
		}
		table.Receive(f, responses[i])
	}
}

// BenchmarkMiss is a request that the user answers without a transaction: what the table adds to a REGISTER.
func BenchmarkMiss(b *testing.B) {
	f := siptest.NewDiscard(transport.UDP).Flow()
	table := transaction.New(transaction.Config{}, stateless{}, quiet())
	m := parse(b, phoneRequest(sip.REGISTER, 1).Bytes(f))
	b.ReportAllocs()
	for b.Loop() {
		table.Receive(f, m)
	}
}

type stateless struct{}

func (stateless) Stateless(transport.Flow, *sip.Message) bool         { return true }
func (stateless) Request(*transaction.Server, *sip.Message)           {}
func (stateless) Ack(transport.Flow, *sip.Message)                    {}
func (stateless) Cancel(*transaction.Server, *sip.Message)            {}
func (stateless) Stray(transport.Flow, *sip.Message)                  {}
func (stateless) Closed(transport.Flow)                               {}
func (stateless) Terminated(*transaction.Server, transaction.Failure) {}
