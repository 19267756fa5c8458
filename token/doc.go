// Package token knows who a web page speaks for, without a password that it could lose: passwords that expire, made by
// HMAC (Keys), and bearer tokens of an OAuth server, verified by its published keys (OAuth, RFC 8898).
//
// It imports nothing of ours. The node hands what it finds to the registrar and the calls through sip/digest, and to
// TURN, for which the same passwords are good.
package token
