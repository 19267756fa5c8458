package call

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"tandem/media"
)

// fakeMedia is a media room without sockets: its descriptions are one readable line, and it counts what is open.
type fakeMedia struct {
	mu       sync.Mutex
	sessions []*fakeSession
	full     bool
}

func (f *fakeMedia) NewSession(o media.Options) (Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return nil, media.ErrNoPorts
	}
	s := &fakeSession{room: f, options: o, name: o.Leg, direction: media.SendRecv}
	f.sessions = append(f.sessions, s)
	return s, nil
}

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

// session is the nth session that was made, from 0.
func (f *fakeMedia) session(n int) *fakeSession {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sessions[n]
}

// fakeSession understands bodies such as "offer sendonly" and "answer recvonly".
type fakeSession struct {
	room      *fakeMedia
	options   media.Options
	name      string
	pending   string
	direction media.Direction // what the peer wants
	agreed    bool
	joined    *fakeSession
	doing     string
	digits    string
	packets   uint64
	version   int
	closed    bool
}

func wants(body string) media.Direction {
	switch {
	case strings.Contains(body, "sendonly"):
		return media.SendOnly
	case strings.Contains(body, "inactive"):
		return media.Inactive
	}
	return media.SendRecv
}

func (s *fakeSession) SetOffer(body []byte) error {
	if strings.Contains(string(body), "broken") {
		return fmt.Errorf("%w: %q", media.ErrBadSDP, body)
	}
	if strings.Contains(string(body), "unknown-codec") {
		return media.ErrNotAcceptable
	}
	s.pending = string(body)
	return nil
}

func (s *fakeSession) RemoteDirection() media.Direction {
	if s.pending != "" {
		return wants(s.pending)
	}
	return s.direction
}

func (s *fakeSession) CreateAnswer(like Session) ([]byte, error) {
	if s.pending != "" {
		s.direction, s.pending, s.agreed = wants(s.pending), "", true
	}
	if !s.agreed {
		return nil, errors.New("no offer to answer")
	}
	return fmt.Appendf(nil, "answer of %s for %v", s.name, s.direction), nil
}

func (s *fakeSession) CreateOffer(like Session) ([]byte, error) {
	s.version++
	direction := media.SendRecv
	if l, ok := like.(*fakeSession); ok && l != nil {
		direction = l.RemoteDirection()
	}
	return fmt.Appendf(nil, "offer %d of %s %v", s.version, s.name, direction), nil
}

func (s *fakeSession) SetAnswer(body []byte) error {
	if strings.Contains(string(body), "broken") {
		return media.ErrBadSDP
	}
	s.agreed = true
	return nil
}

func (s *fakeSession) Rollback() { s.pending = "" }

func (s *fakeSession) Join(other Session) error {
	o := other.(*fakeSession)
	s.joined, o.joined = o, s
	return nil
}

func (s *fakeSession) Part() error { s.joined = nil; return nil }
func (s *fakeSession) Echo() error { s.doing = "echo"; return nil }
func (s *fakeSession) Play(media.Clip, bool) error {
	s.doing = "play"
	return nil
}
func (s *fakeSession) StopPlay() { s.doing = "" }
func (s *fakeSession) SendDTMF(digits string, _ time.Duration) error {
	s.digits += digits
	return nil
}
func (s *fakeSession) Stats() media.Stats {
	return media.Stats{In: media.Stream{Packets: s.packets}}
}
func (s *fakeSession) Close() {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.closed = true
}
