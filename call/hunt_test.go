package call

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tandem/sip"
	"tandem/sip/digest"
	"tandem/sip/siptest"
	"tandem/sip/transport"
	"tandem/trunk"
)

// tradePlan is officePlan with two trunks, first and second, and numbers abroad over both.
var tradePlan = strings.Replace(officePlan, "{ max_calls = 2 }", "{\n  max_calls = 2\n  countries = [\"*\"]\n}", 1) + `
trunk "first" {}
trunk "second" {}
route "out" {
  to = "+..."
  dial {
    trunks  = [trunk.first, trunk.second]
    timeout = "20s"
  }
  failover { first_reply = "4s" }
}
route "once" {
  to = "+44..."
  dial { trunks = [trunk.first] }
}
route "in" {
  from = [trunk.first, trunk.second]
  to   = "+442079460018"
  dial {
    extension = extension["1002"]
    timeout   = "20s"
  }
}
emergency {
  numbers = ["999"]
  trunks  = [trunk.first]
}
`

const abroad = "+33140000001"

// wires is the office's network as trunks see it: names are addresses, and those in dead refuse connections.
type wires struct {
	o    *office
	dead map[string]bool
	size *int // of the last request that a flow was asked for
}

func (w wires) Resolve(_ context.Context, t transport.Target) ([]transport.Hop, error) {
	var hops []transport.Hop
	for host := range strings.SplitSeq(t.Host, ",") {
		hops = append(hops, transport.Hop{Proto: transport.UDP, Addr: netip.AddrPortFrom(netip.MustParseAddr(host), 5060)})
	}
	return hops, nil
}

func (w wires) Connect(_ context.Context, h transport.Hop, size int) (transport.Flow, error) {
	*w.size = size
	if w.dead[h.Addr.Addr().String()] {
		return transport.Flow{}, errors.New("connection refused")
	}
	return w.o.udp.Flow(h.Addr.String()), nil
}

// inTrade is inOffice with trunks: first at 192.0.2.71, second at 192.0.2.72. Both are asked before they change.
func inTrade(t *testing.T, test func(o *office, w wires), change ...func(first, second *trunk.Config)) {
	t.Helper()
	inOffice(t, func(o *office) {
		w := wires{o, map[string]bool{}, new(int)}
		first := trunk.Config{Name: "first", Proxies: []transport.Target{{Host: "192.0.2.71"}}, Domain: "carrier.test", CallerID: "+442079460000", Accept: trunk.Accept{On: true}}
		second := trunk.Config{Name: "second", Proxies: []transport.Target{{Host: "192.0.2.72"}}, CallerID: "+442079460000", Accept: trunk.Accept{On: true}}
		for _, c := range change {
			c(&first, &second)
		}
		set := trunk.New(trunk.Rooms{Network: w}, slog.New(slog.DiscardHandler))
		set.Update([]trunk.Config{first, second})
		o.board.trunks = set
		test(o, w)
		o.pass(40 * time.Second) // Timer B of what nobody answered
		for _, tr := range set.All() {
			if s := tr.Snapshot(time.Now()); s.ChannelsIn+s.ChannelsOut != 0 {
				t.Errorf("%d channels of %s are held", s.ChannelsIn+s.ChannelsOut, tr.Name())
			}
		}
	}, func(_ *Config, s *Settings) { s.Plan = planOf(t, tradePlan) }, func(_ *Config, s *Settings) {
		for _, x := range s.Plan.Extensions() {
			s.Credentials[x.Number] = digest.NewCredential(x.Number, realm, secretWord+x.Number)
		}
	})
}

// tries are the attempts of the only record: trunk and status, or trunk and reason.
func (o *office) tries() (out []string) {
	for _, a := range o.record().Attempts {
		if a.Contact == "" {
			out = append(out, a.Trunk+": "+a.Reason)
			continue
		}
		out = append(out, fmt.Sprintf("%s %d", a.Trunk, a.Status))
	}
	return out
}

func TestATrunkThatIsSilentHasFourSeconds(t *testing.T) {
	inTrade(t, func(o *office, _ wires) {
		alice := o.alice()
		silent := o.net.Peer(transport.UDP, "192.0.2.71:5060")
		second := o.phone(transport.UDP, "second", 72)
		a := alice.invites(abroad, "offer of alice")
		b := second.rung()
		o.at(4 * time.Second)
		equal(t, "INVITEs to the silent trunk", silent.Times(sip.INVITE), 0, 500*time.Millisecond, 1500*time.Millisecond, 3500*time.Millisecond)
		b.says(200, "answer of second")
		second.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.leaves(a, b)
		o.pass(40 * time.Second)
		equal(t, "tried", o.tries(), "first 408", "second 200")
	})
}

func TestAnAnswerThatComesTooLateIsEnded(t *testing.T) {
	inTrade(t, func(o *office, _ wires) {
		alice := o.alice()
		slow := o.net.Peer(transport.UDP, "192.0.2.71:5060")
		second := o.phone(transport.UDP, "second", 72)
		a := alice.invites(abroad, "offer of alice")
		late := slow.Next()
		b := second.rung()
		b.says(180, "")
		a.hears("180")
		slow.Answer(late, 200, "Contact: <sip:carrier@192.0.2.71>", "Content-Type: application/sdp")
		o.settle()
		if acks, byes := slow.Times(sip.ACK), slow.Times(sip.BYE); len(acks) != 1 || len(byes) != 1 {
			t.Errorf("%d ACKs and %d BYEs, want one of each", len(acks), len(byes))
		}
		for _, r := range slow.All() {
			if r.Method() == sip.BYE {
				slow.Answer(r, 200)
			}
		}
		b.says(486, "")
		second.hears(sip.ACK)
		a.hears("486")
	})
}

func TestTheTargetsOfATrunkAreTriedFirst(t *testing.T) {
	inTrade(t, func(o *office, w wires) {
		w.dead["192.0.2.71"] = true
		alice, other, second := o.alice(), o.phone(transport.UDP, "other", 73), o.phone(transport.UDP, "second", 72)
		a := alice.invites(abroad, "offer of alice")
		b := other.rung()
		o.at(0)
		b.says(503, "")
		other.hears(sip.ACK)
		c := second.rung()
		c.says(404, "")
		second.hears(sip.ACK)
		a.hears("404")
		equal(t, "tried", o.tries(), "first 503", "first 503", "second 404")
	}, func(first, _ *trunk.Config) {
		first.Proxies = append(first.Proxies, transport.Target{Host: "192.0.2.73"})
	})
}

func TestATrunkThatIsDownIsTheLastResort(t *testing.T) {
	inTrade(t, func(o *office, _ wires) {
		alice, first, second := o.alice(), o.phone(transport.UDP, "first", 71), o.phone(transport.UDP, "second", 72)
		tr := o.board.trunks.Find("first")
		if _, _, err := tr.Hops(t.Context()); err != nil {
			t.Fatal(err)
		}
		tr.Failed(time.Now(), transport.Hop{Proto: transport.UDP, Addr: netip.MustParseAddrPort("192.0.2.71:5060")}, 0, "no reply")
		a := alice.invites(abroad, "offer of alice")
		b := second.rung()
		b.says(500, "")
		second.hears(sip.ACK)
		b = first.rung()
		o.at(0)
		b.says(486, "")
		first.hears(sip.ACK)
		a.hears("486")
		equal(t, "tried", o.tries(), "first: down: UDP 192.0.2.71:5060: no reply", "second 500", "first 486")
	})
}

func TestACallerWhoGivesUpGivesTheChannelBack(t *testing.T) {
	inTrade(t, func(o *office, _ wires) {
		alice, first := o.alice(), o.phone(transport.UDP, "first", 71)
		a := alice.invites(abroad, "offer of alice")
		b := first.rung()
		b.says(180, "")
		a.hears("180")
		a.cancels()
		alice.hears("200 CANCEL")
		a.hears("487")
		first.oks(sip.CANCEL)
		b.says(487, "")
		first.hears(sip.ACK)
	})
}

func TestNoAnswerIsNoFaultOfTheTrunk(t *testing.T) {
	inTrade(t, func(o *office, _ wires) {
		alice, first := o.alice(), o.phone(transport.UDP, "first", 71)
		o.phone(transport.UDP, "second", 72) // hears nothing
		a := alice.invites(abroad, "offer of alice")
		b := first.rung()
		b.says(180, "")
		a.hears("180")
		o.until(20 * time.Second)
		first.oks(sip.CANCEL)
		b.says(487, "")
		first.hears(sip.ACK)
		a.hears("480")
		equal(t, "tried", o.tries(), "first 408")
	})
}

func TestAnEmergencyCallPassesAFullTrunkAndAFullExtension(t *testing.T) {
	inTrade(t, func(o *office, _ wires) {
		alice, first := o.alice(), o.phone(transport.UDP, "first", 71)
		var held [2][2]*dialogue
		for i := range held { // max_calls of the class is 2, and the trunk has 2 channels
			a := alice.invites("+442079460099", "offer of alice")
			b := first.rung()
			b.says(200, "answer of first")
			first.hears(sip.ACK)
			a.hears("200")
			a.acks("")
			held[i] = [2]*dialogue{a, b}
		}
		a := alice.invites("+442079460099", "offer of alice")
		a.hears("403")
		a = alice.invites("999", "offer of alice")
		b := first.rung()
		if uri := b.invite.RequestURI(); uri != "sip:999@carrier.test" {
			t.Error("emergency goes to", uri)
		}
		b.says(486, "")
		first.hears(sip.ACK)
		a.hears("486")
		for _, h := range held {
			o.leaves(h[0], h[1])
		}
	}, func(first, _ *trunk.Config) { first.Channels.Both = 2 })
}

// TestACarrierIsAnsweredInEveryRequest: INVITE, and the BYE with a nonce that has become stale.
func TestACarrierIsAnsweredInEveryRequest(t *testing.T) {
	inTrade(t, func(o *office, _ wires) {
		alice, first := o.alice(), o.phone(transport.UDP, "first", 71)
		first.challenges = true
		challenge := func(nonce, more string) string {
			return `Proxy-Authenticate: Digest realm="carrier.test", nonce="` + nonce + `", algorithm=SHA-256, qop="auth"` + more
		}
		a := alice.invites(abroad, "offer of alice")
		b := first.rung()
		b.says(407, "", challenge("n1", ""))
		first.hears(sip.ACK)
		b = first.rung()
		proof := b.invite.Header(sip.HeaderProxyAuthorization)
		if seq, _, _ := b.invite.CSeq(); seq != 2 || !strings.Contains(proof, `nonce="n1"`) || !strings.Contains(b.invite.Body(), "offer 1") {
			t.Error("second INVITE:", b.invite.Raw())
		}
		b.says(200, "answer of first")
		if ack := first.hears(sip.ACK); ack.Header(sip.HeaderProxyAuthorization) != proof {
			t.Error("the ACK has other credentials than its INVITE:", ack.Raw())
		}
		a.hears("200")
		a.acks("")
		o.settle()
		a.asks(sip.BYE, "")
		alice.hears("200 BYE")
		bye := first.hears(sip.BYE)
		if !strings.Contains(bye.Header(sip.HeaderProxyAuthorization), "nc=00000002") {
			t.Error("the BYE waits for a challenge:", bye.Raw())
		}
		first.replies(bye, 407, "", []string{challenge("n2", ", stale=true")}, "")
		bye = first.oks(sip.BYE)
		if h := bye.Header(sip.HeaderProxyAuthorization); !strings.Contains(h, `nonce="n2"`) || !strings.Contains(h, "nc=00000001") {
			t.Error("the BYE is not sent again with the new nonce:", h)
		}
	}, func(first, _ *trunk.Config) { first.Credential = digest.NewCredential("acct", "carrier.test", "pw") })
}

// TestACallFromACarrier: whom it is for, who calls, and who may speak in it.
func TestACallFromACarrier(t *testing.T) {
	inTrade(t, func(o *office, _ wires) {
		first, bob := o.phone(transport.UDP, "first", 71), o.bob()
		a := first.offers("+442079460018", "offer of first")
		b := bob.rung()
		if from := b.invite.Header(sip.HeaderFrom); !strings.HasPrefix(from, `"Al" <sip:+33140000001@example.com>;tag=`) {
			t.Error("From at the phone:", from)
		}
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.settle()
		o.hangsUp(a, b)
		r := o.record()
		if r.Trunk != "first" || r.Caller != abroad || r.Number != "+442079460018" || r.From != "" {
			t.Errorf("%+v", r)
		}
	})
}

// offers sends a carrier's INVITE: without credentials.
func (p *phone) offers(to, body string, lines ...string) *dialogue {
	p.o.Helper()
	p.o.calls++
	d := &dialogue{phone: p, cseq: 1, callID: fmt.Sprintf("carrier-%d", p.o.calls), target: "sip:" + to + "@192.0.2.9", local: `"Al" <sip:` + abroad + "@carrier.test>;tag=c1"}
	d.request = siptest.Request{
		Method: sip.INVITE, URI: d.target, CallID: d.callID, From: d.local, To: "<" + d.target + ">", Branch: sip.NewBranch(), Body: body,
		Lines: append([]string{p.contact()}, lines...),
	}
	p.Send(p.flow, d.request)
	return d
}
