// Package certificate gets the switch its certificates where nobody gives it any: a self-signed one for every name and
// address of the machine, and certificates of an ACME authority (RFC 8555) for public names. Both live in the folder of the
// state, are renewed while the switch runs, and are read by sip/transport at each handshake. It opens no listener but
// that of a challenge, while one goes on.
//
// The node makes both; nothing on the path of a message calls it.
package certificate
