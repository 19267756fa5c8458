package voicemail

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"tandem/registrar"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// lamp is a phone with one, and hears what is sent to it.
type lamp struct {
	away  bool
	heard []string
}

func (p *lamp) Lookup(string, time.Time) []registrar.Binding {
	if p.away {
		return nil
	}
	local, remote := netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort("192.0.2.7:5060")
	return []registrar.Binding{{AOR: "1001", Contact: "sip:1001@192.0.2.7", Flow: transport.NewFlow(link{}, local, remote)}}
}

func (p *lamp) Send(_ transport.Flow, raw []byte, _ transaction.Sink) (*transaction.Client, error) {
	_, told, _ := bytes.Cut(raw, []byte("Messages-Waiting: "))
	word, _, _ := bytes.Cut(told, []byte("\r\n"))
	p.heard = append(p.heard, string(word))
	return nil, nil
}

type link struct{}

func (link) Proto() transport.Proto                            { return transport.UDP }
func (link) ID() uint64                                        { return 1 }
func (link) Listener() string                                  { return "udp" }
func (link) SentBy(local netip.AddrPort) string                { return local.String() }
func (link) Alive() bool                                       { return true }
func (link) Send(netip.AddrPort, netip.AddrPort, []byte) error { return nil }
func (link) Names() []string                                   { return nil }

// A phone that is away when its last message is deleted hears so when it is back, once.
func TestLampOfAPhoneThatWasAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openStore(t, Config{Dir: t.TempDir()}), &lamp{}
		l := NewLamps(s, p, p, "x", quiet)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = l.Run(ctx) }()
		m := leave(t, s, "1001", "1002")
		synctest.Wait()
		p.away = true
		if err := s.Delete("1001", m.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.away = false
		for range 2 {
			l.Registered("1001")
			synctest.Wait()
		}
		if len(p.heard) != 2 || p.heard[0] != "yes" || p.heard[1] != "no" || !l.None() {
			t.Errorf("the phone heard %q", p.heard)
		}
	})
}
