package call

import (
	"io"

	"tandem/media"
)

// EngineMedia lets the media room's engine be the Media of a switchboard.
func EngineMedia(e *media.Engine) Media { return engine{e} }

type engine struct{ *media.Engine }

func (e engine) NewSession(o media.Options) (Session, error) {
	s, err := e.Engine.NewSession(o)
	if err != nil {
		return nil, err
	}
	return session{s}, nil
}

func (e engine) Adopt(st media.State, call, leg string, events func(media.Event)) (Session, error) {
	s, err := e.Engine.Adopt(st, call, leg, events)
	if err != nil {
		return nil, err
	}
	return session{s}, nil
}

// session narrows the other leg's Session back to the engine's own kind.
type session struct{ *media.Session }

func own(s Session) *media.Session {
	if o, ok := s.(session); ok {
		return o.Session
	}
	return nil
}

func (s session) CreateAnswer(like Session) ([]byte, error) { return s.Session.CreateAnswer(own(like)) }
func (s session) CreateOffer(like Session) ([]byte, error)  { return s.Session.CreateOffer(own(like)) }
func (s session) Join(other Session) error                  { return media.Join(s.Session, own(other)) }

func (s session) Record(w io.WriteSeeker, limits media.RecordLimits) (Recording, error) {
	r, err := s.Session.Record(w, limits)
	if err != nil {
		return nil, err
	}
	return r, nil
}
