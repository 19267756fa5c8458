//go:build linux

// Command bench measures what the built switch costs in CPU beside Debian's kamailio and rtpengine, in one run on one
// machine: a REGISTER, a call, a relayed packet. The servers sit on one core and the load, which is this program, on
// another; rounds of all subjects alternate, and the medians are compared. It uses nothing of the switch but the binary:
// the messages, the digest and the packets are its own. BENCH.md says what each side does for its figure.
package main
