package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"tandem/cluster"
	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/siptest"
	"tandem/sip/transport"
)

// anybody may register.
type anybody struct{}

func (anybody) Credential(string) (digest.Credential, bool) { return digest.Credential{}, false }
func (anybody) MayRegister(string, string) bool             { return true }

// BenchmarkRegister is what it costs that registrations outlive the process: refreshes of 10,000 phones without a journal, and with one
// whose 200 is ready when the record is held.
func BenchmarkRegister(b *testing.B) {
	messages := make([]sip.Message, 10_000)
	for i := range messages {
		text := fmt.Sprintf("REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK%d;rport\r\nFrom: <sip:%d@example.com>;tag=x\r\n"+
			"To: <sip:%d@example.com>\r\nCall-ID: call-%d\r\nCSeq: 1 REGISTER\r\nContact: <sip:%d@192.0.2.1:5060>\r\nExpires: 3600\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
			i, i, i, i, i)
		if err := messages[i].Parse(text); err != nil {
			b.Fatal(err)
		}
		messages[i].Source = netip.MustParseAddrPort("192.0.2.1:5060")
	}
	for _, kept := range []bool{false, true} {
		b.Run(map[bool]string{false: "forgotten", true: "kept"}[kept], func(b *testing.B) { benchRegister(b, messages, kept) })
	}
}

func benchRegister(b *testing.B, messages []sip.Message, kept bool) {
	log := slog.New(slog.DiscardHandler)
	var journal registrar.Journal
	var held *bindingJournal
	if kept {
		engine, err := cluster.Open(context.Background(), cluster.Config{Node: "single", Dir: b.TempDir(), Buckets: buckets, SyncEvery: time.Second, AckWithin: time.Minute}, log)
		if err != nil {
			b.Fatal(err)
		}
		defer engine.Close()
		held = newBindingJournal(engine, log)
		journal = held
	}
	store := registrar.NewStore(journal)
	r := registrar.New(registrar.Config{Domains: []string{"example.com"}}, store, digest.New(digest.Config{Realm: "example.com"}), anybody{}, log)
	flow := siptest.NewDiscard(transport.UDP).Flow()
	room := make(chan struct{}, 512)
	var answers sync.WaitGroup
	buf := make([]byte, 0, 2048)
	now := time.Now()
	b.ResetTimer()
	for i := range b.N {
		m := &messages[i%len(messages)]
		out := r.AppendRegister(buf, now.Add(time.Duration(i)), flow, m, "x")
		if kept {
			room <- struct{}{}
			answers.Add(1)
			held.after(fmt.Sprint(i%len(messages)), func(bool) { <-room; answers.Done() })
		}
		_ = out
		if i%len(messages) == len(messages)-1 { // the next round is another CSeq
			b.StopTimer()
			store.Expire(now.Add(2 * time.Hour))
			b.StartTimer()
		}
	}
	answers.Wait()
}
