package relay

import (
	"errors"
	"net/netip"

	"tandem/media/codec"
	"tandem/media/rtp"
	"tandem/media/secure"
)

// receive takes the datagram of n bytes in the loop's buffer. This is the path of a packet: demux, cap, unprotect, source, count,
// listen, rewrite, protect, the other port.
func (p *Port) receive(k kind, n int, from netip.AddrPort) {
	l := p.loop
	l.total.PacketsIn++
	l.total.BytesIn += uint64(n)
	if n > rtp.MaxPacket {
		p.drop(DropOversize)
		return
	}
	b := l.buf[:n]
	if p.set.UDPTL && k != openRTCP {
		p.receiveUDPTL(b, from)
		return
	}
	what := rtp.Demux(b)
	switch {
	case k == openRTCP && !p.set.Mux && what == rtp.KindRTCP:
		p.receiveRTCP(b, from)
	case k != openRTCP && what == rtp.KindRTP:
		p.receiveRTP(b, from)
	case k != openRTCP && p.set.Mux && what == rtp.KindRTCP:
		p.receiveRTCP(b, from)
	default:
		p.drop(DropNotMedia)
		p.strayed(k)
	}
}

// strayed counts a stranger's packet. A flood of them, once the peer has a socket of its own, is left to the kernel for a while.
func (p *Port) strayed(k kind) {
	if p.web != nil || p.stray.allow(p.loop.now) {
		return
	}
	switch {
	case k == openRTCP:
		p.loop.pause(p.rtcp)
	case k == openRTP && p.conn != nil:
		p.loop.pause(p.rtp)
	}
	p.soon()
}

func (p *Port) receiveRTP(b []byte, from netip.AddrPort) {
	now := p.loop.now
	if !p.source.possible(from, now) {
		p.drop(DropSource)
		p.strayed(openRTP)
		return
	}
	if !p.media.allow(now) {
		p.drop(DropRate)
		return
	}
	pkt, ok := p.open(b)
	if !ok {
		return
	}
	switch p.source.judge(from, pkt.SSRC(), pkt.Seq(), now) {
	case refused:
		p.drop(DropSource)
		return
	case proving:
		p.drop(DropLearning)
		return
	case latched:
		p.latch()
	}
	if p.reconnect {
		p.connectLate()
	}
	p.take(pkt)
}

// take counts a packet of the peer's, listens to it and gives it to the other leg.
func (p *Port) take(pkt rtp.Packet) {
	now, was := p.loop.now, p.in.SSRC
	switch p.in.Receive(pkt, now) {
	case rtp.Duplicate:
		p.drop(DropDuplicate)
		return
	case rtp.Jumped:
		p.drop(DropJump)
		return
	}
	if p.told[0] || p.in.SSRC != was {
		p.soon()
	}
	p.inSSRC = true
	p.lastIn, p.told[0], p.mute = now, false, false
	r := p.routes.of(pkt.PayloadType())
	if r.event {
		p.presses.Rate = r.clock
		p.listen(pkt)
	}
	tapped := p.sink != nil && p.set.MayReceive && p.tapped(pkt, r)
	switch {
	case !p.set.MayReceive:
		p.drop(DropHeld)
	case p.peer == nil && tapped:
	case p.peer == nil:
		p.drop(DropAlone)
	case !r.forward:
		p.drop(DropNoRoute)
	default:
		p.peer.forward(p, pkt, r)
	}
}

// open checks a packet that may be the peer's and decrypts it. The payload type is readable in SRTP too, and cheaper than a key.
func (p *Port) open(b []byte) (rtp.Packet, bool) {
	pkt, err := rtp.ParseProtected(b)
	if err != nil {
		p.drop(DropMalformed)
		return nil, false
	}
	if !p.routes.of(pkt.PayloadType()).known {
		p.drop(DropPayloadType)
		return nil, false
	}
	if p.set.Unprotect != nil {
		pkt, err = p.set.Unprotect.UnprotectRTP(b)
	} else {
		pkt, err = rtp.Parse(b)
	}
	if err != nil {
		p.drop(refusal(err))
		return nil, false
	}
	return pkt, true
}

// refusal is the reason behind an error of rtp or secure. Such a packet is counted and ends nothing.
func refusal(err error) Drop {
	switch {
	case errors.Is(err, secure.ErrAuth), errors.Is(err, secure.ErrExcess):
		return DropAuth
	case errors.Is(err, secure.ErrReplay):
		return DropReplay
	}
	return DropMalformed
}

// listen reports key presses.
func (p *Port) listen(pkt rtp.Packet) {
	p.pressed = p.presses.Receive(p.loop.now, pkt.Timestamp(), pkt.Payload(), p.pressed[:0])
	p.soon()
	p.tell()
}

func (p *Port) tell() {
	for _, d := range p.pressed {
		if digit, ok := codec.DigitOf(d.Code); ok {
			p.emit(Event{Kind: Digit, Digit: digit, Duration: d.Duration})
		} else if d.Code == codec.EventFlash {
			p.emit(Event{Kind: Digit, Digit: '!', Duration: d.Duration})
		}
	}
}

// forward sends on to p's peer a packet that from has received; it is rewritten in place.
func (p *Port) forward(from *Port, pkt rtp.Packet, r *route) {
	if p.speaking() {
		from.drop(DropReplaced)
		return
	}
	if !p.reachable() {
		from.drop(DropNowhere)
		return
	}
	now, o := p.loop.now, &p.out
	pkt = pkt.Bare()
	if !o.continues(from, pkt) {
		p.soon()
		if !o.goesOn(from, pkt.SSRC(), pkt.Seq()) {
			o.takeOver(from, pkt, now)
			if !r.event {
				pkt.SetMarker(true)
			}
		}
	} else if o.late(pkt.Seq()) {
		from.drop(DropLate)
		return
	}
	if r.translate {
		r.law.Translate(pkt.Payload())
	}
	r.rescale(pkt.Payload())
	pkt.SetPayloadType(r.pt)
	pkt.SetSeq(pkt.Seq() + o.seqShift)
	pkt.SetTimestamp(pkt.Timestamp() + o.tsShift)
	pkt.SetSSRC(o.SSRC)
	o.mark(pkt.Seq(), pkt.Timestamp(), now)
	p.transmit(pkt, r.event)
}

// speaking says whether a player or key press of ours has the floor.
func (p *Port) speaking() bool { return p.play != nil || p.keys != nil && p.keys.Active() }

// reachable says whether media may go to the peer now.
func (p *Port) reachable() bool {
	return p.set.MaySend && p.dest.addr.IsValid() && !p.mute && (p.web == nil || p.web.open(p.loop.now))
}

// transmit protects a finished packet and sends it.
func (p *Port) transmit(pkt rtp.Packet, event bool) {
	l := p.loop
	if event { // its timestamp is that of the event's beginning, and would mislead our SRs
		p.out.Packets++
		p.out.Octets += uint64(len(pkt) - rtp.HeaderLen)
	} else {
		p.out.Sent(pkt, l.now)
	}
	b := []byte(pkt)
	if p.set.Protect != nil {
		var err error
		if b, err = p.set.Protect.ProtectRTP(pkt); err != nil {
			p.drop(DropSend)
			return
		}
	}
	if s := p.outlet(); !l.gather(s, b, &p.dest) && !l.send(s, b, &p.dest) {
		p.drop(DropSend)
		return
	}
	if p.told[1] {
		p.soon()
	}
	p.lastOut, p.told[1] = l.now, false
	l.total.PacketsOut++
	l.total.BytesOut += uint64(len(b))
}
