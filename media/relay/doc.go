// Package relay moves media packets between the two legs of a call: it owns the ports, the sockets, and the loops that read them.
//
// A Relay has a Pool of ports and a few loops. A Port is the pair of sockets (RTP, RTCP) that one leg speaks to, with the state of the
// streams through it; exactly one loop owns that state, and everybody else changes it by a command that the loop runs between packets. On
// Linux a loop is one goroutine on an epoll set with raw non-blocking sockets; elsewhere (and with the build tag "portable") a goroutine reads each
// socket and the loop is a lock. What happens to a packet is the same code in both, in receive.go, and takes no lock, makes no
// allocation and passes no channel.
//
// A stranger's packet costs one system call and a counter. It is never answered, and never moves a call: see source.go for who may.
//
// The package knows nothing of SIP and does not read SDP; package media tells it what was agreed.
package relay
