package media

import (
	"net/netip"

	"tandem/media/relay"
	"tandem/media/sdp"
)

// stateVersion is the newest form of a State that this code writes. It reads all that are not newer.
const stateVersion = 1

// A State is all that another process needs to go on with a Session: what was agreed, the keys, the ports, and how far the streams
// have come. It is a plain value whose JSON form is kept; it holds keys, so whoever keeps it must seal it.
type State struct {
	Version int `json:"version"`

	Advertise  string         `json:"advertise,omitempty"`
	Source     netip.Addr     `json:"source,omitzero"` // of the signalling
	NAT        bool           `json:"nat,omitempty"`
	Codecs     []string       `json:"codecs,omitempty"`
	NoEvents   bool           `json:"no_events,omitempty"`
	SRTP       SRTPPolicy     `json:"srtp,omitempty"`
	Secure     bool           `json:"secure,omitempty"`
	ClearSDES  bool           `json:"clear_sdes,omitempty"`
	Shown      netip.AddrPort `json:"shown"`
	Keys       []string       `json:"keys,omitempty"` // our own, as the values of a=crypto lines
	SDP        sdp.State      `json:"sdp"`
	Answering  bool           `json:"answering,omitempty"`
	Agreed     *sdp.Agreed    `json:"agreed,omitempty"`
	Direction  sdp.Direction  `json:"direction,omitempty"` // that the peer wrote last
	Connection netip.Addr     `json:"connection,omitzero"` // its c= then

	Web *WebState `json:"web,omitempty"` // of a browser's leg

	Port relay.State `json:"port"`
}

// State notes the session as it is. offer keeps an offer of ours that waits for its answer, as one in a 2xx does; else the session is
// noted as it was before. It is false for a session that is closed.
func (s *Session) State(offer bool) (State, bool) {
	port, ok := s.port.State()
	if !ok {
		return State{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := State{
		Version: stateVersion, Advertise: s.opts.Advertise, Source: s.opts.SignallingSource, NAT: s.opts.NAT, Codecs: s.opts.Codecs, NoEvents: s.opts.NoEvents,
		SRTP: s.opts.SRTP, Secure: s.opts.Secure, ClearSDES: s.opts.AllowClearSDES, Shown: s.shown,
		SDP: s.neg.State(offer), Answering: s.answering, Port: port,
	}
	if s.neg.Pending() && !offer {
		out.Answering = s.answeredBefore
	}
	if s.keys != nil {
		for _, k := range s.keys.own {
			out.Keys = append(out.Keys, k.Crypto())
		}
	}
	if s.web != nil {
		out.Web = s.web.state()
	}
	if s.agreed != nil {
		agreed := *s.agreed
		agreed.Video = nil // see Session.noVideo
		out.Agreed = &agreed
	}
	if s.theirs != nil {
		out.Direction, out.Connection = s.theirs.Direction, s.theirs.Addr
	}
	return out, true
}

// A Note is how far the streams of one session have come since its State was noted.
type Note struct {
	Call, Leg string
	Port      relay.State
}

// Notes gives what has changed in the sessions whose State was noted once: at once where the peer or the speaker is another one, now
// and then else. To be called each second or so.
func (e *Engine) Notes() []Note {
	var out []Note
	var ports []*relay.Port
	e.relay.Notes(func(p *relay.Port, state relay.State) {
		ports, out = append(ports, p), append(out, Note{Port: state})
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := out[:0]
	for i, n := range out {
		if s := e.sessions[ports[i]]; s != nil { // else it was closed meanwhile
			n.Call, n.Leg = s.name()
			kept = append(kept, n)
		}
	}
	return kept
}

// legName is whose a session is since it was moved.
type legName struct{ call, leg string }

// Rename notes that the session's leg has moved to another call, or has another name in it: notes say so from then on.
func (s *Session) Rename(call, leg string) { s.renamed.Store(&legName{call, leg}) }

func (s *Session) name() (call, leg string) {
	if n := s.renamed.Load(); n != nil {
		return n.call, n.leg
	}
	return s.opts.Call, s.opts.Leg
}

// A StreamState is how far the streams of a session have come, see relay.State.
type StreamState = relay.State
