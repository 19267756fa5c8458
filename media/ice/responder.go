package ice

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/pion/stun/v3"
)

// MaxCheck is the longest check that is read, in bytes: username of two fragments of 256, and every attribute of RFC 8445 beside it.
const MaxCheck = 1024

// A Verdict is what came of a check.
type Verdict uint8

// The verdicts. All but Silent and Accepted are answered, and nothing else follows from them.
const (
	Silent   Verdict = iota // not verified: no answer, no trace
	Accepted                // the peer's, and answered
	Conflict                // the peer believes itself controlled: answered with 487 (RFC 8445 §7.3.1.1)
	Unknown                 // an attribute that must be understood is not: answered with 420 (RFC 8489 §6.3.1)
)

// A Check is an accepted connectivity check.
type Check struct {
	Nominates bool   // USE-CANDIDATE
	Priority  uint32 // of the candidate that the peer would learn of itself
}

// A Responder reads and answers connectivity checks, one at a time: Open, then Answer. The zero value is ready; its buffers are reused, so it
// belongs to one goroutine.
type Responder struct {
	in, out  stun.Message
	username []byte // of in
	signed   int    // attributes of in up to MESSAGE-INTEGRITY
}

// Open reads a Binding request and gives our username fragment in it; it aliases the Responder's buffer. false: no check, or a damaged one.
// Nothing is verified yet.
func (r *Responder) Open(b []byte) (ufrag []byte, ok bool) {
	r.username, r.signed = nil, 0
	if len(b) > MaxCheck || !stun.IsMessage(b) || binary.BigEndian.Uint16(b) != 1 || len(b) != 20+int(binary.BigEndian.Uint16(b[2:])) {
		return nil, false
	}
	if stun.Decode(b, &r.in) != nil || len(r.in.Attributes) > 32 {
		return nil, false
	}
	// FINGERPRINT must be there and last (RFC 8445 §7.1.1): a cheap test before a key is tried.
	if n := len(r.in.Attributes); n == 0 || r.in.Attributes[n-1].Type != stun.AttrFingerprint || stun.Fingerprint.Check(&r.in) != nil {
		return nil, false
	}
	for i, a := range r.in.Attributes {
		switch {
		case a.Type == stun.AttrMessageIntegrity:
			r.signed = i
		case a.Type == stun.AttrUsername && r.signed == 0 && r.username == nil:
			r.username = a.Value
		}
		if r.signed > 0 { // what follows the signature is nobody's word (RFC 8489 §14.5)
			break
		}
	}
	colon := bytes.IndexByte(r.username, ':')
	if r.signed == 0 || colon <= 0 {
		return nil, false
	}
	return r.username[:colon], true
}

// Answer verifies the check that was opened by our credentials and the peer's fragment (empty: not known yet) and gives the answer to send back to
// where the check came from; it is valid until the next Open. An answer is never longer than its question by more than what the address takes.
func (r *Responder) Answer(from netip.AddrPort, own Credentials, peer string) (Check, Verdict, []byte) {
	ufrag, theirs, _ := bytes.Cut(r.username, []byte{':'})
	if string(ufrag) != own.Ufrag || peer != "" && string(theirs) != peer || stun.MessageIntegrity(own.Pwd).Check(&r.in) != nil {
		return Check{}, Silent, nil
	}
	c, verdict, unknown := r.read()
	var body stun.Setter = stun.XORMappedAddress{IP: from.Addr().Unmap().AsSlice(), Port: int(from.Port())}
	kind := stun.ClassSuccessResponse
	switch verdict {
	case Conflict:
		kind, body = stun.ClassErrorResponse, stun.ErrorCodeAttribute{Code: stun.CodeRoleConflict}
	case Unknown:
		kind, body = stun.ClassErrorResponse, stun.ErrorCodeAttribute{Code: stun.CodeUnknownAttribute}
	}
	setters := []stun.Setter{&r.in, stun.NewType(stun.MethodBinding, kind), body}
	if verdict == Unknown {
		setters = append(setters, unknown)
	}
	if r.out.Build(append(setters, stun.MessageIntegrity(own.Pwd), stun.Fingerprint)...) != nil {
		return Check{}, Silent, nil
	}
	return c, verdict, r.out.Raw
}

// read judges the attributes that are signed.
func (r *Responder) read() (c Check, v Verdict, unknown stun.UnknownAttributes) {
	v = Accepted
	for _, a := range r.in.Attributes[:r.signed] {
		switch a.Type {
		case stun.AttrUseCandidate:
			c.Nominates = true
		case stun.AttrPriority:
			if len(a.Value) == 4 {
				c.Priority = binary.BigEndian.Uint32(a.Value)
			}
		case stun.AttrICEControlled:
			v = Conflict
		case stun.AttrUsername:
		default:
			if a.Type < 0x8000 && len(unknown) < 4 { // comprehension-required
				unknown = append(unknown, a.Type)
			}
		}
	}
	if len(unknown) > 0 {
		v = Unknown
	}
	return c, v, unknown
}
