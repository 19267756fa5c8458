// Package secure protects RTP and RTCP with SRTP (RFC 3711, RFC 7714) under keys exchanged in SDP (SDES, RFC 4568).
//
// A Key is what an a=crypto line says; it never shows itself in logs or formatted text. A Context protects or unprotects one direction of one leg in
// the buffer that the packet lies in, with replay protection always on; its failures are counted and end nothing. One goroutine at a time
// may use a Context: the relay loop that owns the stream.
package secure
