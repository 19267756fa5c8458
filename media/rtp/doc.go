// Package rtp reads and rewrites RTP and RTCP (RFC 3550) in the buffers they arrived in and keeps the statistics of a stream.
//
// Packet, Compound and Control are views over a byte slice: nothing is copied, nothing is allocated. A view may only be asked after Parse or
// ParseCompound found it valid. Receiver, Sender and RoundTrip are plain values with the time passed in; the relay loop that owns a stream owns
// them, others read copies. No sockets, goroutines or clock here, and nothing that needs a key.
package rtp
