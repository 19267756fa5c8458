package transaction

import (
	"hash/maphash"
	"strconv"
	"strings"
	"tandem/sip"
)

// serverKey appends what identifies the server transaction of a request: branch, sent-by and method, that of
// the INVITE for its ACK and CANCEL (RFC 3261 §17.2.3, §9.2). Branch and host compare without regard to case
// (§7.3.1), the method with it; a port left out is the default one.
func serverKey(buf []byte, m *sip.Message, via sip.Via) []byte {
	method := m.Method()
	if method == sip.ACK || method == sip.CANCEL {
		method = sip.INVITE
	}
	branch := via.Branch()
	if !fromRFC3261(branch) {
		return oldKey(buf, m, via, method)
	}
	buf = append(appendLower(buf, branch), '|')
	buf = append(appendSentBy(buf, via), '|')
	return append(buf, method...)
}

// fromRFC3261 tells a branch that identifies a transaction from one of an RFC 2543 peer. The bare cookie
// identifies nothing (RFC 4475 §3.2.1).
func fromRFC3261(branch string) bool {
	n := len(sip.MagicCookie)
	return len(branch) > n && sip.EqualFold(branch[:n], sip.MagicCookie)
}

// oldKey is RFC 2543 matching (RFC 3261 §17.2.3): Request-URI, From tag, Call-ID, CSeq number, top Via; for
// all but INVITE, ACK and CANCEL the To tag too. The To tag of an ACK is compared with that of the response
// when the ACK comes.
func oldKey(buf []byte, m *sip.Message, via sip.Via, method string) []byte {
	seq, _, _ := m.CSeq()
	toTag := ""
	if method != sip.INVITE {
		toTag = m.ToTag()
	}
	buf = append(append(buf, "2543|"...), m.RequestURI()...)
	for _, s := range [...]string{m.FromTag(), toTag, m.CallID(), string(via.Params)} {
		buf = append(append(buf, '\n'), s...)
	}
	buf = append(strconv.AppendUint(append(buf, '\n'), uint64(seq), 10), '|')
	buf = append(appendSentBy(buf, via), '|')
	return append(buf, method...)
}

// oldStyle tells a key of RFC 2543 matching.
func oldStyle(key string) bool { return strings.HasPrefix(key, "2543|") }

// clientKey appends what identifies the client transaction of a response, or of our own request: the branch
// and the method of the CSeq (RFC 3261 §17.1.3).
func clientKey(buf []byte, via sip.Via, method string) []byte {
	return append(append(appendLower(buf, via.Branch()), '|'), method...)
}

func appendLower(buf []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf = append(buf, c)
	}
	return buf
}

func appendSentBy(buf []byte, via sip.Via) []byte {
	port := via.Port
	if port == 0 {
		port = 5060
		if sip.EqualFold(via.Transport, "TLS") {
			port = 5061
		}
	}
	return strconv.AppendUint(append(appendLower(buf, via.Host), ':'), uint64(port), 10)
}

// mergeKey stands for the Call-ID, From tag and CSeq of a request outside a dialog, by which a request that
// came over two ways is known (RFC 3261 §8.2.2.2). Two hashes with secret seeds take the place of the texts:
// a stranger cannot make two requests meet, and chance does not.
type mergeKey struct{ a, b uint64 }

func (t *Table) mergeKeyOf(m *sip.Message) mergeKey {
	var room [256]byte
	seq, method, _ := m.CSeq()
	buf := append(append(room[:0], m.CallID()...), '\n')
	buf = append(append(buf, m.FromTag()...), '\n')
	buf = append(strconv.AppendUint(buf, uint64(seq), 10), method...)
	for route := range m.Elements(sip.HeaderRoute) { // it says for whom a copy is that only passes
		buf = append(append(buf, '\n'), route...)
		break
	}
	return mergeKey{maphash.Bytes(t.seeds[0], buf), maphash.Bytes(t.seeds[1], buf)}
}

// tag is the To tag of an answer that the table makes by itself: always the same for the same transaction.
func (t *Table) tag(key []byte) string {
	return strconv.FormatUint(maphash.Bytes(t.seeds[2], key), 36)
}
