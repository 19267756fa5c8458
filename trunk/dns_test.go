package trunk

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tandem/sip/transport"
)

// zone is a name server of the test's own: it answers, says SERVFAIL, or says nothing.
type zone struct {
	records []string
	mood    atomic.Int32 // 0 answers, 1 SERVFAIL, 2 silence
	asked   atomic.Int32
}

func (z *zone) exchange(ctx context.Context, m *dns.Msg, _ string) (*dns.Msg, error) {
	z.asked.Add(1)
	reply := new(dns.Msg)
	reply.SetReply(m)
	switch z.mood.Load() {
	case 1:
		reply.Rcode = dns.RcodeServerFailure
		return reply, nil
	case 2:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, text := range z.records {
		rr, err := dns.NewRR(text)
		if err != nil {
			return nil, err
		}
		if strings.EqualFold(rr.Header().Name, m.Question[0].Name) && rr.Header().Rrtype == m.Question[0].Qtype {
			reply.Answer = append(reply.Answer, rr)
		}
	}
	return reply, nil
}

// resolving is a network that only looks up.
type resolving struct{ *transport.Resolver }

func (r resolving) Resolve(ctx context.Context, t transport.Target) ([]transport.Hop, error) {
	return r.ResolveHost(ctx, t)
}

func (resolving) Connect(context.Context, transport.Hop, int) (transport.Flow, error) {
	return transport.Flow{}, errors.New("nobody is there")
}

func TestCallsGoOnWhileTheNameServersAreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{records: []string{
			`carrier.example. 2 IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.carrier.example.`,
			`carrier.example. 2 IN NAPTR 10 20 "s" "SIP+D2T" "" _sip._tcp.carrier.example.`,
			`_sip._udp.carrier.example. 2 IN SRV 1 100 5060 one.carrier.example.`,
			`_sip._udp.carrier.example. 2 IN SRV 2 100 5070 two.carrier.example.`,
			`_sip._tcp.carrier.example. 2 IN SRV 1 100 5060 two.carrier.example.`,
			`one.carrier.example. 2 IN A 192.0.2.1`,
			`two.carrier.example. 2 IN A 192.0.2.2`,
		}}
		resolver := transport.NewResolver(transport.ResolverConfig{
			Servers: []string{"192.0.2.53:53"}, Hosts: "/nonexistent", ResolvConf: "/nonexistent", Exchange: z.exchange,
		})
		tr := newTrunk(Config{Name: "a", Proxies: []transport.Target{{Host: "carrier.example"}}}, Rooms{Network: resolving{resolver}}, slog.New(slog.DiscardHandler))
		const whole = "UDP 192.0.2.1:5060, UDP 192.0.2.2:5070, TCP 192.0.2.2:5060"
		hops := func() (string, time.Duration) {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			list, _, err := tr.Hops(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, h := range list {
				out = append(out, h.String())
			}
			return strings.Join(out, ", "), time.Since(began)
		}
		if got, _ := hops(); got != whole {
			t.Fatal(got)
		}
		for mood, name := range []string{"answers", "SERVFAIL", "silence"} {
			z.mood.Store(int32(mood))
			time.Sleep(time.Minute)
			before := z.asked.Load()
			got, took := hops()
			if got != whole || took > lookUpPatience {
				t.Errorf("%s: %s after %v", name, got, took)
			}
			if z.asked.Load() == before {
				t.Errorf("%s: nobody was asked", name)
			}
		}
		z.mood.Store(0)
		z.records[5] = `one.carrier.example. 2 IN A 192.0.2.7`
		time.Sleep(2 * time.Minute)
		if got, _ := hops(); !strings.HasPrefix(got, "UDP 192.0.2.7:5060") {
			t.Error("the name has moved, and calls go to", got)
		}
		// A dead target goes last, and is tried again when its rest is over.
		dead := transport.Hop{Proto: transport.UDP, Addr: netip.MustParseAddrPort("192.0.2.7:5060"), ServerName: "carrier.example"}
		tr.Failed(time.Now(), dead, 0, "no reply")
		if got, _ := hops(); !strings.HasSuffix(got, "UDP 192.0.2.7:5060") {
			t.Error("a dead target is not last:", got)
		}
		time.Sleep(firstRest)
		if got, _ := hops(); !strings.HasPrefix(got, "UDP 192.0.2.7:5060") {
			t.Error("a dead target stays last:", got)
		}
	})
}
