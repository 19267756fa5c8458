// Package console is how people and programs look at a running switch and steer it: an admin API on a local
// socket that only its owner may open, and metrics and health over HTTP. It reads the rooms' views and asks node
// for what changes something; it never takes part in a call.
package console
