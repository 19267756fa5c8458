// Package ice answers the connectivity checks of browsers as a lite agent (RFC 8445 §2.5): it gathers nothing, sends no checks of its own and
// is always the controlled side.
//
// Nothing is believed, remembered or answered before the check's integrity is verified; whoever does not know the password meets silence. The
// package holds no sockets and no state but the messages at hand: who was checked from where is for its user to keep.
package ice
