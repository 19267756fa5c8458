// Package registrar answers REGISTER and knows who is reachable where (RFC 3261 §10, RFC 3327, RFC 5626).
//
// A Registrar is called with each REGISTER by whoever receives messages, and appends the answer to a buffer.
// There is no transaction and no state for a request: the To-tag is a hash, so a retransmission gets the same
// answer. What is accepted goes into the Store, which is split into shards and can be asked from any goroutine.
// Run lets bindings expire and keeps the NAT mappings of phones open.
//
// An address of record is a local number, the user part of the To URI at one of our domains; all our domains
// are one. Requests to a phone go down the flow that it registered over (RFC 5626 §5.3), whatever its Contact
// says. The package does not route calls, and it makes no GRUUs.
package registrar
