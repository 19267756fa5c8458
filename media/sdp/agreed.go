package sdp

import (
	"net/netip"
	"slices"
	"strings"
	"unique"
)

// Agreed is what both sides hold to after an offer and its answer.
type Agreed struct {
	RTP, RTCP netip.AddrPort // where the peer receives; equal when muxed; invalid while it wants nothing sent (hold) or gave no usable address
	Mux       bool

	Sends    bool // we may send
	Receives bool // the peer may send
	Held     bool // the peer put us on hold: it will not listen

	Codec   Codec   // to send with, PT as the peer numbers it
	Send    []Codec // all that we may send, PT as the peer numbers them: audio, telephone-event and CN
	Receive []Codec // all that the peer may send, PT as we numbered them

	SendEvent    Codec // telephone-event beside Codec, the peer's number; no Name: the peer takes none
	ReceiveEvent Codec // the same with our number

	PTime int // ms of sound in a packet that the peer likes to receive; 20 unless it said otherwise

	Secured bool   // SRTP both ways
	Local   Crypto // our key, that we send with
	Remote  Crypto // the peer's key, that we receive with
	Web     *Web   // the browser's part; nil: another leg
	Setup   string // our DTLS role with a browser: passive or active
	Video   *Video // of a browser: the video that passes to another one; nil: none
	Proto   string // profile of the section
	Section int    // its index

	Fax *Media // the peer's T.38 section, where that is agreed instead of speech; nothing above then but addresses
}

// Receiving finds the codec of a payload number that came in; false if nobody agreed to it.
func (a *Agreed) Receiving(pt uint8) (Codec, bool) {
	for _, c := range a.Receive {
		if c.PT == pt {
			return c, true
		}
	}
	return Codec{}, false
}

// Sending finds the peer's number for a codec; false if the peer does not take it.
func (a *Agreed) Sending(c Codec) (Codec, bool) { return find(a.Send, c) }

// agree fills in what follows from the peer's section and from the direction that we wrote in ours.
func agree(ours, theirs *Media, index int) Agreed {
	a := Agreed{
		RTP: theirs.rtp(), RTCP: theirs.rtcp(),
		Mux:   ours.Mux && theirs.Mux,
		Proto: ours.Proto, Section: index,
		PTime: theirs.PTime,
		Held:  theirs.held() || !theirs.Direction.Receives(),
	}
	if a.Mux { // with a browser always
		a.RTCP = a.RTP
	}
	if a.PTime == 0 {
		a.PTime = 20
	}
	if theirs.MaxPTime > 0 {
		a.PTime = min(a.PTime, theirs.MaxPTime)
	}
	a.Sends = ours.Direction.Sends() && !a.Held
	a.Receives = ours.Direction.Receives() && theirs.Direction.Sends()
	return a
}

// settle picks what to send with: the first speech codec that both can.
func (a *Agreed) settle() error {
	for _, c := range a.Send {
		if !c.IsAudio() {
			continue
		}
		a.Codec = c
		a.SendEvent = eventFor(a.Send, c)
		a.ReceiveEvent = eventFor(a.Receive, c)
		return nil
	}
	return ErrNoCodec
}

// checkAddress wants a unicast address unless the peer is on hold. Whether we may send there is for the relay to judge.
func checkAddress(m *Media) error {
	if m.held() || m.dtls() {
		return nil
	}
	if !m.Addr.IsValid() || m.Addr.IsMulticast() {
		return ErrAddress
	}
	return nil
}

// shared is s in memory that all who have the same word share: every leg has the same few names.
func shared(s string) string { return unique.Make(s).Value() }

// Detach gives what was agreed strings of its own, so that it does not hold the description that it was read from.
func (a *Agreed) Detach() {
	for _, list := range [][]Codec{a.Send, a.Receive} {
		for i := range list {
			list[i].Name, list[i].Fmtp = shared(list[i].Name), shared(list[i].Fmtp)
		}
	}
	for _, c := range []*Codec{&a.Codec, &a.SendEvent, &a.ReceiveEvent} {
		c.Name, c.Fmtp = shared(c.Name), shared(c.Fmtp)
	}
	a.Proto = shared(a.Proto)
	if w := a.Web; w != nil {
		own := *w
		own.Ufrag, own.Pwd, own.Setup, own.TLSID = strings.Clone(w.Ufrag), strings.Clone(w.Pwd), shared(w.Setup), strings.Clone(w.TLSID)
		own.Fingerprints = slices.Clone(w.Fingerprints)
		for i, f := range own.Fingerprints {
			own.Fingerprints[i] = strings.Clone(f)
		}
		a.Web = &own
	}
}
