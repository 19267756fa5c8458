package cluster

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// frame reads a frame that is written in hexadecimal digits, with blanks and line ends where a reader wants them.
func frame(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Neighbours are told by a question and by an answer that both name the address twice, to everybody (RFC 5227 §3).
func TestGratuitousARP(t *testing.T) {
	t.Parallel()
	mac, ip := frame(t, "02005e100001"), []byte{192, 0, 2, 100}
	for _, c := range []struct {
		operation byte
		want      string
	}{
		{1, `ffffffffffff 02005e100001 0806
			0001 0800 06 04 0001
			02005e100001 c0000264
			000000000000 c0000264`},
		{2, `ffffffffffff 02005e100001 0806
			0001 0800 06 04 0002
			02005e100001 c0000264
			ffffffffffff c0000264`},
	} {
		if got := arpFrame(mac, ip, c.operation); !bytes.Equal(got, frame(t, c.want)) {
			t.Errorf("operation %d: % x", c.operation, got)
		}
	}
}

// An unsolicited advertisement (RFC 4861 §4.4, §7.2.6) goes to all nodes with a hop limit of 255, which nobody beyond the link can send;
// it overrides what they know, answers nobody, and names the address and, as its target's link-layer address, the interface.
func TestNeighbourAdvertisement(t *testing.T) {
	t.Parallel()
	got := advertisement(frame(t, "02005e100001"), netip.MustParseAddr("2001:db8::100").As16())
	want := frame(t, `333300000001 02005e100001 86dd
		60000000 0020 3a ff
		20010db8000000000000000000000100
		ff020000000000000000000000000001
		88 00 991c 20000000
		20010db8000000000000000000000100
		02 01 02005e100001`)
	if !bytes.Equal(got, want) {
		t.Errorf("% x", got)
	}
}

// Who receives an advertisement adds up the pseudo header and the message with its checksum, and drops it unless the sum is all ones (RFC 4443
// §2.3, RFC 1071), whatever carries there are.
func TestAdvertisementChecksum(t *testing.T) {
	t.Parallel()
	for _, ip := range []string{"2001:db8::100", "fe80::1", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd00:8000:8000:8000:8000:8000:8000:8000"} {
		for _, mac := range []string{"02005e100001", "fefffffffffe", "feffffffffff"} {
			f := advertisement(frame(t, mac), netip.MustParseAddr(ip).As16())
			const header = 14 + 40
			summed := append(bytes.Clone(f[14+8:header]), 0, 0, 0, byte(len(f)-header), 0, 0, 0, 58)
			summed = append(summed, f[header:]...)
			sum := 0
			for len(summed) > 0 {
				sum += int(binary.BigEndian.Uint16(summed))
				if sum > 0xffff {
					sum -= 0xffff
				}
				summed = summed[2:]
			}
			if sum != 0xffff {
				t.Errorf("%s at %s: %#x", ip, mac, sum)
			}
		}
	}
}
