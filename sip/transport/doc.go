// Package transport carries SIP messages over UDP, TCP, TLS, WebSocket and secure WebSocket (RFC 3261 §18,
// RFC 7118), and finds out where a URI is served (RFC 3263).
//
// A Layer owns all sockets. What it receives is cut into messages, measured against the strangers' budget,
// indexed and validated; what passes goes to the Handler in the order of the wire, from the goroutine that
// reads. A request that fails is answered here, without state. What the Layer sends goes down a Flow: one
// connection, or one pair of addresses over UDP.
//
// The package keeps nothing about a UDP source, follows no maddr, and opens no WebSocket connections:
// browsers do that. Only sip is imported; node builds a Layer and shows it to the rooms above.
package transport
