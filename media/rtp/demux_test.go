package rtp

import "testing"

func TestDemux(t *testing.T) {
	for name, test := range map[string]struct {
		b    []byte
		want Kind
	}{
		"nothing":            {nil, KindUnknown},
		"one byte":           {[]byte{0x80}, KindUnknown},
		"STUN first":         {[]byte{0, 1}, KindSTUN},
		"STUN last":          {[]byte{3, 1}, KindSTUN},
		"above STUN":         {[]byte{4, 1}, KindUnknown},
		"ZRTP":               {[]byte{16, 0}, KindZRTP},
		"DTLS first":         {[]byte{20, 254}, KindDTLS},
		"DTLS last":          {[]byte{63, 254}, KindDTLS},
		"TURN":               {[]byte{64, 0}, KindTURN},
		"above TURN":         {[]byte{80, 0}, KindUnknown},
		"below RTP":          {[]byte{127, 0}, KindUnknown},
		"PCMA":               {[]byte{0x80, 8}, KindRTP},
		"PCMA with marker":   {[]byte{0x80, 0x88}, KindRTP},
		"event with marker":  {[]byte{0x80, 0x80 | 101}, KindRTP},
		"below RTCP":         {[]byte{0x80, 191}, KindRTP},
		"FIR, first of RTCP": {[]byte{0x80, 192}, KindRTCP},
		"SR":                 {[]byte{0x81, 200}, KindRTCP},
		"last of RTCP":       {[]byte{0xbf, 223}, KindRTCP},
		"above RTCP":         {[]byte{0x80, 224}, KindRTP},
		"above all":          {[]byte{192, 200}, KindUnknown},
	} {
		if got := Demux(test.b); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
