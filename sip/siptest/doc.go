// Package siptest is an in-memory network for tests of the rooms above the transports: ports with latency,
// loss and duplication, connections that can break, and scripted peers that write down what they heard and
// when. It makes transport.Flows like real ones, one goroutine reads each port, and it starts nothing that
// outlives the test, so that it can be used inside a testing/synctest bubble, where the instants are exact:
//
//	synctest.Test(t, func(t *testing.T) {
//		net := siptest.NewNetwork(t, siptest.Options{})
//		bob := net.Peer(transport.UDP, "192.0.2.2:5060")
//		alice := net.Peer(transport.UDP, "192.0.2.1:5060")
//		bob.Script(func(r siptest.Received) {
//			if r.Method() == sip.OPTIONS {
//				bob.Answer(r, 200)
//			}
//		})
//		alice.Send(alice.Flow("192.0.2.2:5060"), siptest.Request{Method: sip.OPTIONS})
//		if r := alice.Next(); r.Status() != 200 || r.At != 0 {
//			t.Fatalf("%d at %v", r.Status(), r.At)
//		}
//	})
//
// The room under test takes a Port of its own: net.Listen(transport.UDP, "192.0.2.9:5060", table).
// Only tests import this package.
package siptest
