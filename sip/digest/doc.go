// Package digest is Digest access authentication for SIP (RFC 3261 §22, RFC 7616, RFC 8760), both sides of it.
//
// An Authority challenges and verifies. Its nonces are signed, so nothing is kept for a challenge that nobody
// answers; only a nonce with which somebody proved himself costs an entry, until it expires. It slows guessers
// down before it computes anything for them. A Session answers the challenges of the one peer and realm that it
// was configured for.
//
// The package has no goroutine, clock or socket: the time comes with each call. An Authority may be used from
// any goroutine, a Session from one. -sess algorithms are not spoken, and userhash is neither offered nor taken.
package digest
