package relay

import "tandem/media/rtp"

// A Sink listens to what the peer of a port says.
type Sink interface {
	// Hear takes the payload of one packet, which is not its own: it is rewritten and sent on after the call. It runs in the
	// port's loop, so it must not block. Packets come as the network gave them: some late, none twice.
	Hear(f Format, timestamp uint32, payload []byte)
}

// Tap lets a sink hear the audio of the peer from now on, whoever else does; nil: no more.
func (p *Port) Tap(s Sink) error { return p.do(func() { p.sink = s }) }

// tapped gives a packet to the sink; false where it is nothing to hear.
func (p *Port) tapped(pkt rtp.Packet, r *route) bool {
	if r.event {
		return true
	}
	pt := pkt.PayloadType()
	f, ok := find(p.set.Receive, func(f Format) bool { return f.PayloadType == pt })
	if !ok || !f.Audio() {
		return false
	}
	p.sink.Hear(f, pkt.Timestamp(), pkt.Payload())
	return true
}
