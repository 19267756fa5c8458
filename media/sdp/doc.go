// Package sdp reads and writes session descriptions (RFC 8866) and keeps the offer/answer rules (RFC 3264) for one leg of a call.
//
// Parse turns a body into a small model of our own, under strict limits. A Negotiation is what one leg has said and heard: it writes offers and answers
// from our own Capabilities only, never from lines of another leg, and tells in Agreed what both sides now hold to. No sockets, no goroutines, no
// clock; SRTP keys pass through as opaque text that no formatting shows.
//
// The reader is our own although pion/sdp is at hand: that one refuses a whole offer for an m=image section (T.38), an unknown bandwidth type or
// a missing final newline, where RFC 3264 §6 wants the one section refused in place. Tests read all that we write with pion/sdp.
package sdp
