package relay

// A Drop is why a packet went no further. The names are label values of a metric.
type Drop uint8

// The reasons, in the order of the checks.
const (
	DropOversize    Drop = iota // longer than 1,500 bytes
	DropSource                  // not from the peer
	DropRate                    // above the leg's cap
	DropNotMedia                // neither RTP nor RTCP (RFC 7983), or RTCP on the RTP port without mux
	DropMalformed               // fails RFC 3550's checks
	DropPayloadType             // not negotiated
	DropAuth                    // SRTP that does not authenticate
	DropReplay                  // SRTP seen before
	DropLearning                // from one who has yet to prove that he is the peer
	DropDuplicate               // sequence number seen before
	DropJump                    // far off the sequence, unconfirmed
	DropHeld                    // the direction is not agreed
	DropAlone                   // there is no other leg
	DropNoRoute                 // the other leg cannot take this payload type
	DropReplaced                // the other leg hears a player or a key press instead
	DropLate                    // from before the stream took over the other leg
	DropNowhere                 // the other leg has no address to send to
	DropSend                    // the kernel refused it
	DropCheck                   // ICE check that does not verify, or claims what is another's
	DropHandshake               // DTLS that is not awaited, or has failed
	DropKeys                    // from a browser before its certificate was checked
	DropReport                  // RTCP about an unknown SSRC, or of a kind that is not passed
	DropStandby                 // another node serves

	drops // how many there are
)

var dropNames = [drops]string{
	"oversize", "source", "rate", "not_media", "malformed", "payload_type", "auth", "replay", "learning", "duplicate", "jump",
	"held", "alone", "no_route", "replaced", "late", "nowhere", "send", "check", "handshake", "no_keys", "report", "standby",
}

// String is the reason as a metric's label.
func (d Drop) String() string {
	if d < drops {
		return dropNames[d]
	}
	return "unknown"
}

// Drops counts packets by reason.
type Drops [drops]uint64

// All calls f for each reason with its count.
func (d *Drops) All(f func(Drop, uint64)) {
	for i, n := range d {
		f(Drop(i), n)
	}
}

// Sum is the count of all reasons.
func (d *Drops) Sum() (n uint64) {
	for _, c := range d {
		n += c
	}
	return n
}
