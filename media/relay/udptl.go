package relay

import (
	"encoding/binary"
	"net/netip"
)

// shortestUDPTL is a sequence number, the length of a primary packet, and no error recovery (ITU-T T.38 §9.1), in bytes.
const shortestUDPTL = 4

// receiveUDPTL takes a packet of a leg that has agreed to fax: checked as to where it comes from like any other, passed on as
// it is, to a leg that has agreed to it too.
func (p *Port) receiveUDPTL(b []byte, from netip.AddrPort) {
	now := p.loop.now
	switch {
	case !p.source.possible(from, now):
		p.drop(DropSource)
		p.strayed(openRTP)
		return
	case !p.media.allow(now):
		p.drop(DropRate)
		return
	case len(b) < shortestUDPTL:
		p.drop(DropMalformed)
		return
	}
	switch p.source.judge(from, 0, binary.BigEndian.Uint16(b), now) {
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
	if p.told[0] {
		p.soon()
	}
	p.lastIn, p.told[0], p.mute = now, false, false
	p.fax.packetsIn++
	p.fax.bytesIn += uint64(len(b))
	switch {
	case !p.set.MayReceive:
		p.drop(DropHeld)
	case p.peer == nil:
		p.drop(DropAlone)
	case !p.peer.set.UDPTL || p.peer == p:
		p.drop(DropNoRoute)
	default:
		p.peer.sendUDPTL(p, b)
	}
}

// sendUDPTL passes on to p's peer what from has received.
func (p *Port) sendUDPTL(from *Port, b []byte) {
	if !p.reachable() {
		from.drop(DropNowhere)
		return
	}
	s := p.conn
	if s == nil {
		s = p.rtp
	}
	if !p.loop.send(s, b, &p.dest) {
		p.drop(DropSend)
		return
	}
	if p.told[1] {
		p.soon()
	}
	p.lastOut, p.told[1] = p.loop.now, false
	p.fax.packetsOut++
	p.fax.bytesOut += uint64(len(b))
	p.loop.total.PacketsOut++
	p.loop.total.BytesOut += uint64(len(b))
}

// udptl counts a leg's fax packets.
type udptl struct{ packetsIn, bytesIn, packetsOut, bytesOut uint64 }
