package relay

import (
	"encoding/binary"
	"time"

	"tandem/media/rtp"
)

const (
	// videoRate is what one browser may send of video, in bytes a second, and videoBurst how long it may be ahead of it: a key frame.
	videoRate  = 5_000_000 / 8
	videoBurst = time.Second / 2
	// feedbackRate and feedbackBurst are the RTCP packets a second of a browser with video: feedback on arrival times comes each 50 ms, and beside
	// it NACKs.
	feedbackRate, feedbackBurst = 400, 200
	// maxVideoSources bounds the SSRCs of video that a browser is sent under one key: each costs state in its context.
	maxVideoSources = 32
)

// VideoSettings is what was agreed with a browser about video. Its packets pass to another browser that has agreed to the same numbers.
type VideoSettings struct {
	Types               []uint8 // payload types, the same both ways
	MaySend, MayReceive bool
}

// A video is the part of a browser's leg that only a call with video has.
type video struct {
	types               [2]uint64 // a bit for each payload type
	maySend, mayReceive bool

	rate    limiter // in bytes
	reports limiter

	association int           // whose key the sources below are protected with
	sources     []videoSource // what this browser was sent; maxVideoSources
	in, out     Flow
	feedback    uint64 // RTCP packets passed on to this browser
}

// A videoSource is one SSRC that the other leg's browser sends, as it goes out under our key. It has one sender for the life of that key: the
// same SSRC with the same number from somebody else would use a part of the key stream twice (RFC 3711 §9.1).
type videoSource struct {
	ssrc        uint32
	from        *Port
	association int    // the sender's
	first, last uint32 // sequence number, with its cycles
}

// A Flow counts one way.
type Flow struct{ Packets, Bytes uint64 }

// agree takes what was agreed about video; nil: none.
func (b *browser) agree(s *VideoSettings) {
	v := b.video
	if s == nil && v == nil {
		return
	}
	if v == nil {
		interval := time.Second / videoRate
		v = &video{rate: limiter{interval: interval, burst: videoBurst, next: -1 << 61}, reports: limit(feedbackRate, feedbackBurst)}
		b.video = v
	}
	v.types, v.maySend, v.mayReceive = [2]uint64{}, false, false
	if s == nil { // what is known of sources stays: the key goes on
		return
	}
	v.maySend, v.mayReceive = s.MaySend, s.MayReceive
	for _, pt := range s.Types {
		v.types[pt>>6&1] |= 1 << (pt & 63)
	}
}

// takes says whether a payload type is one of video.
func (v *video) takes(pt uint8) bool { return v.types[pt>>6&1]>>(pt&63)&1 != 0 }

// isVideo says whether a datagram is a packet of video; the payload type is readable in SRTP.
func (b *browser) isVideo(packet []byte) bool {
	return b.video != nil && len(packet) >= rtp.HeaderLen && b.video.takes(packet[1]&0x7f)
}

// spend takes n units at once.
func (l *limiter) spend(now time.Time, n int) bool {
	if !l.allow(now) {
		return false
	}
	l.next += time.Duration(n-1) * l.interval
	return true
}

// receiveVideo takes a packet of video from a checked place: it is decrypted, counted and given to the other browser as it is.
func (p *Port) receiveVideo(b []byte, at place) {
	v := p.web.video
	pkt, err := p.set.Unprotect.UnprotectRTP(b)
	if err != nil {
		p.drop(refusal(err))
		return
	}
	if !v.rate.spend(p.loop.now, len(b)) {
		p.drop(DropRate)
		return
	}
	p.web.prove(p, at)
	v.in.Packets++
	v.in.Bytes += uint64(len(pkt))
	q := p.peer
	switch {
	case !v.mayReceive:
		p.drop(DropHeld)
	case q == nil:
		p.drop(DropAlone)
	case q.web == nil || q == p || q.web.video == nil || !q.web.video.takes(pkt.PayloadType()):
		p.drop(DropNoRoute)
	default:
		q.forwardVideo(p, pkt)
	}
}

// forwardVideo sends on to p's browser what from's has sent. Header extensions, numbers and times stay as they are, for repair and the feedback on
// arrival times to be between the two.
func (p *Port) forwardVideo(from *Port, pkt rtp.Packet) {
	v, l := p.web.video, p.loop
	if !v.maySend || !p.dest.addr.IsValid() || p.mute || !p.web.open(l.now) || p.set.Protect == nil {
		from.drop(DropNowhere)
		return
	}
	if pkt.SSRC() == p.out.SSRC || !v.follow(from, p.web.association, pkt) {
		from.drop(DropReplaced)
		return
	}
	n := len(pkt)
	b, err := p.set.Protect.ProtectRTP(pkt)
	if err != nil {
		p.drop(DropSend)
		return
	}
	if s := p.outlet(); !l.gather(s, b, &p.dest) && !l.send(s, b, &p.dest) {
		p.drop(DropSend)
		return
	}
	v.out.Packets++
	v.out.Bytes += uint64(n)
	l.total.PacketsOut++
	l.total.BytesOut += uint64(len(b))
}

// follow notes a packet that is to go out under the key of an association. It is false for one that must not: its SSRC is another's, it is from before
// the stream's beginning here, or there are too many.
func (v *video) follow(from *Port, association int, pkt rtp.Packet) bool {
	if v.association != association {
		v.association, v.sources = association, v.sources[:0]
	}
	ssrc, seq := pkt.SSRC(), pkt.Seq()
	s := v.source(ssrc)
	if s == nil {
		if len(v.sources) == maxVideoSources {
			return false
		}
		at := 1<<16 | uint32(seq)
		v.sources = append(v.sources, videoSource{ssrc: ssrc, from: from, association: from.web.association, first: at, last: at})
		return true
	}
	at := s.last + uint32(int32(int16(seq-uint16(s.last))))
	if s.from != from || s.association != from.web.association || at < s.first {
		return false
	}
	s.last = max(s.last, at)
	return true
}

// source finds an SSRC among those that the browser was sent.
func (v *video) source(ssrc uint32) *videoSource {
	for i := range v.sources {
		if v.sources[i].ssrc == ssrc {
			return &v.sources[i]
		}
	}
	return nil
}

// passVideoReports sends on to p's browser what the other one reports and asks for about video: what is about the sound ends at its leg.
func (p *Port) passVideoReports(from *Port, c rtp.Compound) {
	v, l := p.web.video, p.loop
	if p == from || p.set.Protect == nil || !p.rdst.addr.IsValid() || p.mute || !p.web.open(l.now) {
		return
	}
	b, passed := from.videoReports(l.scratch[:0], p, c)
	if !passed || len(b) > rtp.MaxPacket-64 {
		return
	}
	b, err := p.set.Protect.ProtectRTCP(b)
	if err != nil || !l.send(p.outlet(), b, &p.rdst) {
		p.drop(DropSend)
		return
	}
	v.feedback++
	l.total.PacketsOut++
	l.total.BytesOut += uint64(len(b))
}

// videoReports appends what p's browser says of video, for to's: an SR of its video or else an RR, with the blocks about to's video, our CNAME, and
// feedback. false: there is nothing of the kind.
func (p *Port) videoReports(dst []byte, to *Port, c rtp.Compound) (b []byte, passed bool) {
	head := rtp.Control(nil)
	for ctl := range c.All() {
		if head == nil && (ctl.Type() == rtp.TypeRR || ctl.Type() == rtp.TypeSR && to.web.video.source(ctl.SSRC()) != nil) {
			head = ctl
		}
	}
	b, blocks := p.videoReport(dst, head, c.SSRC())
	passed = blocks > 0 || head != nil && head.Type() == rtp.TypeSR
	b = rtp.AppendCNAME(b, binary.BigEndian.Uint32(b[len(dst)+4:]), to.cname)
	for ctl := range c.All() {
		if ctl.VideoFeedback() && ctl.Media() != p.out.SSRC {
			b, passed = append(b, ctl.Whole()...), true
		}
	}
	return b, passed
}

// videoReport appends the SR or RR of p's browser with those of its blocks that are about video that it was sent; feedback that stands alone gets an
// empty RR of its sender's.
func (p *Port) videoReport(dst []byte, head rtp.Control, sender uint32) (b []byte, blocks int) {
	if head == nil {
		return binary.BigEndian.AppendUint32(append(dst, 0x80, rtp.TypeRR, 0, 1), sender), 0
	}
	size := 8
	if head.Type() == rtp.TypeSR {
		size = 28
	}
	at := len(dst)
	b = append(dst, head[:size]...)
	for i := range head.Reports() {
		if p.web.video.source(head.Report(i).SSRC) != nil {
			b = append(b, head[size+24*i:][:24]...)
			blocks++
		}
	}
	b[at] = 0x80 | byte(blocks)
	binary.BigEndian.PutUint16(b[at+2:], uint16((size+24*blocks)/4-1))
	return b, blocks
}
