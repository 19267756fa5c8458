// Package media is the sound of calls: a Session is the media of one leg, with its ports, its keys and what was agreed with its
// peer; two of them joined are a bridge.
//
// The Engine owns the relay below. A call makes a Session for each leg, carries session descriptions between it and the peer, joins
// the legs, and closes them. The package reads and writes session descriptions and never SIP; it decides nothing about calls, and what
// it notices (a silent peer, a pressed key) it reports by Options.Events.
//
// The methods of a Session are for the one goroutine that owns the leg's call, except Stats and Close. Nothing here blocks longer than a
// few packets take.
package media
