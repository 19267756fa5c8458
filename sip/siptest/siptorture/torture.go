// Package siptorture holds messages that break SIP stacks: one of our own for each of the 49 of RFC 4475 and
// the 12 of RFC 5118, with the same trap and other words, and what must become of it. The scanner's tests
// read them, and the tests of the running switch send them over UDP, TCP and WebSocket. It knows bytes and
// status codes only, and imports nothing of ours. The top Vias carry rport, so the answer comes back to
// whatever port they are sent from; the one without a parameter (inv2543) is answered at port 5060.
package siptorture

import "embed"

//go:embed messages/*.dat
var files embed.FS

// Verdict is what must become of a message before anybody looks at who we are.
type Verdict uint8

// Verdicts.
const (
	Accept Verdict = iota // well-formed: the rooms behind decide
	Refuse                // answered with Code by the validator
	Drop                  // a response, or nothing that could be answered
)

// Message is one torture message.
type Message struct {
	Name    string // as RFC 4475 calls it; v6- stands before those of RFC 5118
	RFC     int
	Section string
	Trap    string // what it tests
	Raw     string // one datagram, byte for byte
	Verdict Verdict
	Code    int // of Refuse

	datagram, stream []int
}

// Answers are the final statuses that a switch may give to a stranger who sends the message; none means
// silence. A switch that wants credentials first may ask for them, where the message lets it. On a stream
// (TCP, TLS) some traps are about framing, and a 400 there is followed by the end of the connection; a
// WebSocket message is a datagram.
func (m Message) Answers(stream bool) []int {
	if stream && m.stream != nil {
		return m.stream
	}
	if m.Verdict == Refuse && m.datagram == nil {
		return []int{m.Code}
	}
	return m.datagram
}

// What a switch with digest authentication may say to a stranger. 481: some of the messages carry a To tag.
var (
	toCall     = []int{401, 403, 404, 407, 480, 481, 484}
	toRegister = []int{200, 401, 403, 404}
	toOptions  = []int{200, 401, 403, 404, 405, 407}
	toMessage  = []int{401, 403, 404, 405, 407, 415, 501}
	toBye      = []int{401, 403, 407, 481}
	toUnknown  = []int{401, 403, 405, 407, 501}
	silence    = []int{}
)

// Messages are all of them, in the order of the RFCs.
func Messages() []Message {
	all := make([]Message, 0, len(table))
	for _, m := range table {
		raw, err := files.ReadFile("messages/" + m.Name + ".dat")
		if err != nil {
			panic(err) // the files are part of the binary: TestMessages would have told
		}
		m.Raw = string(raw)
		all = append(all, m)
	}
	return all
}
