// Package trunk is a carrier: where it is, whether it knows us, whether it is up, whether one more call may go, and
// whether a call that came is its own.
//
// What decides is plain values without clock, lock or socket: Registration (RFC 3261 §10, RFC 5626 §4.5), Targets
// (which hops answer), limits (channels and calls a second), meters (minutes of a day and a month), quality (how calls went
// lately). A Trunk joins them: one goroutine runs its registrations and probes, and the calls ask it through Admit, Hops,
// Match and Answer, which a lock makes safe for any goroutine. A Set holds all trunks of the configuration and their groups,
// and a reload leaves alone those that did not change.
//
// It never decides what a call does: which trunks are tried is the plan's word, carried out by the call room; only among
// trunks that the plan calls equal Choose says who is next, by weights or free channels. It answers
// no request, and gives no credentials to anybody but the configured peer in the configured realm.
package trunk
