// Package voicemail keeps the messages that callers leave, and lights the lamps of the phones that have some.
//
// A box is a folder of the Store's, named by the number of its extension: ID.wav and ID.json for each message, and
// greeting.wav where its owner has one. The JSON file is the message: it is written last and removed first, each by one
// rename, so a crash leaves a whole message or a nameless file, which the next start sweeps away. Lamps tells phones by
// an unsolicited NOTIFY (RFC 3842) after each change and when they register.
package voicemail
