package wire

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/srtp/v3"
)

// Media is one RTP stream each way, with PCMU packets of 20 ms. Each payload begins with the mark of its speaker and
// a count, so that what arrives tells who said it and what is missing.
type Media struct {
	Mark  string // four characters
	Local netip.AddrPort
	conn  *net.UDPConn
	keys  []byte // of SDES: 16 bytes of key, 14 of salt; nil: plain RTP

	mu      sync.Mutex
	to      netip.AddrPort
	sealer  *srtp.Context
	opener  *srtp.Context
	Sent    uint32
	ahead   uint32                    // what Sent runs to
	heard   map[string]map[uint32]int // count of each packet, by mark
	Foreign []string                  // the beginnings of payloads that nobody should have sent
	stop    chan struct{}
	running sync.WaitGroup
}

// NewMedia binds an even port of host: reports go to the odd one above (RFC 3550 §11), and none of them to another stream.
func NewMedia(t testing.TB, host, mark string) *Media {
	t.Helper()
	c, err := ListenEven(host)
	if err != nil {
		t.Fatal(err)
	}
	m := &Media{
		Mark: mark, conn: c, Local: c.LocalAddr().(*net.UDPAddr).AddrPort(), stop: make(chan struct{}),
		heard: map[string]map[uint32]int{},
	}
	m.running.Add(1)
	go m.listen()
	t.Cleanup(m.Stop)
	return m
}

// ListenEven binds an even port of host.
func ListenEven(host string) (c *net.UDPConn, err error) {
	for range 64 {
		if c, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)}); err != nil {
			return nil, err
		}
		if c.LocalAddr().(*net.UDPAddr).Port%2 == 0 {
			return c, nil
		}
		_ = c.Close()
	}
	return nil, errors.New("no even port is free")
}

// Secure makes it SRTP with keys in the SDP (RFC 4568). To be called before the SDP is written.
func (m *Media) Secure() *Media {
	m.keys = []byte(Token() + Token())[:30]
	return m
}

// Secret is the key as it stands in the SDP; empty for plain RTP.
func (m *Media) Secret() string {
	if m.keys == nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(m.keys)
}

// SDP offers this stream. A direction such as "sendonly" may be given.
func (m *Media) SDP(direction ...string) string { return m.sdp("RTP/SAVP", "1", direction) }

// Answer answers an offer with this stream: in its profile, and with the tag of the suite that we speak.
func (m *Media) Answer(offer string, direction ...string) string {
	profile, tag := "RTP/AVP", "1"
	for line := range strings.SplitSeq(offer, "\r\n") {
		if f := strings.Fields(line); strings.HasPrefix(line, "m=audio ") && len(f) > 2 {
			profile = f[2]
		}
		if rest, ok := strings.CutPrefix(line, "a=crypto:"); ok && strings.Contains(rest, " AES_CM_128_HMAC_SHA1_80 ") {
			tag, _, _ = strings.Cut(rest, " ")
		}
	}
	return m.sdp(profile, tag, direction)
}

func (m *Media) sdp(profile, tag string, direction []string) string {
	crypto := ""
	if m.keys == nil {
		profile = "RTP/AVP"
	} else {
		crypto = "a=crypto:" + tag + " AES_CM_128_HMAC_SHA1_80 inline:" + m.Secret() + "\r\n"
	}
	way := "sendrecv"
	if len(direction) > 0 {
		way = direction[0]
	}
	return fmt.Sprintf("v=0\r\no=- %d 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d %s 0\r\na=rtpmap:0 PCMU/8000\r\n%sa=%s\r\n",
		m.Local.Port(), m.Local.Addr(), m.Local.Addr(), m.Local.Port(), profile, crypto, way)
}

// Start sends to where the other side's SDP says, every 20 ms until Stop.
func (m *Media) Start(t testing.TB, sdp string) {
	t.Helper()
	to, key, err := destination(sdp)
	if err != nil {
		t.Fatalf("%v in\n%s", err, sdp)
	}
	m.mu.Lock()
	started := m.to.IsValid()
	m.to = to
	if m.keys != nil {
		m.sealer, err = srtp.CreateContext(m.keys[:16], m.keys[16:], srtp.ProtectionProfileAes128CmHmacSha1_80)
		if err == nil && len(key) == 30 {
			m.opener, err = srtp.CreateContext(key[:16], key[16:], srtp.ProtectionProfileAes128CmHmacSha1_80, srtp.SRTPNoReplayProtection())
		}
	}
	m.mu.Unlock()
	if err != nil || m.keys != nil && len(key) != 30 {
		t.Fatalf("SRTP: %v, key of %d bytes in\n%s", err, len(key), sdp)
	}
	if !started {
		m.running.Add(1)
		go m.speak()
	}
}

func destination(sdp string) (to netip.AddrPort, key []byte, err error) {
	host, port := "", ""
	for line := range strings.SplitSeq(sdp, "\r\n") {
		if rest, ok := strings.CutPrefix(line, "c=IN IP4 "); ok {
			host = rest
		}
		if rest, ok := strings.CutPrefix(line, "m=audio "); ok {
			port, _, _ = strings.Cut(rest, " ")
		}
		if _, rest, ok := strings.Cut(line, "AES_CM_128_HMAC_SHA1_80 inline:"); ok {
			rest, _, _ = strings.Cut(rest, "|")
			if key, err = base64.StdEncoding.DecodeString(rest); err != nil {
				return to, nil, err
			}
		}
	}
	to, err = netip.ParseAddrPort(net.JoinHostPort(host, port))
	return to, key, err
}

// Stop ends both ways.
func (m *Media) Stop() {
	m.mu.Lock()
	select {
	case <-m.stop:
	default:
		close(m.stop)
		_ = m.conn.Close()
	}
	m.mu.Unlock()
	m.running.Wait()
}

// Packet is an RTP packet of PCMU with a mark and a count.
func Packet(mark string, ssrc, count uint32) []byte {
	b := make([]byte, 172)
	b[0] = 0x80
	binary.BigEndian.PutUint16(b[2:], uint16(count))
	binary.BigEndian.PutUint32(b[4:], 160*count)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	copy(b[12:], mark)
	binary.BigEndian.PutUint32(b[16:], count)
	for i := 20; i < len(b); i++ {
		b[i] = 0xff // silence
	}
	return b
}

// stride is how many numbers are passed over at a time when a count runs ahead: who hears it takes them for lost, and not for another
// beginning (RFC 3550 §A.1, MAX_DROPOUT), also where a packet or two are lost indeed.
const stride = 1000

// next is the count after so many packets.
func next(sent, ahead uint32) uint32 {
	if sent < ahead {
		return min(sent+stride, ahead)
	}
	return sent + 1
}

// RunAhead has the count run ahead to that of a packet to come, with no time lost.
func (m *Media) RunAhead(to uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ahead = to
}

func (m *Media) speak() {
	defer m.running.Done()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ssrc := uint32(time.Now().UnixNano())
	for {
		m.mu.Lock()
		m.Sent = next(m.Sent, m.ahead)
		packet, to := Packet(m.Mark, ssrc, m.Sent), m.to
		if m.sealer != nil {
			packet, _ = m.sealer.EncryptRTP(nil, packet, nil)
		}
		m.mu.Unlock()
		_, _ = m.conn.WriteToUDPAddrPort(packet, to)
		select {
		case <-m.stop:
			return
		case <-tick.C:
		}
	}
}

func (m *Media) listen() {
	defer m.running.Done()
	buf := make([]byte, 2048)
	for {
		n, err := m.conn.Read(buf)
		select {
		case <-m.stop:
			return
		default:
		}
		if err == nil {
			m.take(buf[:n])
		}
	}
}

func (m *Media) take(packet []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys != nil && m.opener == nil {
		return // before the other side's key is known
	}
	if m.opener != nil {
		plain, err := m.opener.DecryptRTP(nil, packet, nil)
		if err != nil {
			m.Foreign = append(m.Foreign, "not decrypted: "+err.Error())
			return
		}
		packet = plain
	}
	if len(packet) < 20 || packet[0]>>6 != 2 {
		m.Foreign = append(m.Foreign, strconv.Quote(string(packet)))
		return
	}
	mark, count := string(packet[12:16]), binary.BigEndian.Uint32(packet[16:])
	if m.heard[mark] == nil {
		m.heard[mark] = map[uint32]int{}
	}
	m.heard[mark][count]++
}

// Heard is how many packets of a speaker arrived, and how many are missing between the first and the last of them.
func (m *Media) Heard(mark string) (got, lost int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first, last := ^uint32(0), uint32(0)
	for n := range m.heard[mark] {
		first, last = min(first, n), max(last, n)
	}
	got = len(m.heard[mark])
	if got == 0 {
		return 0, 0
	}
	return got, int(last-first) + 1 - got
}

// Marks are the speakers that were heard, and what could not be read.
func (m *Media) Marks() (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for mark := range m.heard {
		all = append(all, mark)
	}
	return append(all, m.Foreign...)
}

// Destination is where this stream is sent to.
func (m *Media) Destination() netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.to
}

// Write sends a packet as it is, from the stream's own socket.
func (m *Media) Write(packet []byte, to netip.AddrPort) { _, _ = m.conn.WriteToUDPAddrPort(packet, to) }

// Missing are the counts of a speaker's packets that did not arrive, between the first and the last that did.
func (m *Media) Missing(mark string) (counts []uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first, last := ^uint32(0), uint32(0)
	for n := range m.heard[mark] {
		first, last = min(first, n), max(last, n)
	}
	for n := first; n < last; n++ {
		if m.heard[mark][n] == 0 {
			counts = append(counts, n)
		}
	}
	return counts
}

// Count is how many packets have been sent.
func (m *Media) Count() uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Sent
}
