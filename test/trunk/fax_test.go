package trunk

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// faxSide is a socket of a fax machine, and where the switch wants its packets.
type faxSide struct {
	t    *testing.T
	conn *net.UDPConn
	to   netip.AddrPort
}

func newFaxSide(t *testing.T, host string) *faxSide {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &faxSide{t: t, conn: c}
}

// sdp describes it.
func (f *faxSide) sdp() string {
	a := f.conn.LocalAddr().(*net.UDPAddr)
	return fmt.Sprintf("v=0\r\no=- 1 7 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=image %[2]d udptl t38\r\na=T38FaxVersion:0\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n", a.IP, a.Port)
}

// learns reads where packets go from the switch's description.
func (f *faxSide) learns(sdp string) {
	f.t.Helper()
	host, port := "", 0
	for line := range strings.SplitSeq(sdp, "\r\n") {
		if rest, ok := strings.CutPrefix(line, "c=IN IP4 "); ok {
			host = rest
		}
		_, _ = fmt.Sscanf(line, "m=image %d udptl t38", &port)
	}
	if f.to = netip.AddrPortFrom(netip.MustParseAddr(host), uint16(port)); port == 0 {
		f.t.Fatal("no fax in", sdp)
	}
}

// sends has the other side hear 20 packets as they are.
func (f *faxSide) sends(other *faxSide) {
	f.t.Helper()
	got := make([]byte, 200)
	for seq := range byte(20) {
		packet := []byte{0, seq, 6, 0xc0, 1, 0x80, 2, 3, 4, seq}
		if _, err := f.conn.WriteToUDPAddrPort(packet, f.to); err != nil {
			f.t.Fatal(err)
		}
		_ = other.conn.SetReadDeadline(time.Now().Add(soon))
		n, from, err := other.conn.ReadFromUDPAddrPort(got)
		if err != nil || string(got[:n]) != string(packet) || from != other.to {
			f.t.Fatalf("packet %d: %x from %v: %v", seq, got[:n], from, err)
		}
	}
}

// TestFaxPackets: what one fax machine sends reaches the other as it is, from where the switch said, and nobody else's does.
func TestFaxPackets(t *testing.T) {
	t.Parallel()
	from, to := binary.Host(), binary.Host()
	s := open(t, plainTrunk("from", from, "accept {}")+plainTrunk("to", to)+`
route "transit" {
  from = [trunk.from]
  to   = "+33..."
  dial { trunks = [trunk.to] }
}
`)
	s.Eventually(patience, "knowing its carrier", func() bool { return s.Metrics()[`tandem_trunk_targets{state="alive",trunk="from"}`] == 1 })
	caller, called := scripted(t, from, s), scripted(t, to, s)
	m := mix{t: t, s: s, line: caller}
	a := m.arrives("+33140000002", wire.NewMedia(t, from, "FROM").SDP())
	b := called.Rung()
	b.Respond(200, wire.NewMedia(t, to, "TO..").Answer(b.Asked.Body))
	b.Acked()
	if final := a.Final(soon); final.Status() != 200 {
		t.Fatal(final.Raw)
	}
	a.Ack()
	a.Ask("OPTIONS", "") // what comes after the ACK on the same socket is answered when the ACK has been taken
	near, far := newFaxSide(t, from), newFaxSide(t, to)
	answer := make(chan wire.Message, 1)
	go func() { answer <- b.Ask("INVITE", far.sdp()) }()
	asked := caller.Request(soon, "INVITE")
	near.learns(asked.Body)
	caller.Reply(asked, 200, wire.Reply{Contact: caller.Contact(), Body: near.sdp()})
	caller.Await(soon, "ACK", func(m wire.Message) bool { return m.Method() == "ACK" && m.Get("call-id") == a.ID })
	took := <-answer
	if took.Status() != 200 || !strings.Contains(took.Body, "a=T38FaxUdpEC:t38UDPRedundancy") {
		t.Fatal(took.Raw)
	}
	far.learns(took.Body)
	near.sends(far)
	far.sends(near)
	stranger := newFaxSide(t, binary.Host())
	for seq := range byte(20) {
		_, _ = stranger.conn.WriteToUDPAddrPort([]byte{0, seq, 3, 1, 2, 3}, near.to)
	}
	near.sends(far) // what comes next is this side's own
	if err := far.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := far.conn.ReadFromUDPAddrPort(make([]byte, 200)); err == nil {
		t.Errorf("%d bytes of a stranger's", n)
	}
	go b.Bye()
	caller.Reply(caller.Request(soon, "BYE"), 200, wire.Reply{})
	s.Idle(patience)
	r := recordOf(t, s, 0)
	if !strings.Contains(fmt.Sprint(r["legs"]), "codec:T38") {
		t.Error("record:", r["legs"])
	}
}
