package call

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/media"
	"tandem/media/codec"
)

// fakeMedia is a media room without sockets: its descriptions are one readable line, and it counts what is open.
type fakeMedia struct {
	next     uint16
	mu       sync.Mutex
	sessions []*fakeSession
	keys     bool                            // legs may have SRTP keys
	full     func(leg string) bool           // no ports for that leg; nil: for all of them
	fail     func(s *fakeSession, do string) // called before each step of a session, to panic in; nil: nothing
}

func (f *fakeMedia) NewSession(o media.Options) (Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full != nil && f.full(o.Leg) {
		return nil, media.ErrNoPorts
	}
	f.next++
	s := &fakeSession{room: f, options: o, name: o.Leg, local: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), 20000+2*f.next)}
	f.sessions = append(f.sessions, s)
	return s, nil
}

// Adopt makes a session of a State that a fakeSession gave.
func (f *fakeMedia) Adopt(st media.State, call, leg string, events func(media.Event)) (Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full != nil && f.full(leg) {
		return nil, media.ErrNoPorts
	}
	for _, x := range f.sessions { // as relay.Pool.claim
		if !x.closed && st.Port.Local.IsValid() && x.local == st.Port.Local {
			return nil, fmt.Errorf("relay: port %d is in use already", st.Port.Local.Port())
		}
	}
	s := &fakeSession{room: f, options: media.Options{Call: call, Leg: leg, Events: events}, name: leg, agreed: st.Answering, local: st.Port.Local}
	s.answer, s.direction, s.version, s.offered = st.SDP.Said, st.Direction, int(st.SDP.Origin.Version), st.SDP.Offered
	s.packets.Store(st.Port.In.Packets)
	f.sessions = append(f.sessions, s)
	return s, nil
}

// Notes tells of no change.
func (f *fakeMedia) Notes() []media.Note { return nil }

func (f *fakeMedia) open() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		if !s.closed {
			n++
		}
	}
	return n
}

// of is the latest session of a leg.
func (f *fakeMedia) of(leg string) *fakeSession {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.sessions) - 1; i >= 0; i-- {
		if f.sessions[i].name == leg {
			return f.sessions[i]
		}
	}
	return &fakeSession{name: "no session of " + leg}
}

// fakeSession understands bodies such as "offer sendonly" and "answer recvonly".
type fakeSession struct {
	local     netip.AddrPort
	room      *fakeMedia
	options   media.Options
	name      string
	renamed   string          // call and leg that its streams are noted as since it was moved
	pending   string          // the peer's offer
	direction media.Direction // what the peer wants
	offered   bool            // we have made an offer
	answer    string          // our answer; it stays what it was
	agreed    bool
	joined    *fakeSession
	doing     string
	digits    string
	fax       bool // agreed
	video     bool // agreed
	insists   bool // offers SAVP
	noEvents  bool // the peer takes no telephone-events
	packets   atomic.Uint64
	version   int
	rollbacks int
	followed  int // how often it was told where its streams are elsewhere
	closed    bool
	recording *fakeRecording
	spoken    atomic.Int64 // a time.Duration: what a recording has heard so far
	clips     int          // played so far
}

func (s *fakeSession) step(do string) {
	if s.room != nil && s.room.fail != nil {
		s.room.fail(s, do)
	}
	if s.closed && do != "Stats" && do != "Close" {
		panic("fake media: " + do + " on a closed session of " + s.name)
	}
}

func wants(body string) media.Direction {
	for _, d := range []media.Direction{media.SendOnly, media.RecvOnly, media.Inactive} {
		if strings.Contains(body, d.String()) {
			return d
		}
	}
	return media.SendRecv
}

// mirror is the direction that the other side of a description has.
func mirror(d media.Direction) media.Direction {
	switch d {
	case media.SendOnly:
		return media.RecvOnly
	case media.RecvOnly:
		return media.SendOnly
	}
	return d
}

func check(body []byte) error {
	switch text := string(body); {
	case text == "" || strings.Contains(text, "broken"):
		return fmt.Errorf("%w: %q", media.ErrBadSDP, body)
	case strings.Contains(text, "unknown-codec"):
		return media.ErrNotAcceptable
	}
	return nil
}

func (s *fakeSession) SetOffer(body []byte) error {
	s.step("SetOffer")
	if err := check(body); err != nil {
		return err
	}
	s.pending = string(body)
	return nil
}

func (s *fakeSession) RemoteDirection() media.Direction {
	s.step("RemoteDirection")
	if s.pending != "" {
		return wants(s.pending)
	}
	return s.direction
}

func (s *fakeSession) Fax() bool {
	s.step("Fax")
	if s.pending != "" {
		return strings.Contains(s.pending, "fax")
	}
	return s.fax
}

func (s *fakeSession) Video() bool {
	s.step("Video")
	return s.video
}

func (s *fakeSession) VideoNews() bool {
	s.step("VideoNews")
	return s.pending != "" && strings.Contains(s.pending, "video") != s.video
}

func (s *fakeSession) Insist() bool {
	s.step("Insist")
	was := s.insists
	s.insists = s.options.SRTP == media.SRTPOptional && s.room.keys
	return s.insists && !was
}

func (s *fakeSession) CreateAnswer(like Session) ([]byte, error) {
	s.step("CreateAnswer")
	switch {
	case s.pending == "" && s.answer != "":
		return []byte(s.answer), nil
	case s.pending == "":
		return nil, media.ErrNoOffer
	}
	fax := strings.Contains(s.pending, "fax")
	if o, ok := like.(*fakeSession); fax && (!ok || o == nil || !o.fax) {
		return nil, media.ErrNotAcceptable
	}
	o, ok := like.(*fakeSession)
	s.video = ok && o != nil && o.video && strings.Contains(s.pending, "video")
	s.direction, s.pending, s.agreed, s.fax = wants(s.pending), "", true, fax
	s.answer = fmt.Sprintf("answer of %s: %v", s.name, mirror(s.direction))
	if fax {
		s.answer += " fax"
	}
	return []byte(s.answer), nil
}

func (s *fakeSession) CreateOffer(like Session) ([]byte, error) {
	s.step("CreateOffer")
	s.version++
	s.offered, s.answer = true, ""
	direction := media.SendRecv
	if l, ok := like.(*fakeSession); ok && l != nil {
		direction = l.RemoteDirection()
	}
	what := ""
	if l, ok := like.(*fakeSession); ok && l != nil && l.Fax() {
		what = " fax"
	}
	if s.insists {
		what += " SAVP"
	}
	return fmt.Appendf(nil, "offer %d of %s: %v%s", s.version, s.name, direction, what), nil
}

func (s *fakeSession) SetAnswer(body []byte) error {
	s.step("SetAnswer")
	if err := check(body); err != nil {
		return err
	}
	if !s.offered {
		return errors.New("answer without an offer")
	}
	s.agreed, s.direction, s.fax = true, wants(string(body)), strings.Contains(string(body), "fax")
	s.video = strings.Contains(string(body), "video")
	return nil
}

func (s *fakeSession) Rollback() { s.step("Rollback"); s.pending = ""; s.rollbacks++ }

func (s *fakeSession) Join(other Session) error {
	s.step("Join")
	o := other.(*fakeSession)
	s.joined, o.joined = o, s
	return nil
}

func (s *fakeSession) Part() error { s.step("Part"); s.joined = nil; return nil }
func (s *fakeSession) Echo() error { s.step("Echo"); s.doing = "echo"; return nil }
func (s *fakeSession) Play(media.Clip, bool) error {
	s.step("Play")
	if !s.agreed {
		return media.ErrNoCodec
	}
	if s.doing != "record" {
		s.doing = "play"
	}
	s.clips++
	return nil
}
func (s *fakeSession) StopPlay() { s.step("StopPlay"); s.doing = "" }
func (s *fakeSession) SendDTMF(digits string, d time.Duration) error {
	s.step("SendDTMF")
	if s.noEvents {
		return media.ErrNoDTMF
	}
	s.digits += fmt.Sprintf("%s(%v)", digits, d)
	return nil
}

func (s *fakeSession) TakesDTMF() bool { s.step("TakesDTMF"); return !s.noEvents }

// Record keeps what the peer has spoken so far as a tone of that length.
func (s *fakeSession) Record(w io.WriteSeeker, limits media.RecordLimits) (Recording, error) {
	s.step("Record")
	r := &fakeRecording{session: s, w: w, stop: make(chan struct{})}
	s.recording, s.doing = r, "record"
	return r, nil
}

type fakeRecording struct {
	session *fakeSession
	w       io.WriteSeeker
	stop    chan struct{}
	stopped sync.Once
	once    sync.Once
	got     media.Recorded
}

func (r *fakeRecording) Stop() { r.stopped.Do(func() { close(r.stop) }) }

func (r *fakeRecording) Wait() media.Recorded {
	<-r.stop
	r.once.Do(func() {
		spoken := time.Duration(r.session.spoken.Load())
		r.got = media.Recorded{Length: spoken, Spoken: spoken}
		out, err := codec.NewWAVWriter(r.w, 1)
		if err == nil {
			err = out.Write(make([]int16, int(spoken.Seconds()*codec.SampleRate)))
		}
		if err == nil {
			err = out.Close()
		}
		r.got.Err = err
	})
	return r.got
}

// presses is a key that the peer presses, as a telephone-event.
func (s *fakeSession) presses(key byte) {
	s.options.Events(media.Event{Kind: media.DTMF, Digit: key})
}

// recorded is the end of a recording by its limits.
func (s *fakeSession) recorded() {
	s.recording.Stop()
	s.options.Events(media.Event{Kind: media.RecordDone})
}

func (s *fakeSession) Stats() media.Stats {
	s.step("Stats")
	return media.Stats{Codec: "PCMA", In: media.Stream{Packets: s.packets.Load()}}
}

func (s *fakeSession) Rename(call, leg string) { s.renamed = call + "/" + leg }

func (s *fakeSession) Follow(st media.StreamState) error {
	s.step("Follow")
	s.packets.Store(st.In.Packets)
	s.followed++
	return nil
}

func (s *fakeSession) State(offer bool) (st media.State, ok bool) {
	s.step("State")
	st.SDP.Said, st.SDP.Origin.Version, st.SDP.Offered = s.answer, uint64(s.version), s.offered
	st.Direction, st.Answering, st.Port.In.Packets, st.Port.Local = s.direction, s.agreed, s.packets.Load(), s.local
	return st, true
}

func (s *fakeSession) Close() {
	s.step("Close")
	if s.recording != nil {
		s.recording.Stop()
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.closed = true
}

// finished is the end of what is played.
func (s *fakeSession) finished() { s.doing = ""; s.options.Events(media.Event{Kind: media.PlayDone}) }

// silence is the watchdog's report that the peer is not heard.
func (s *fakeSession) silence() {
	s.options.Events(media.Event{Kind: media.Silence, Inbound: true})
}
