// Package codec turns sound into bytes and back: G.711 in both laws and from one to the other, G.722, telephone-events (RFC 4733) and their
// INFO cousins, tones and their measurement, WAV files.
//
// All of it is pure: machines take the time and the RTP timestamps as arguments, nothing here opens a socket or starts a goroutine. Sound is
// mono int16 at 8 kHz unless a name says otherwise.
package codec
