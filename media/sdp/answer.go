package sdp

import (
	"fmt"
	"strings"
)

// Answer writes the answer to a peer's offer, with preferred first if it is in common (zero: our order decides), and tells what is agreed. The
// answer keeps the offer's payload numbers and sections; of those the first audio section that we can take is taken and every other
// one refused in place. On an error nothing was said and the session is as before.
func (n *Negotiation) Answer(offer *Description, c Capabilities, preferred Codec) ([]byte, Agreed, error) {
	if f, i := offer.Fax(); f != nil && c.Fax != nil {
		return n.answerFax(offer, i, c)
	}
	sections := make([]Media, len(offer.Media))
	taken := -1
	var agreed Agreed
	reason := ErrNoAudio
	for i := range offer.Media {
		theirs := &offer.Media[i]
		sections[i] = refused(*theirs)
		if taken >= 0 || theirs.Kind != "audio" || theirs.Port == 0 || !theirs.IsRTP() {
			continue
		}
		ours, a, err := c.answerSection(offer, theirs, preferred)
		if err != nil {
			reason = fmt.Errorf("section %d: %w", i+1, err)
			continue
		}
		a.Section = i
		sections[i], agreed, taken = ours, a, i
	}
	if taken < 0 {
		return nil, Agreed{}, reason
	}
	c.answerVideo(offer, sections, &agreed)
	n.bind(agreed.Receive)
	n.bundle = offer.bundles()
	n.caps, n.offered, n.pending = c, false, false
	n.caps.Web, n.caps.Video = nil, nil // what an answer was written from is asked for no more
	return n.say(c.RTP.Addr(), sections), agreed, nil
}

func (c *Capabilities) answerSection(d *Description, theirs *Media, preferred Codec) (Media, Agreed, error) {
	if c.Web != nil && theirs.dtls() {
		return c.answerWeb(d, theirs, preferred)
	}
	if err := checkAddress(theirs); err != nil {
		return Media{}, Agreed{}, err
	}
	ours := Media{
		Kind: theirs.Kind, Proto: theirs.Proto, Port: c.RTP.Port(), Addr: c.RTP.Addr(),
		PTime: c.ptime(), Mux: c.Mux && theirs.Mux,
	}
	if !ours.Mux {
		ours.RTCP = c.rtcpLine()
	}
	ours.Direction = directionOf(
		c.Direction.Sends() && theirs.Direction.Receives() && !theirs.held(),
		c.Direction.Receives() && theirs.Direction.Sends())
	a := agree(&ours, theirs, 0)
	if err := c.answerCrypto(&ours, theirs, &a); err != nil {
		return Media{}, Agreed{}, err
	}
	answered := c.common(theirs.Codecs, preferred)
	ours.setCodecs(answered)
	a.Receive, a.Send = answered, c.peers(answered, theirs.Codecs)
	return ours, a, a.settle()
}

// answerCrypto takes a key if the profile demands one or if one comes by the way (OSRTP).
func (c *Capabilities) answerCrypto(ours, theirs *Media, a *Agreed) error {
	if theirs.Proto != "RTP/AVP" && theirs.Proto != "RTP/AVPF" && !theirs.secured() || c.Web != nil {
		return fmt.Errorf("%w: profile %s", ErrSecurity, theirs.Proto)
	}
	if c.Security != Plain {
		a.Local, a.Remote, a.Secured = c.cryptoFor(theirs.Crypto)
	}
	if !a.Secured && (theirs.secured() || c.Security == Required) {
		return fmt.Errorf("%w: no key in common for %s", ErrSecurity, theirs.Proto)
	}
	if a.Secured {
		ours.Crypto = []Crypto{a.Local}
	}
	return nil
}

// common lists the codecs of an offer that we have too, under the offer's numbers, our parameters with them: preferred first, then in our order.
// A telephone-event stays only if its clock is that of a codec that stays, or if it is the only one (RFC 4733 §2.1).
func (c *Capabilities) common(offered []Codec, preferred Codec) []Codec {
	var audio, rest []Codec
	for _, own := range c.Codecs {
		theirs, ok := find(offered, own)
		if !ok {
			continue
		}
		own.PT = theirs.PT
		switch {
		case !own.IsAudio():
			rest = append(rest, own)
		case own.Same(preferred):
			audio = append([]Codec{own}, audio...)
		default:
			audio = append(audio, own)
		}
	}
	if len(audio) == 0 {
		return nil
	}
	if c.One {
		audio = audio[:1]
	}
	return append(audio, c.companions(audio, rest)...)
}

func (c *Capabilities) companions(audio, rest []Codec) []Codec {
	var kept []Codec
	for _, r := range rest {
		for _, a := range audio {
			if r.Rate == a.Rate {
				kept = append(kept, r)
				break
			}
		}
	}
	if eventFor(kept, audio[0]).Name == "" {
		if e := eventFor(rest, audio[0]); e.Name != "" {
			kept = append(kept, e)
		}
	}
	return kept
}

// peers gives the same codecs as the peer described them: its numbers and its parameters.
func (c *Capabilities) peers(ours, theirs []Codec) []Codec {
	out := make([]Codec, 0, len(ours))
	for _, o := range ours {
		if t, ok := find(theirs, o); ok {
			out = append(out, t)
		}
	}
	return out
}

// Accept takes the peer's answer to our offer. It may be called again until the next Offer or Answer: an 18x and the 2xx each bring one, and a fork
// (which works on a copy of the Negotiation) its own. On an error the offer stays pending.
func (n *Negotiation) Accept(answer *Description) (Agreed, error) {
	if !n.offered {
		return Agreed{}, ErrNoOffer
	}
	if len(answer.Media) != len(n.media) {
		return Agreed{}, fmt.Errorf("%w: %d instead of %d", ErrSections, len(answer.Media), len(n.media))
	}
	live := -1
	for i := range n.media {
		ours, theirs := &n.media[i], &answer.Media[i]
		if theirs.Kind != ours.Kind || !strings.EqualFold(theirs.Proto, ours.Proto) && theirs.Port != 0 {
			return Agreed{}, fmt.Errorf("%w: section %d is %s %s instead of %s %s", ErrProfile, i+1, theirs.Kind, theirs.Proto, ours.Kind, ours.Proto)
		}
		if ours.Port == 0 && theirs.Port != 0 {
			return Agreed{}, fmt.Errorf("%w: section %d was refused", ErrSections, i+1)
		}
		if ours.Port != 0 && ours.Kind != "video" {
			live = i
		}
	}
	if live < 0 || answer.Media[live].Port == 0 {
		return Agreed{}, ErrNoAudio
	}
	if n.media[live].isFax() {
		if err := checkAddress(&answer.Media[live]); err != nil {
			return Agreed{}, err
		}
		n.pending = false
		return agreeFax(&answer.Media[live], live), nil
	}
	a, err := n.caps.acceptSection(answer, &n.media[live], &answer.Media[live], live)
	if err != nil {
		return Agreed{}, err
	}
	if n.caps.Web != nil {
		n.acceptVideo(answer, &a)
	}
	n.pending = false
	return a, nil
}

func (c *Capabilities) acceptSection(d *Description, ours, theirs *Media, index int) (Agreed, error) {
	if err := checkAddress(theirs); err != nil {
		return Agreed{}, err
	}
	a := agree(ours, theirs, index)
	if c.Web != nil {
		if err := c.acceptWeb(d, theirs, &a); err != nil {
			return Agreed{}, err
		}
	} else if err := c.acceptCrypto(ours, theirs, &a); err != nil {
		return Agreed{}, err
	}
	// What the answer lists decides both ways: we send by its numbers, and the peer sends, by our numbers, what it lists.
	for _, t := range theirs.Codecs {
		o, ok := find(ours.Codecs, t)
		if !ok && t.Name == "" {
			// A dynamic number without a=rtpmap: some phones rely on the offer's.
			if o, ok = numbered(ours.Codecs, t.PT); ok {
				t = o
			}
		}
		if ok {
			a.Send, a.Receive = append(a.Send, t), append(a.Receive, o)
		}
	}
	return a, a.settle()
}

// acceptCrypto wants exactly one line, with tag and suite of one of ours (RFC 4568 §5.1.3). Without any an RTP/AVP section goes on in
// the clear (RFC 8643 §3.2); an RTP/SAVP one is an error.
func (c *Capabilities) acceptCrypto(ours, theirs *Media, a *Agreed) error {
	if len(ours.Crypto) == 0 || len(theirs.Crypto) == 0 {
		if ours.secured() {
			return fmt.Errorf("%w: answer to %s without a key", ErrSecurity, ours.Proto)
		}
		return nil
	}
	if len(theirs.Crypto) > 1 {
		return fmt.Errorf("%w: answer with %d keys", ErrSecurity, len(theirs.Crypto))
	}
	line := theirs.Crypto[0]
	for _, own := range ours.Crypto {
		if own.Tag == line.Tag && own.Suite == line.Suite && (c.Usable == nil || c.Usable(line)) {
			a.Local, a.Remote, a.Secured = own, line, true
			return nil
		}
	}
	return fmt.Errorf("%w: answer takes a key that was not offered", ErrSecurity)
}
