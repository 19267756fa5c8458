package relay

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"tandem/media/rtp"
)

// reportEvery is how often the peer hears a report: one that was passed on, or else our own (RFC 3550 §6.2's minimum).
const reportEvery = 5 * time.Second

// receiveRTCP takes a report. It is checked like RTP, read for what it says about us, and passed on under our own SSRCs.
func (p *Port) receiveRTCP(b []byte, from netip.AddrPort) {
	now := p.loop.now
	if !p.reporter(from) {
		p.drop(DropSource)
		p.strayed(openRTCP)
		return
	}
	rate, video := &p.reports, p.web != nil && p.web.video != nil
	if video {
		rate = &p.web.video.reports
	}
	if !rate.allow(now) {
		p.drop(DropRate)
		return
	}
	var c rtp.Compound
	var err error
	switch {
	case video:
		c, err = p.set.Unprotect.UnprotectReduced(b)
	case p.set.Unprotect != nil:
		c, err = p.set.Unprotect.UnprotectRTCP(b)
	default:
		c, err = rtp.ParseCompound(b)
	}
	if err != nil {
		p.drop(refusal(err))
		return
	}
	// Reports belong to the stream that we hear. A peer that only listens has none, and may report under any SSRC.
	// A browser's are authentic, and may come under the SSRC of another section of its transport.
	if p.web == nil && p.inSSRC && c.SSRC() != p.in.SSRC {
		p.drop(DropReport)
		return
	}
	if !p.admitRTCP(from) {
		p.drop(DropSource)
		return
	}
	p.rtcpIn++
	p.readReports(c)
	if q := p.peer; video && q != nil && q.web != nil && q.web.video != nil {
		q.passVideoReports(p, c)
	}
}

// reporter is the cheap question before a key is tried; admitRTCP decides.
func (p *Port) reporter(from netip.AddrPort) bool {
	if p.web != nil {
		return p.set.Unprotect != nil // where it comes from was checked
	}
	if p.set.Mux {
		return from == p.source.latched || from == p.source.exact
	}
	return from.Addr() == p.control.exact.Addr() && from == p.control.exact ||
		p.source.latched.IsValid() && from.Addr() == p.source.latched.Addr()
}

func (p *Port) admitRTCP(from netip.AddrPort) bool {
	if p.set.Mux {
		return true // reporter said all there is: with mux RTCP comes from where RTP is latched, or the exact SDP address
	}
	was := p.control.latched
	if !p.control.judge(from, p.source.latched, p.loop.now) {
		return false
	}
	if was != p.control.latched {
		p.soon()
		p.aim()
	}
	return true
}

// readReports takes what concerns us from a compound and composes from the rest what the other leg shall hear. SR and RR pass
// with the numbers of the streams on that side; a BYE ends no call, and APP, XR and feedback are about things not negotiated.
func (p *Port) readReports(c rtp.Compound) {
	now := p.loop.now
	var info *rtp.SenderInfo
	var sender rtp.SenderInfo
	var block rtp.Report
	var blocks int
	for ctl := range c.All() {
		if s, ok := ctl.Sender(); ok && ctl.SSRC() == p.in.SSRC && p.inSSRC {
			p.in.HeardSR(s, now)
			sender, info = s, &sender
		}
		for i := range ctl.Reports() {
			if r := ctl.Report(i); r.SSRC == p.out.SSRC {
				block, blocks = r, 1
			}
		}
	}
	if blocks > 0 {
		p.remote = block
		if p.trip != nil {
			if rtt, ok := p.trip.Heard(block, now); ok {
				p.rtt, p.in.RTT = rtt, rtt
			}
		}
	}
	if q := p.peer; q != nil && q != p {
		q.passReport(p, info, block, blocks)
	}
}

// passReport sends the peer of this port what from's peer reported, if this port is relaying from's stream now.
func (p *Port) passReport(from *Port, info *rtp.SenderInfo, block rtp.Report, blocks int) {
	if p.out.feeder != from || p.out.ssrc != from.in.SSRC {
		info = nil // what the peer hears is not the stream that the SR is about
	}
	// The block is about what from sent. It goes on only if that was p's stream, under its own numbers.
	if blocks == 0 || !p.inSSRC || from.out.feeder != p || from.out.ssrc != p.in.SSRC {
		blocks = 0
	} else {
		if block.LSR != from.passedLSR { // it answers an SR of our own
			block.LSR, block.DLSR = 0, 0
		}
		behind := from.out.seq - uint16(block.HighestSeq)
		block.SSRC = p.in.SSRC
		block.HighestSeq = p.in.ExtendedSeq() - uint32(behind)
	}
	if info == nil && blocks == 0 {
		return // our own report will come in its time
	}
	if info != nil {
		info.Timestamp += p.out.tsShift
		p.passedLSR = info.LSR()
		info.Packets, info.Octets = uint32(p.out.Packets), uint32(p.out.Octets)
	}
	var one [1]rtp.Report
	one[0] = block
	p.sendReport(info, one[:blocks])
}

// sendReport composes an SR or RR with our CNAME and sends it.
func (p *Port) sendReport(info *rtp.SenderInfo, blocks []rtp.Report) {
	if !p.rdst.addr.IsValid() || p.mute || p.web != nil && !p.web.open(p.loop.now) {
		return
	}
	l := p.loop
	b := rtp.AppendCompound(l.scratch[:0], p.out.SSRC, info, blocks, p.cname)
	if info != nil {
		if p.trip == nil {
			p.trip = new(rtp.RoundTrip)
		}
		p.trip.Sent(info.LSR(), l.now)
	}
	if p.set.Protect != nil {
		var err error
		if b, err = p.set.Protect.ProtectRTCP(b); err != nil {
			p.drop(DropSend)
			return
		}
	}
	s := p.rtcp
	if p.set.Mux {
		s = p.outlet()
	}
	if !l.send(s, b, &p.rdst) {
		p.drop(DropSend)
		return
	}
	p.rtcpOut++
	l.total.PacketsOut++
	l.total.BytesOut += uint64(len(b))
	// RFC 3550 §6.3.5: between half and one and a half times the interval, that reports do not march in step.
	p.nextRTCP = l.now.Add(reportEvery/2 + time.Duration(rand.Int64N(int64(reportEvery))))
	p.soon()
}

// hearsReports tells whether the peer is one that hears reports of our own.
func (p *Port) hearsReports() bool { return p.source.latched.IsValid() && !p.set.UDPTL }

// reportOurselves sends a report of our own to a latched peer that had none for a while: nobody speaks on the other side, or one
// who does not report.
func (p *Port) reportOurselves() {
	now := p.loop.now
	if now.Before(p.nextRTCP) || !p.hearsReports() {
		return
	}
	if p.nextRTCP.IsZero() {
		p.nextRTCP = now.Add(time.Duration(rand.Int64N(int64(reportEvery))))
		return
	}
	p.nextRTCP = now.Add(reportEvery)
	var info *rtp.SenderInfo
	if p.out.begun && p.set.MaySend {
		i := p.out.Info(now)
		info = &i
	}
	var blocks []rtp.Report
	if p.inSSRC {
		blocks = []rtp.Report{p.in.Report(now)}
	}
	p.sendReport(info, blocks)
}
