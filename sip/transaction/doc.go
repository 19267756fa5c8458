// Package transaction is RFC 3261 §17 with RFC 6026: the four machines as plain values (Machine), and the
// sharded, bounded Table that runs them.
//
// A Table stands between the transports and the user (the calls, the registrar): it is the transports'
// Handler, absorbs retransmissions, answers merged requests and CANCELs, sends 100 Trying when the user is
// slow, retransmits over UDP and acknowledges refusals. It never decides anything about a call: it answers no
// INVITE that the user has not answered, not even a cancelled one, and it resolves no addresses.
//
// Nothing stands between the reading goroutine and the user but function calls, so the order on the wire is
// the order in the call. Callbacks come one at a time for each transaction, with no lock held, from a reading
// goroutine or from one of those that Run started, and must not block. A panic in one is logged and counted,
// and ends that message only.
package transaction
