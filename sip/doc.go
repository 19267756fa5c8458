// Package sip is the language: the wire scanner, the typed views of what stands in a message, and the
// writers that make one. It knows no sockets, goroutines or clocks, and imports nothing of ours.
//
// A Message is an index over the text as it came. Views such as Via, NameAddr and URI are substrings of
// that text, made when asked for, so they cost nothing until they are read and stay valid as long as
// anybody holds them. Nothing here changes a message: what is sent on is spliced from it (see Splice),
// and what we do not touch leaves byte for byte as it came.
//
// Scanning is forgiving, Validate is not: the scanner indexes whatever can be answered, so that a broken
// request gets the 400 that it deserves instead of silence.
package sip
