package rtp

import (
	"encoding/binary"
	"time"
)

// NTP turns a wall-clock time into the 64-bit format of RFC 3550 §4.
func NTP(t time.Time) uint64 {
	const from1900 = 2208988800 // seconds between 1900 and 1970
	frac := uint64(t.Nanosecond()) << 32 / uint64(time.Second)
	return uint64(t.Unix()+from1900)<<32 | frac
}

// AppendCompound appends a compound of ours: an SR if info is given, else an RR, with at most 31 report blocks, and an SDES with our CNAME
// (at most 255 bytes of it). This is the least that RFC 3550 §6.1 allows.
func AppendCompound(dst []byte, ssrc uint32, info *SenderInfo, reports []Report, cname string) []byte {
	reports = reports[:min(len(reports), 31)]
	words := 1 + 6*len(reports)
	kind := byte(TypeRR)
	if info != nil {
		words += 5
		kind = TypeSR
	}
	dst = append(dst, 0x80|byte(len(reports)), kind)
	dst = binary.BigEndian.AppendUint16(dst, uint16(words))
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	if info != nil {
		dst = binary.BigEndian.AppendUint64(dst, info.NTP)
		dst = binary.BigEndian.AppendUint32(dst, info.Timestamp)
		dst = binary.BigEndian.AppendUint32(dst, info.Packets)
		dst = binary.BigEndian.AppendUint32(dst, info.Octets)
	}
	for _, r := range reports {
		dst = appendReport(dst, r)
	}
	return AppendCNAME(dst, ssrc, cname)
}

func appendReport(dst []byte, r Report) []byte {
	lost := uint32(max(-1<<23, min(1<<23-1, r.Lost))) & 0xffffff
	dst = binary.BigEndian.AppendUint32(dst, r.SSRC)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.FractionLost)<<24|lost)
	dst = binary.BigEndian.AppendUint32(dst, r.HighestSeq)
	dst = binary.BigEndian.AppendUint32(dst, r.Jitter)
	dst = binary.BigEndian.AppendUint32(dst, r.LSR)
	return binary.BigEndian.AppendUint32(dst, r.DLSR)
}

// AppendCNAME appends an SDES with the canonical name of a source, at most 255 bytes of it (RFC 3550 §6.5).
func AppendCNAME(dst []byte, ssrc uint32, cname string) []byte {
	cname = cname[:min(len(cname), 255)]
	body := (4 + 2 + len(cname) + 1 + 3) &^ 3 // SSRC, item, at least one null, filled up
	dst = append(dst, 0x81, TypeSDES)
	dst = binary.BigEndian.AppendUint16(dst, uint16(body/4))
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	dst = append(dst, 1, byte(len(cname)))
	dst = append(dst, cname...)
	for n := 6 + len(cname); n < body; n++ {
		dst = append(dst, 0)
	}
	return dst
}

// AppendBye appends a BYE for one source, to stand at the end of a compound (RFC 3550 §6.6).
func AppendBye(dst []byte, ssrc uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0x81, TypeBYE, 0, 1), ssrc)
}
