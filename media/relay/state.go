package relay

import (
	"net/netip"
	"time"

	"tandem/media/rtp"
	"tandem/media/secure"
)

// A State is what another process needs to go on with a Port beside its Settings: where the peer is, how far its streams have
// come, and how far the keys were used. It is a plain value; At says when it was noted.
type State struct {
	At      time.Time      `json:"at"`
	Local   netip.AddrPort `json:"local"`
	Latched netip.AddrPort `json:"latched,omitzero"` // where the peer's RTP comes from
	Rank    uint8          `json:"rank,omitempty"`
	Control netip.AddrPort `json:"control,omitzero"` // where its RTCP comes from
	CName   string         `json:"cname"`

	Out Outbound  `json:"out"`
	In  rtp.Heard `json:"in"`

	Protect   []secure.Source `json:"protect,omitempty"`
	Unprotect []secure.Source `json:"unprotect,omitempty"`

	Web *WebState `json:"web,omitempty"` // of a browser's leg

	ReportsIn  uint64 `json:"reports_in,omitempty"`
	ReportsOut uint64 `json:"reports_out,omitempty"`
}

// Outbound is how far the stream that a port's peer hears has come.
type Outbound struct {
	SSRC    uint32    `json:"ssrc"`
	Seq     uint16    `json:"seq"` // highest sent
	TS      uint32    `json:"ts"`  // media time sent up to,
	At      time.Time `json:"at"`  // then
	Begun   bool      `json:"begun"`
	Leap    uint16    `json:"leap,omitempty"` // by how much numbers of our own must be raised before the next is used
	Packets uint64    `json:"packets"`
	Octets  uint64    `json:"octets"`

	// The stream that was relayed goes on with the same numbers, so that the peer hears no seam.
	Feeding  bool   `json:"feeding,omitempty"`
	Feeder   uint32 `json:"feeder,omitempty"` // its SSRC
	SeqShift uint16 `json:"seq_shift,omitempty"`
	TSShift  uint32 `json:"ts_shift,omitempty"`
}

// State notes where the port is. It is false for one that is closed.
func (p *Port) State() (s State, ok bool) {
	err := p.do(func() { s = p.note(p.loop.now) })
	return s, err == nil
}

// note is State, in the loop.
func (p *Port) note(now time.Time) State {
	o := &p.out
	heard, ok := p.in.Heard()
	s := State{
		At: now.UTC(), Local: p.local, Latched: p.source.latched, Rank: uint8(p.source.rank), Control: p.control.latched, CName: p.cname,
		In: heard, ReportsIn: p.rtcpIn, ReportsOut: p.rtcpOut,
		Out: Outbound{
			SSRC: o.SSRC, Seq: o.seq, TS: o.ts, At: o.at.UTC(), Begun: o.begun, Leap: o.leap, Packets: o.Packets, Octets: o.Octets,
		},
	}
	switch b := o.before; {
	case b != nil:
		s.Out.Feeding, s.Out.Feeder, s.Out.SeqShift, s.Out.TSShift = true, b.ssrc, b.seqShift, b.tsShift
	case !o.own && o.feeder != nil:
		s.Out.Feeding, s.Out.Feeder, s.Out.SeqShift, s.Out.TSShift = true, o.ssrc, o.seqShift, o.tsShift
	}
	if p.web != nil {
		s.Web = p.web.state()
	}
	if c := p.set.Protect; c != nil {
		s.Protect = c.Sources(o.SSRC, o.seq)
	}
	if c := p.set.Unprotect; c != nil && ok {
		s.Unprotect = c.Sources(p.in.SSRC, uint16(p.in.ExtendedSeq()))
	}
	p.noted = noted{at: now, latched: p.source.latched, control: p.control.latched, shift: o.seqShift, own: o.own, feeder: o.ssrc, source: p.in.SSRC, association: p.web.inUse(), progress: p.progress()}
	return s
}

// noted is what was written of a port last, as far as a change of it must not wait.
type noted struct {
	at               time.Time
	latched, control netip.AddrPort
	shift            uint16
	own              bool
	feeder, source   uint32
	association      int
	progress         uint64
}

const (
	// noteEvery is how old the note of a stream that flows may be. Its numbers can be told from the packets themselves for ten minutes (half a
	// round of sequence numbers); it is the figures of the call record that go on from here.
	noteEvery = 10 * time.Second
	// quietEvery is the same for one that does not. By its age numbers leap when it goes on elsewhere, see leap, and a leap of 3,000 is where a
	// peer that keeps to RFC 3550 (§A.1, MAX_DROPOUT) gives up the first packet.
	quietEvery = 25 * time.Second
)

// progress is a number that is another one when the port has taken or sent a packet that counts for who goes on: of plain RTP that is no
// report, but under a key reports have numbers too.
func (p *Port) progress() uint64 {
	n := p.in.Packets + p.in.Stray + p.in.Duplicates + p.out.Packets + p.fax.packetsIn + p.fax.packetsOut
	if p.set.Protect != nil || p.set.Unprotect != nil {
		n += p.rtcpIn + p.rtcpOut
	}
	return n
}

// stale tells whether the port has come to something that its last note does not have.
func (p *Port) stale(now time.Time) bool {
	n, o := &p.noted, &p.out
	switch {
	case n.at.IsZero():
		return false // nobody keeps this port: only what was noted once is noted again
	case now.Sub(n.at) >= quietEvery, now.Sub(n.at) >= noteEvery && (p.web != nil || n.progress != p.progress()):
		return true
	case n.latched != p.source.latched, n.control != p.control.latched, n.own != o.own, n.feeder != o.ssrc, n.shift != o.seqShift,
		n.source != p.in.SSRC, n.association != p.web.inUse():
		return true
	}
	return o.own // numbers that we make ourselves cannot be told from what the other leg sends
}

// notesAtOnce bounds the ports that a loop goes to between two packets.
const notesAtOnce = 256

// Notes gives each port that was noted once and has changed since, with its state. It runs through the loops in small steps, so that
// no packet waits. take is called in the loop and must not block. On a node that does not serve it gives none.
func (r *Relay) Notes(take func(*Port, State)) {
	for _, l := range r.loops {
		for from, more := 0, true; more; {
			l.do(func() {
				if !l.serves() { // who stands by knows no more than it was told
					more = false
					return
				}
				from = l.notes(from, notesAtOnce, take)
				more = from < len(l.ports)
			})
		}
	}
}
