package rtp

import (
	"bytes"
	"errors"
	"testing"

	pion "github.com/pion/rtp"
)

// marshalled is a packet by pion, with all that a header can have.
func marshalled(t testing.TB, extension, padding bool, csrc int) []byte {
	t.Helper()
	p := pion.Packet{
		Header: pion.Header{
			Version: 2, Marker: true, PayloadType: 101, SequenceNumber: 65534, Timestamp: 0xfffffff0, SSRC: 0xdeadbeef,
			CSRC: []uint32{1, 2, 3}[:csrc],
		},
		Payload: []byte("hello, telephone"),
	}
	if extension {
		if err := p.Header.SetExtension(1, []byte{0xaa, 0xbb}); err != nil {
			t.Fatal(err)
		}
	}
	if padding {
		p.Header.Padding, p.PaddingSize, p.Header.PaddingSize = true, 4, 4
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPacketReadsAsPionWrites(t *testing.T) {
	for _, extension := range []bool{false, true} {
		for _, padding := range []bool{false, true} {
			for csrc := range 4 {
				b := marshalled(t, extension, padding, csrc)
				p, err := Parse(b)
				if err != nil {
					t.Fatalf("extension %v padding %v csrc %d: %v", extension, padding, csrc, err)
				}
				if p.PayloadType() != 101 || !p.Marker() || p.Seq() != 65534 || p.Timestamp() != 0xfffffff0 || p.SSRC() != 0xdeadbeef {
					t.Errorf("header of % x", b)
				}
				if string(p.Payload()) != "hello, telephone" {
					t.Errorf("payload %q", p.Payload())
				}
				bare := p.Bare()
				if string(bare.Payload()) != "hello, telephone" || len(bare) != HeaderLen+16 || &bare[0] != &b[0] || bare.Seq() != 65534 || !bare.Marker() {
					t.Errorf("bare: % x", bare)
				}
			}
		}
	}
}

func TestPacketRewrites(t *testing.T) {
	p, err := Parse(marshalled(t, true, false, 2))
	if err != nil {
		t.Fatal(err)
	}
	p.SetPayloadType(8)
	p.SetMarker(false)
	p.SetSeq(7)
	p.SetTimestamp(160)
	p.SetSSRC(42)
	var got pion.Packet
	if err := got.Unmarshal(p); err != nil {
		t.Fatal(err)
	}
	if got.PayloadType != 8 || got.Marker || got.SequenceNumber != 7 || got.Timestamp != 160 || got.SSRC != 42 || len(got.CSRC) != 2 {
		t.Errorf("pion reads %+v", got.Header)
	}
	p.SetMarker(true)
	if p.PayloadType() != 8 || !p.Marker() {
		t.Error("marker and payload type disturb each other")
	}
}

func TestAppendHeader(t *testing.T) {
	b := append(AppendHeader(nil, Header{PayloadType: 96, Marker: true, Seq: 1, Timestamp: 2, SSRC: 3}), "xy"...)
	want := []byte{0x80, 0xe0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 'x', 'y'}
	if !bytes.Equal(b, want) {
		t.Errorf("% x, want % x", b, want)
	}
}

func TestParseRefuses(t *testing.T) {
	good := marshalled(t, true, true, 3)
	for n := range len(good) {
		p, err := Parse(good[:n])
		// Cut inside the payload the last byte is text, taken for a padding count that is too long.
		if err == nil {
			t.Errorf("%d of %d bytes taken, payload %q", n, len(good), p.Payload())
		}
	}
	for name, test := range map[string]struct {
		b    []byte
		want error
	}{
		"version 1":                   {[]byte{0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ErrVersion},
		"version 3":                   {[]byte{0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ErrVersion},
		"15 CSRCs that are not there": {[]byte{0x8f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, ErrShort},
		"extension header missing":    {[]byte{0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2}, ErrExtension},
		"extension of 65535 words":    {[]byte{0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde, 0xff, 0xff}, ErrExtension},
		"padding of nothing":          {[]byte{0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ErrPadding},
		"padding beyond the payload":  {[]byte{0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, ErrPadding},
		"padding without payload":     {[]byte{0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12}, ErrPadding},
		"1501 bytes":                  {append([]byte{0x80}, make([]byte, 1500)...), ErrOversize},
	} {
		if _, err := Parse(test.b); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if _, err := ParseProtected([]byte{0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99}); err != nil {
		t.Errorf("ParseProtected judges ciphertext as padding: %v", err)
	}
}

func TestPacketPathDoesNotAllocate(t *testing.T) {
	b := marshalled(t, false, false, 0)
	var r Receiver
	n := testing.AllocsPerRun(1000, func() {
		if Demux(b) != KindRTP {
			t.Fatal("not RTP")
		}
		p, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		p.SetSeq(p.Seq() + 1)
		r.Receive(p, epoch)
		p.SetPayloadType(8)
	})
	if n != 0 {
		t.Errorf("%v allocations a packet, want 0", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(marshalled(f, true, true, 3))
	f.Add(marshalled(f, false, false, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		payload := append([]byte(nil), p.Payload()...)
		var theirs pion.Packet
		if err := theirs.Unmarshal(b); err == nil {
			if theirs.SSRC != p.SSRC() || theirs.SequenceNumber != p.Seq() || !bytes.Equal(theirs.Payload, payload) {
				t.Fatalf("pion reads %v, we % x", theirs, payload)
			}
		}
		head := Header{p.PayloadType(), p.Marker(), p.Seq(), p.Timestamp(), p.SSRC()}
		bare := p.Bare()
		if want := append(AppendHeader(nil, head), payload...); !bytes.Equal(bare, want) {
			t.Fatalf("bare % x, want % x", bare, want)
		}
	})
}
