package call

import (
	"context"
	"strings"
	"testing"
	"time"

	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/transport"
)

// A branch whose contact cannot even be sent to does not end the step while the others are being started.
// What is known of a phone behind a proxy is where it registered from: media comes from there, not from the proxy.
func TestMediaOfPhoneBehindProxy(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, edge := o.alice(), o.phone(transport.UDP, "edge", 7)
		home := o.udp.Flow("198.51.100.44:61000")
		o.locator.add("1002", registrar.Binding{AOR: "1002", Contact: "sip:bob@10.0.0.2", NAT: true, Flow: home, Path: []string{"<sip:192.0.2.7;lr>"}})
		o.router.reach = func(context.Context, sip.URI, int) (transport.Flow, error) {
			return o.udp.Flow(edge.Addr().String()), nil
		}
		a := alice.invites("1002", "offer of alice")
		b := edge.rung()
		if at := o.media.sessions[1].options; at.SignallingSource != home.Remote().Addr() || !at.NAT {
			o.Errorf("media is learnt from %v (%v)", at.SignallingSource, at.NAT)
		}
		b.says(486, "")
		edge.hears(sip.ACK)
		a.hears("486")
	})
}

func TestDeadContactAmongOthers(t *testing.T) {
	inOffice(t, func(o *office) {
		alice := o.alice()
		dead := o.phone(transport.TCP, "1002", 5)
		dead.register("")
		bob := o.bob()
		o.net.Break(dead.flow) // the registrar has not heard of it yet
		a := alice.invites("1002", "offer of alice")
		b := bob.rung()
		b.says(200, "answer of bob")
		bob.hears(sip.ACK)
		a.hears("200")
		a.acks("")
		o.hangsUp(a, b)
		if r := o.record(); len(r.Attempts) != 2 || r.Attempts[0].Status != 480 || r.Attempts[0].Reason != "unreachable" {
			o.Errorf("attempts %+v", r.Attempts)
		}
	})
}

// Contacts behind a Path, and INVITEs too long for UDP, go where the look-up says (RFC 3327, RFC 3261 §18.1.1).
func TestLookedUpFlows(t *testing.T) {
	t.Run("path", func(t *testing.T) {
		inOffice(t, func(o *office) {
			alice, edge := o.alice(), o.phone(transport.UDP, "edge", 7)
			o.locator.add("1002", registrar.Binding{AOR: "1002", Contact: "sip:bob@10.0.0.2", Path: []string{"<sip:192.0.2.7;lr>"}})
			o.router.reach = func(_ context.Context, uri sip.URI, _ int) (transport.Flow, error) {
				if uri.Host != "192.0.2.7" {
					o.Errorf("looks for %s", uri.Host)
				}
				return o.udp.Flow(edge.Addr().String()), nil
			}
			a := alice.invites("1002", "offer of alice")
			b := edge.rung()
			if b.invite.RequestURI() != "sip:bob@10.0.0.2" || b.invite.Header(sip.HeaderRoute) != "<sip:192.0.2.7;lr>" {
				o.Errorf("INVITE %s by %s", b.invite.RequestURI(), b.invite.Header(sip.HeaderRoute))
			}
			b.says(200, "answer of bob", "Record-Route: <sip:192.0.2.7;lr;id=1>")
			if ack := edge.hears(sip.ACK); ack.Header(sip.HeaderRoute) != "<sip:192.0.2.7;lr;id=1>" {
				o.Errorf("ACK by %q", ack.Header(sip.HeaderRoute))
			}
			a.hears("200")
			a.acks("")
			o.hangsUp(b, a)
		})
	})
	t.Run("no way", func(t *testing.T) {
		inOffice(t, func(o *office) {
			o.locator.add("1002", registrar.Binding{AOR: "1002", Contact: "sip:bob@10.0.0.2", Path: []string{"<sip:192.0.2.7;lr>"}})
			o.alice().invites("1002", "offer of alice").hears("480")
		})
	})
	t.Run("the look-up panics", func(t *testing.T) {
		inOffice(t, func(o *office) {
			o.panics = 1
			o.router.reach = func(context.Context, sip.URI, int) (transport.Flow, error) { panic("bug") }
			o.locator.add("1002", registrar.Binding{AOR: "1002", Contact: "sip:bob@10.0.0.2", Path: []string{"<sip:192.0.2.7;lr>"}})
			o.alice().invites("1002", "offer of alice").hears("480")
		})
	})
	t.Run("cancelled while it is looked up", func(t *testing.T) {
		inOffice(t, func(o *office) {
			o.hangingLookup()
			a := o.alice().invites("1002", "offer of alice")
			o.pass(time.Second)
			a.cancels()
			a.hears("200 CANCEL")
			a.hears("487")
			o.idle()
			if r := o.record(); r.Legs[1].Peer != "" {
				o.Errorf("peer of a leg that was never reached: %q", r.Legs[1].Peer)
			}
		})
	})
	t.Run("too long for UDP", func(t *testing.T) {
		for _, tcp := range []bool{true, false} {
			inOffice(t, func(o *office) {
				alice, bob, size := o.alice(), o.bob(), 0
				bobTCP := o.phone(transport.TCP, "1002", 2)
				o.router.reach = func(_ context.Context, uri sip.URI, n int) (transport.Flow, error) {
					size = n
					if !tcp {
						return transport.Flow{}, transport.ErrNoRoute
					}
					return o.tcp.Connect(uri.Host + ":5060")
				}
				a := alice.invites("1002", "offer of alice "+strings.Repeat("x", 800))
				phone := bobTCP
				if !tcp {
					phone = bob
				}
				b := phone.rung()
				if size < 1300 {
					o.Errorf("size %d", size)
				}
				b.says(486, "")
				phone.hears(sip.ACK)
				a.hears("486")
			})
		}
	})
}

// hangingLookup makes 1002 a phone whose edge is looked up until the look-up is given up.
func (o *office) hangingLookup() {
	o.router.reach = func(ctx context.Context, _ sip.URI, _ int) (transport.Flow, error) {
		<-ctx.Done()
		return transport.Flow{}, ctx.Err()
	}
	o.locator.add("1002", registrar.Binding{AOR: "1002", Contact: "sip:bob@10.0.0.2", Path: []string{"<sip:192.0.2.7;lr>"}})
}
