// Package phones calls through the built switch with phones that share no code with it: `tandem phone`, which stands on
// sipgo and pion, Debian's baresip, and a few lines of raw SIP for a phone behind a NAT. It holds tests only.
//
// Each test starts a switch on a loopback address of its own; each call uses extensions of its own, so that calls run
// side by side and the record of each can be told apart.
package phones
