package phone

import (
	"errors"
	"net"
	"time"

	"github.com/pion/rtcp"
)

// control builds a sender or receiver report with our name, and a BYE at the end (RFC 3550 §6). The caller holds mu,
// and gives what this returns to writeControl after it let go: a PeerConnection has locks of its own.
func (s *stream) control(end bool) []rtcp.Packet {
	if !s.ready || s.peer == nil && (!s.agreed.rtcp.IsValid() || s.agreed.rtcp.Addr().IsUnspecified()) {
		return nil
	}
	now := time.Now()
	var reports []rtcp.ReceptionReport
	if s.hearing.started {
		reports = append(reports, s.hearing.block(now))
	}
	out := &s.sending
	packets := []rtcp.Packet{&rtcp.ReceiverReport{SSRC: out.ssrc, Reports: reports}}
	if out.packets > 0 {
		packets[0] = &rtcp.SenderReport{SSRC: out.ssrc, NTPTime: ntpTime(now), RTPTime: out.timestamp,
			PacketCount: out.packets, OctetCount: out.octets, Reports: reports}
	}
	packets = append(packets, &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: out.ssrc,
		Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "tandem-phone"}}}}})
	if end {
		packets = append(packets, &rtcp.Goodbye{Sources: []uint32{out.ssrc}})
	}
	return packets
}

func (s *stream) writeControl(packets []rtcp.Packet) {
	if len(packets) == 0 {
		return
	}
	if s.peer != nil {
		s.peer.writeControl(packets)
		return
	}
	data, err := rtcp.Marshal(packets)
	s.mu.Lock()
	to := s.agreed.rtcp
	if err == nil && s.seal.outRTCP != nil {
		data, err = s.seal.outRTCP.EncryptRTCP(nil, data, nil)
	}
	s.mu.Unlock()
	if err != nil {
		s.log.Warn("RTCP not built", "error", err)
		return
	}
	_, _ = s.rtcp.WriteToUDPAddrPort(data, to)
}

func (s *stream) receiveControl() {
	buf := make([]byte, 2048)
	for {
		n, err := s.rtcp.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			s.controlPacket(buf[:n], time.Now())
		}
	}
}

func (s *stream) controlPacket(data []byte, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	plain, err := data, error(nil)
	if s.seal.inRTCP != nil {
		plain, err = s.seal.inRTCP.DecryptRTCP(nil, data, nil)
	}
	var packets []rtcp.Packet
	if err == nil {
		packets, err = rtcp.Unmarshal(plain)
	}
	if err != nil {
		s.hearing.control++
		s.log.Debug("RTCP rejected", "bytes", len(data), "error", err)
		return
	}
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			if p.SSRC == s.hearing.ssrc {
				s.hearing.lastSR, s.hearing.lastSRAt = uint32(p.NTPTime>>16), now
			}
			s.blocks(p.Reports, now)
		case *rtcp.ReceiverReport:
			s.blocks(p.Reports, now)
		case *rtcp.Goodbye:
			s.hearing.goodbye = true // it never ends the call: anybody could have sent it
		}
	}
}

func (s *stream) blocks(reports []rtcp.ReceptionReport, now time.Time) {
	for _, b := range reports {
		if b.SSRC == s.sending.ssrc {
			s.hearing.remoteRR = b
			if rtt := roundTrip(b, now); rtt > 0 {
				s.hearing.rtt = rtt
			}
		}
	}
}
