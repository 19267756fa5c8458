package relay

import "time"

// lookAfter does for a port what no packet brings about. The loop calls it with the chores after nextLook, which knows all that is done here.
func (p *Port) lookAfter() {
	now := p.loop.now
	if p.web != nil {
		p.web.lookAfter(p)
	} else {
		p.loop.resume(p.rtp)
		p.loop.resume(p.rtcp)
	}
	if at := p.presses.Deadline(); !at.IsZero() && !now.Before(at) {
		p.pressed = p.presses.Tick(now, p.pressed[:0])
		p.tell()
	}
	p.watchSilence(now)
	p.reportOurselves()
}

// watchSilence reports a direction in which somebody should speak and nobody did. Each on its own: a leg that is fed by a player hides
// a dead peer otherwise. To a peer that is silent too long nothing more is sent until it speaks again, for that is what
// a victim of somebody else's SDP looks like.
func (p *Port) watchSilence(now time.Time) {
	if limit := p.set.SilenceIn; limit > 0 && !p.told[0] && now.Sub(p.lastIn) >= limit {
		p.told[0] = true
		p.mute = p.set.MayReceive
		p.emit(Event{Kind: Silence, Inbound: true})
	}
	if limit := p.set.SilenceOut; limit > 0 && !p.told[1] && p.fed() && now.Sub(p.lastOut) >= limit {
		p.told[1] = true
		p.emit(Event{Kind: Silence})
	}
}

// fed says whether somebody should speak to the peer.
func (p *Port) fed() bool { return p.peer != nil || p.play != nil }
