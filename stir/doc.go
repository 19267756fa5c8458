// Package stir says who calls, signed, and believes nobody who cannot prove it: the Identity header of RFC 8224 with the
// PASSporTs of RFC 8225 that SHAKEN (RFC 8588) and diverted calls (RFC 8946) use.
//
// A Signer signs, a Verifier verifies. JSON web tokens are golang-jwt's, certificates crypto/x509's; here is what is
// SIP's about them: which numbers a token speaks of, how old it may be, whose certificates count (RFC 8226), and how one
// is fetched from an address that a stranger has chosen without becoming the stranger's tool.
//
// It knows no call and no trunk. Verify may block for two seconds: the caller does not run it where nothing may wait.
package stir
