package proxy

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transaction"
	"tandem/sip/transport"
)

// counter is the user behind an edge: it refuses everything with 403 and counts.
type counter struct {
	forwarder
	requests, acks, cancels int
}

func (c *counter) Request(tx *transaction.Server, m *sip.Message) {
	c.requests++
	respond(tx, m, 403)
}
func (c *counter) Ack(transport.Flow, *sip.Message)         { c.acks++ }
func (c *counter) Cancel(*transaction.Server, *sip.Message) { c.cancels++ }

// onePhone has the Path "good" to a phone, and another node.
type onePhone struct {
	phone, node transport.Flow
	inside      netip.Addr
}

func (p *onePhone) Ours(user string) bool         { return user == "good" }
func (p *onePhone) Inside(source netip.Addr) bool { return source == p.inside }
func (p *onePhone) Phone(string) (Target, bool) {
	return Target{URI: "sip:phone@192.0.2.2", Flow: p.phone}, p.phone.Valid()
}
func (p *onePhone) Toward(u sip.URI) (transport.Flow, bool) { return p.node, u.Host == "192.0.2.1" }

// edgeScene is a node and a phone with an edge between them, and a stranger.
type edgeScene struct {
	node, phone, stranger     *siptest.Peer
	toEdge, fromPhone, strays transport.Flow
	paths                     *onePhone
	user                      *counter
	edge                      *Edge
}

func withEdge(t *testing.T, do func(t *testing.T, s *edgeScene)) {
	synctest.Test(t, func(t *testing.T) {
		net := siptest.NewNetwork(t, siptest.Options{})
		s := &edgeScene{paths: &onePhone{inside: netip.MustParseAddr("192.0.2.1")}, user: &counter{}}
		s.edge = NewEdge(s.user, s.paths)
		table := transaction.New(transaction.Config{}, s.edge, slog.New(slog.DiscardHandler))
		s.edge.Use(table)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = table.Run(ctx); close(done) }()
		defer func() { cancel(); <-done }()
		port := net.Listen(transport.UDP, "192.0.2.9:5060", table)
		s.paths.phone, s.paths.node = port.Flow("192.0.2.2:5060"), port.Flow("192.0.2.1:5060")
		s.node, s.phone, s.stranger = net.Peer(transport.UDP, "192.0.2.1:5060"), net.Peer(transport.UDP, "192.0.2.2:5060"), net.Peer(transport.UDP, "192.0.2.3:5060")
		s.toEdge, s.fromPhone, s.strays = s.node.Flow("192.0.2.9:5060"), s.phone.Flow("192.0.2.9:5060"), s.stranger.Flow("192.0.2.9:5060")
		do(t, s)
		time.Sleep(10 * time.Minute) // of the bubble's clock: every transaction has ended, Timer C too
		if left := table.Stats(); left.Total() != 0 || len(s.edge.open) != 0 {
			t.Errorf("%d transactions and %d invitations are left", left.Total(), len(s.edge.open))
		}
	})
}

func invite(lines ...string) siptest.Request {
	return siptest.Request{
		Method: sip.INVITE, URI: "sip:phone@10.0.0.7", Branch: sip.NewBranch(), Body: "v=0\r\n",
		Lines: append([]string{"Route: <sip:good@192.0.2.9;lr>", "Contact: <sip:192.0.2.1>"}, lines...),
	}
}

func TestEdgeLetsACallThrough(t *testing.T) {
	withEdge(t, func(t *testing.T, s *edgeScene) {
		s.node.Send(s.toEdge, invite("Authorization: kept"))
		rung := s.phone.Next()
		for _, want := range []string{"INVITE sip:phone@10.0.0.7 SIP/2.0\r\n", "Record-Route: <sip:good@192.0.2.9:5060;lr>\r\n", "Max-Forwards: 69\r\n", "Authorization: kept\r\n"} {
			if !strings.Contains(rung.Raw(), want) {
				t.Errorf("no %q in\n%s", want, rung.Raw())
			}
		}
		if strings.Contains(rung.Raw(), "\r\nRoute:") {
			t.Errorf("our own Route went on:\n%s", rung.Raw())
		}
		s.phone.Answer(rung, 180)
		if r := s.node.Next(); r.Status() != 180 {
			t.Fatalf("got %d", r.Status())
		}
		s.phone.Answer(rung, 200)
		s.phone.Answer(rung, 200) // said again, as until the ACK comes
		for range 2 {
			if r := s.node.Next(); r.Status() != 200 || len(r.Header(sip.HeaderVia)) == 0 {
				t.Fatalf("got %d", r.Status())
			}
		}
		s.node.Send(s.toEdge, siptest.Request{Method: sip.ACK, URI: "sip:phone@10.0.0.7", ToTag: "x", Lines: []string{"Route: <sip:good@192.0.2.9;lr>"}})
		if r := s.phone.Next(); r.Method() != sip.ACK || s.user.acks != 0 {
			t.Fatalf("got %s", r.Raw())
		}
		s.phone.Send(s.fromPhone, siptest.Request{Method: sip.BYE, URI: "sip:192.0.2.1", ToTag: "x", Lines: []string{"Route: <sip:good@192.0.2.9;lr>", "Route: <sip:good@192.0.2.9:5060;lr>", "Route: <sip:beyond;lr>"}})
		bye := s.node.Next()
		if bye.Method() != sip.BYE || bye.Header(sip.HeaderRoute) != "<sip:beyond;lr>" {
			t.Fatalf("got %s", bye.Raw())
		}
		s.node.Answer(bye, 200)
		if r := s.phone.Next(); r.Status() != 200 {
			t.Fatalf("got %d", r.Status())
		}
	})
}

func TestEdgeCancels(t *testing.T) {
	withEdge(t, func(t *testing.T, s *edgeScene) {
		r := invite()
		s.node.Send(s.toEdge, r)
		rung := s.phone.Next()
		s.phone.Answer(rung, 180)
		s.node.Next()
		r.Method, r.Body = sip.CANCEL, ""
		s.node.Send(s.toEdge, r)
		if got := s.node.Next(); got.Status() != 200 || got.CSeqMethod() != sip.CANCEL {
			t.Fatalf("got %s", got.Raw())
		}
		cancel := s.phone.Next()
		if cancel.Method() != sip.CANCEL || s.user.cancels != 0 {
			t.Fatalf("got %s", cancel.Raw())
		}
		s.phone.Answer(cancel, 200)
		s.phone.Answer(rung, 487)
		if got := s.node.Next(); got.Status() != 487 {
			t.Fatalf("got %d", got.Status())
		}
		r.Method = sip.ACK
		s.node.Send(s.toEdge, r)
	})
}

// The node that called has died while the phone rang: after Timer C nobody waits for an answer any more.
func TestEdgeEndsARingingNobodyWaitsFor(t *testing.T) {
	withEdge(t, func(t *testing.T, s *edgeScene) {
		s.node.Send(s.toEdge, invite())
		rung := s.phone.Next()
		s.phone.Answer(rung, 180)
		time.Sleep(5 * time.Minute) // of the bubble's clock
		all := s.phone.All()
		cancels := s.phone.Times(sip.CANCEL)
		if len(cancels) == 0 || cancels[0] < 3*time.Minute || cancels[0] > 4*time.Minute {
			t.Fatalf("cancelled at %v", cancels)
		}
		s.phone.Answer(all[len(all)-1], 200)
		s.phone.Answer(rung, 487)
	})
}

func TestEdgeWithoutAFlow(t *testing.T) {
	withEdge(t, func(t *testing.T, s *edgeScene) {
		s.paths.phone = transport.Flow{}
		s.node.Send(s.toEdge, invite())
		if r := s.node.Next(); r.Status() != 430 {
			t.Fatalf("INVITE: got %d, want 430 Flow Failed", r.Status())
		}
		s.node.Send(s.toEdge, siptest.Request{Method: sip.MESSAGE, CallID: "other", Lines: []string{"Route: <sip:good@192.0.2.9;lr>"}})
		if r := s.node.Next(); r.Status() != 430 {
			t.Fatalf("MESSAGE: got %d, want 430 Flow Failed", r.Status())
		}
	})
}

// What is not between a node and a phone is the user's, who asks for credentials.
func TestEdgeIsNoDoorForStrangers(t *testing.T) {
	for _, c := range []struct {
		name string
		r    siptest.Request
	}{
		{"a call by the way of another", invite()},
		{"a call by a way made up", siptest.Request{Method: sip.INVITE, Lines: []string{"Route: <sip:bad@192.0.2.9;lr>"}}},
		{"a call to a node", siptest.Request{Method: sip.INVITE, URI: "sip:192.0.2.1", Lines: []string{"Route: <sip:good@192.0.2.9;lr>"}}},
		{"inside a dialog, to somebody else", siptest.Request{Method: sip.INFO, URI: "sip:192.0.2.77", ToTag: "x", Lines: []string{"Route: <sip:good@192.0.2.9;lr>"}}},
		{"behind a Route that is not ours", siptest.Request{Method: sip.INFO, URI: "sip:192.0.2.1", ToTag: "x", Lines: []string{"Route: <sip:other@192.0.2.9;lr>, <sip:good@192.0.2.9;lr>"}}},
		{"without a Route", siptest.Request{Method: sip.INFO, URI: "sip:192.0.2.1", ToTag: "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			withEdge(t, func(t *testing.T, s *edgeScene) {
				s.stranger.Send(s.strays, c.r)
				if r := s.stranger.Next(); r.Status() != 403 || s.user.requests != 1 {
					t.Fatalf("got %d, and the user %d requests", r.Status(), s.user.requests)
				}
				s.phone.Quiet(time.Second)
				s.node.Quiet(time.Second)
			})
		})
	}
}

type twoPhones struct {
	*onePhone
	second Target
}

func (p twoPhones) Ours(user string) bool { return user == "good" || user == "second" }

func (p twoPhones) Phone(user string) (Target, bool) {
	if user == "second" {
		return p.second, true
	}
	return p.onePhone.Phone(user)
}

// Two phones of an extension get the same message: its copies are not taken for one that was forked on its way (RFC 3261 §8.2.2.2).
func TestEdgeLetsAMessageToTwoPhonesThrough(t *testing.T) {
	withEdge(t, func(t *testing.T, s *edgeScene) {
		s.edge.paths = twoPhones{s.paths, Target{URI: "sip:phone@192.0.2.3", Flow: s.paths.phone.To(s.strays.Local())}}
		copyTo := func(user string) {
			s.node.Send(s.toEdge, siptest.Request{Method: sip.MESSAGE, Branch: sip.NewBranch(), CallID: "one", Lines: []string{"Route: <sip:" + user + "@192.0.2.9;lr>"}})
		}
		copyTo("good")
		one := s.phone.Next()
		copyTo("second")
		two := s.stranger.Next()
		s.phone.Answer(one, 200)
		s.stranger.Answer(two, 200)
		for range 2 {
			if m := s.node.Next(); m.Status() != 200 {
				t.Errorf("answered %d", m.Status())
			}
		}
	})
}

// The process that let an INVITE through is gone when the phone answers: the next one gives the answer to whom the INVITE came from.
func TestEdgeGivesAnAnswerBackThatItDidNotAskFor(t *testing.T) {
	withEdge(t, func(t *testing.T, s *edgeScene) {
		s.node.Send(s.toEdge, invite())
		rung := s.phone.Next()
		s.phone.Answer(rung, 180)
		s.node.Next()
		var answer sip.Message
		if err := answer.Parse(string(siptest.Response(rung.Message, 200, "tag"))); err != nil {
			t.Fatal(err)
		}
		next := NewEdge(s.user, s.paths)
		next.Stray(s.paths.phone, &answer)
		m := s.node.Next()
		if via, err := m.TopVia(); m.Status() != 200 || err != nil || via.Host != "192.0.2.1" {
			t.Errorf("the node hears %s", m.Raw())
		}
		s.phone.Answer(rung, 486)
		s.phone.Next()
		s.node.Next()
	})
}
