// Package turn is a relay (RFC 8656) for browsers whose networks let nothing through but one address: over UDP or TCP they
// come to one port, and from there to the media of this switch. It is never an open relay: whatever address a client asks
// for, packets go to the switch's own port for browsers and come from it, and nowhere else.
//
// The protocol is pion/turn's. What is ours is who may use it, how much, and where to. The node makes one where the
// configuration says so.
package turn
