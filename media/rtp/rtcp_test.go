package rtp

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func sampleCompound(t testing.TB) []byte {
	t.Helper()
	b, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{
			SSRC: 7, NTPTime: 0x0102030405060708, RTPTime: 9, PacketCount: 10, OctetCount: 11,
			Reports: []rtcp.ReceptionReport{{SSRC: 12, FractionLost: 13, TotalLost: 0xfffffe, LastSequenceNumber: 15, Jitter: 16, LastSenderReport: 17, Delay: 18}},
		},
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
			Source: 7, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESTool, Text: "t"}, {Type: rtcp.SDESCNAME, Text: "a@b"}},
		}}},
		&rtcp.Goodbye{Sources: []uint32{7}, Reason: "done"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCompoundReadsAsPionWrites(t *testing.T) {
	c, err := ParseCompound(sampleCompound(t))
	if err != nil {
		t.Fatal(err)
	}
	if c.SSRC() != 7 {
		t.Errorf("SSRC %d", c.SSRC())
	}
	var types []uint8
	for one := range c.All() {
		types = append(types, one.Type())
		if one.SSRC() != 7 {
			t.Errorf("SSRC of type %d: %d", one.Type(), one.SSRC())
		}
		switch one.Type() {
		case TypeSR:
			info, ok := one.Sender()
			if want := (SenderInfo{0x0102030405060708, 9, 10, 11}); !ok || info != want {
				t.Errorf("sender %+v", info)
			}
			if info.LSR() != 0x03040506 {
				t.Errorf("LSR %x", info.LSR())
			}
			if want := (Report{12, 13, -2, 15, 16, 17, 18}); one.Reports() != 1 || one.Report(0) != want {
				t.Errorf("%d reports, %+v", one.Reports(), one.Report(0))
			}
		case TypeSDES:
			if string(one.CNAME()) != "a@b" {
				t.Errorf("CNAME %q", one.CNAME())
			}
			if one.Reports() != 0 {
				t.Errorf("SDES with %d reports", one.Reports())
			}
		}
	}
	if !reflect.DeepEqual(types, []uint8{TypeSR, TypeSDES, TypeBYE}) {
		t.Errorf("types %v", types)
	}
}

func TestParseCompoundRefuses(t *testing.T) {
	good := sampleCompound(t)
	whole := map[int]bool{52: true, 52 + 20: true, len(good): true} // where one of its packets ends
	for n := range len(good) {
		if _, err := ParseCompound(good[:n]); (err == nil) != whole[n] {
			t.Errorf("%d of %d bytes: %v", n, len(good), err)
		}
	}
	rr := []byte{0x80, TypeRR, 0, 1, 0, 0, 0, 7}
	for name, b := range map[string][]byte{
		"four bytes":                {0x80, TypeRR, 0, 0},
		"RR without SSRC, twice":    {0x80, TypeRR, 0, 0, 0x80, TypeRR, 0, 0},
		"version 1":                 {0x40, TypeRR, 0, 1, 0, 0, 0, 7},
		"length beyond":             {0x80, TypeRR, 0, 2, 0, 0, 0, 7},
		"report block missing":      {0x81, TypeRR, 0, 1, 0, 0, 0, 7},
		"SDES first":                {0x81, TypeSDES, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0},
		"BYE first":                 {0x81, TypeBYE, 0, 1, 0, 0, 0, 7},
		"padding on the first":      {0xa0, TypeRR, 0, 2, 0, 0, 0, 7, 0, 0, 0, 4},
		"type out of range":         append(rr[:8:8], 0x80, 191, 0, 1, 0, 0, 0, 7),
		"SDES item beyond":          append(rr[:8:8], 0x81, TypeSDES, 0, 2, 0, 0, 0, 7, 1, 9, 'a', 'b'),
		"SDES without null":         append(rr[:8:8], 0x81, TypeSDES, 0, 2, 0, 0, 0, 7, 1, 2, 'a', 'b'),
		"SDES chunk missing":        append(rr[:8:8], 0x82, TypeSDES, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0),
		"BYE source missing":        append(rr[:8:8], 0x82, TypeBYE, 0, 1, 0, 0, 0, 7),
		"BYE reason beyond":         append(rr[:8:8], 0x81, TypeBYE, 0, 2, 0, 0, 0, 7, 9, 'a', 'b', 'c'),
		"SR as short as an RR":      {0x80, TypeSR, 0, 1, 0, 0, 0, 7},
		"padding that is no word":   append(rr[:8:8], 0xa1, TypeBYE, 0, 2, 0, 0, 0, 7, 0, 0, 0, 3),
		"padding beyond":            append(rr[:8:8], 0xa1, TypeBYE, 0, 2, 0, 0, 0, 7, 0, 0, 0, 12),
		"padding eats the source":   append(rr[:8:8], 0xa1, TypeBYE, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8),
		"feedback without its SSRC": append(rr[:8:8], 0x81, TypePSFB, 0, 1, 0, 0, 0, 7),
		"3 bytes behind the last":   append(rr[:8:8], 0, 0, 0),
		"longer than a packet":      make([]byte, 1504),
	} {
		if _, err := ParseCompound(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for name, b := range map[string][]byte{
		"RR alone":             rr,
		"unknown type behind":  append(rr[:8:8], 0x80, 210, 0, 0),
		"padding on the last":  append(rr[:8:8], 0xa1, TypeBYE, 0, 2, 0, 0, 0, 7, 0, 0, 0, 4),
		"empty SDES":           append(rr[:8:8], 0x80, TypeSDES, 0, 0),
		"RR with an extension": {0x80, TypeRR, 0, 2, 0, 0, 0, 7, 1, 2, 3, 4},
	} {
		if _, err := ParseCompound(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAppendCompoundReadsInPion(t *testing.T) {
	info := &SenderInfo{NTP: 1 << 40, Timestamp: 2, Packets: 3, Octets: 4}
	report := Report{SSRC: 5, FractionLost: 6, Lost: -7, HighestSeq: 8, Jitter: 9, LSR: 10, DLSR: 11}
	for _, cname := range []string{"", "a", "ab", "abc", "abcd", "abcde"} {
		for _, sender := range []*SenderInfo{nil, info} {
			b := AppendBye(AppendCompound(nil, 99, sender, []Report{report}, cname), 99)
			packets, err := rtcp.Unmarshal(b)
			if err != nil {
				t.Fatalf("cname %q: pion: %v", cname, err)
			}
			if len(packets) != 3 {
				t.Fatalf("%d packets", len(packets))
			}
			if sender != nil {
				sr := packets[0].(*rtcp.SenderReport)
				if sr.SSRC != 99 || sr.NTPTime != 1<<40 || sr.RTPTime != 2 || sr.PacketCount != 3 || sr.OctetCount != 4 || len(sr.Reports) != 1 {
					t.Errorf("SR %+v", sr)
				}
			} else if rr := packets[0].(*rtcp.ReceiverReport); rr.SSRC != 99 || rr.Reports[0].Delay != 11 || rr.Reports[0].TotalLost != 0xfffff9 {
				t.Errorf("RR %+v", rr)
			}
			if text := packets[1].(*rtcp.SourceDescription).Chunks[0].Items[0].Text; text != cname {
				t.Errorf("CNAME %q, want %q", text, cname)
			}
			c, err := ParseCompound(b)
			if err != nil {
				t.Fatalf("we cannot read it: %v", err)
			}
			for one := range c.All() {
				if one.Reports() > 0 && one.Report(0) != report {
					t.Errorf("report %+v", one.Report(0))
				}
			}
		}
	}
}

func TestCompoundDoesNotAllocate(t *testing.T) {
	b := sampleCompound(t)
	out := make([]byte, 0, 200)
	reports := []Report{{SSRC: 1}}
	n := testing.AllocsPerRun(1000, func() {
		c, err := ParseCompound(b)
		if err != nil {
			t.Fatal(err)
		}
		for one := range c.All() {
			for i := range one.Reports() {
				reports[0] = one.Report(i)
			}
		}
		out = AppendCompound(out[:0], 1, nil, reports, "cname")
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestNTP(t *testing.T) {
	// RFC 5905 figure 4: 1 January 1970 and 31 December 1999.
	for _, test := range []struct {
		at   time.Time
		want uint64
	}{
		{time.Unix(0, 0), 2208988800 << 32},
		{time.Date(1999, 12, 31, 0, 0, 0, 500_000_000, time.UTC), 3155587200<<32 | 1<<31},
	} {
		if got := NTP(test.at); got != test.want {
			t.Errorf("NTP(%v) = %x, want %x", test.at, got, test.want)
		}
	}
}

func FuzzParseCompound(f *testing.F) {
	f.Add(sampleCompound(f))
	f.Add([]byte{0x80, TypeRR, 0, 1, 0, 0, 0, 7, 0xa1, TypeBYE, 0, 2, 0, 0, 0, 7, 0, 0, 0, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		c, err := ParseCompound(b)
		if err != nil {
			return
		}
		n := 0
		for one := range c.All() {
			n += len(one)
			one.SSRC()
			one.Sender()
			one.CNAME()
			for i := range one.Reports() {
				rep := one.Report(i)
				again, err := ParseCompound(AppendCompound(nil, 1, nil, []Report{rep}, "x"))
				if err != nil {
					t.Fatal(err)
				}
				for rr := range again.All() {
					if rr.Type() == TypeRR && rr.Report(0) != rep {
						t.Fatalf("round trip of %+v: %+v", rep, rr.Report(0))
					}
				}
			}
		}
		if n > len(b) || !bytes.Equal(b, before) {
			t.Fatal("reading changed or exceeded the datagram")
		}
	})
}

// Feedback that stands alone and is padded by a byte or two, as Chromium sends that on arrival times, is taken only where it is asked for.
func TestParseReduced(t *testing.T) {
	twcc := []byte{0xaf, TypeRTPFB, 0, 5, 0, 0, 0, 7, 0, 0, 0, 9, 0, 1, 0, 1, 0, 0, 0, 0, 0x20, 1, 4, 1}
	pli := []byte{0x81, TypePSFB, 0, 2, 0, 0, 0, 7, 0, 0, 0, 9}
	for name, b := range map[string][]byte{"padded": twcc, "alone": pli, "two": append(twcc[:len(twcc):len(twcc)], pli...)} {
		if _, err := ParseCompound(b); err == nil {
			t.Errorf("%s: a compound", name)
		}
		c, err := ParseReduced(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n := 0
		for one := range c.All() {
			n += len(one.Whole())
			if !one.VideoFeedback() || one.Media() != 9 {
				t.Errorf("%s: type %d about %d", name, one.Type(), one.Media())
			}
		}
		if n != len(b) {
			t.Errorf("%s: %d of %d bytes", name, n, len(b))
		}
	}
	for name, b := range map[string][]byte{
		"BYE alone":        {0x81, TypeBYE, 0, 1, 0, 0, 0, 7},
		"padding beyond":   append(twcc[:len(twcc)-1:len(twcc)-1], 21),
		"PLI padded by 1":  append([]byte{0xa1, TypePSFB, 0, 3, 0, 0, 0, 7, 0, 0, 0, 9}, 0, 0, 0, 1),
		"without its SSRC": {0x81, TypePSFB, 0, 1, 0, 0, 0, 7},
	} {
		if _, err := ParseReduced(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
