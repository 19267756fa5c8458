package media

import (
	"fmt"

	"tandem/media/relay"
	"tandem/media/sdp"
	"tandem/media/secure"
)

// Adopt goes on with a session of another process: it opens exactly its ports, on an address that need not be here yet, and its
// packets flow from the first one on. call and leg are those of the Options that it was made with; events hears of it as before.
func (e *Engine) Adopt(st State, call, leg string, events func(Event)) (*Session, error) {
	s, err := e.adopt(st, call, leg, events)
	if err != nil {
		return nil, fmt.Errorf("media: call %s leg %s: %w", call, leg, err)
	}
	e.enter(s)
	return s, nil
}

func (e *Engine) adopt(st State, call, leg string, events func(Event)) (*Session, error) {
	if st.Version > stateVersion {
		return nil, fmt.Errorf("its state is of version %d, and this switch reads %d", st.Version, stateVersion)
	}
	s := &Session{
		engine: e, shown: st.Shown, answering: st.Answering,
		opts: Options{
			Call: call, Leg: leg, Local: st.Port.Local.Addr(), Advertise: st.Advertise, SignallingSource: st.Source, NAT: st.NAT,
			Codecs: st.Codecs, NoEvents: st.NoEvents, SRTP: st.SRTP, Secure: st.Secure, AllowClearSDES: st.ClearSDES, Events: events,
		},
	}
	err := s.allow()
	if err != nil {
		return nil, err
	}
	if s.keys, err = resumeKeys(&st); err != nil {
		return nil, err
	}
	if st.Web != nil {
		s.opts.Web, s.noVideo = true, true
		s.web = e.resumeWeb(st.Web, st.Port)
	}
	s.agreed = st.Agreed
	s.theirs = &sdp.Media{Direction: st.Direction, Addr: st.Connection}
	if st.Agreed != nil {
		s.theirs.Proto = st.Agreed.Proto
	}
	if s.neg, err = sdp.Resume(st.SDP, s.capabilities(nil, SendRecv)); err != nil {
		return nil, err
	}
	set := relay.Settings{}
	if s.agreed != nil {
		if set, err = s.settings(s.agreed); err != nil {
			return nil, err
		}
		if s.web != nil {
			if set.Web, err = s.web.settings(); err != nil {
				return nil, err
			}
		}
	}
	s.port, err = e.relay.Adopt(st.Port, set, e.near(call), hear(events))
	return s, err
}

// Follow brings a session that stands by to where its streams are now.
func (s *Session) Follow(st relay.State) error { return s.port.Resume(st) }

// resumeKeys makes the keyring of keys that were made elsewhere; nil of none. Only how far the key in use was used is known, so the
// others are made anew once there is one.
func resumeKeys(st *State) (*keyring, error) {
	if len(st.Keys) == 0 {
		return nil, nil
	}
	k := &keyring{protect: make(map[secure.Suite]*secure.Context)}
	for _, text := range st.Keys {
		key, err := secure.ParseCrypto(text)
		if err == nil && st.Agreed != nil && (!st.Agreed.Secured || st.Agreed.Local.Suite != key.Suite.String()) {
			if key, err = secure.NewKey(key.Tag, key.Suite); err == nil {
				text = key.Crypto()
			}
		}
		if err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		line, err := lineOf(key.Tag, text)
		if err != nil {
			return nil, err
		}
		k.own, k.lines = append(k.own, key), append(k.lines, line)
	}
	return k, nil
}
