package sdp

import "bytes"

// A State is a Negotiation as a plain value that another process goes on with.
type State struct {
	Origin   Origin   `json:"origin"`
	Said     string   `json:"said,omitempty"` // the last description of ours, whole
	Numbers  []Codec  `json:"numbers,omitempty"`
	Offered  bool     `json:"offered,omitempty"` // said is an offer
	Pending  bool     `json:"pending,omitempty"` // and has no answer yet
	Codecs   []Codec  `json:"codecs,omitempty"`  // that it was written from, for the answer to come
	Mux      bool     `json:"mux,omitempty"`
	Receives bool     `json:"receives,omitempty"`
	Sends    bool     `json:"sends,omitempty"`
	One      bool     `json:"one,omitempty"`
	Security Security `json:"security,omitempty"`
}

// State notes the negotiation. An offer of ours that waits for its answer stays only with offer; else it counts as withdrawn, for the
// request that it stood in ends with the process.
func (n *Negotiation) State(offer bool) State {
	if n.pending && !offer {
		settled := *n
		settled.Withdraw()
		return settled.State(false)
	}
	return State{
		Origin: n.origin, Said: string(n.said), Numbers: n.numbers, Offered: n.offered, Pending: n.pending,
		Codecs: n.caps.Codecs, Mux: n.caps.Mux, Sends: n.caps.Direction.Sends(), Receives: n.caps.Direction.Receives(),
		One: n.caps.One, Security: n.caps.Security,
	}
}

// Resume is the Negotiation of a State. c brings what a State does not hold: address, keys and the judge of keys.
func Resume(s State, c Capabilities) (Negotiation, error) {
	c.Codecs, c.Mux, c.One, c.Security, c.Direction = s.Codecs, s.Mux, s.One, s.Security, directionOf(s.Sends, s.Receives)
	n := Negotiation{origin: s.Origin, said: []byte(s.Said), numbers: s.Numbers, caps: c, offered: s.Offered, pending: s.Pending}
	if s.Said == "" {
		n.said = nil
		return n, nil
	}
	d, err := Parse(n.said)
	if err != nil {
		return n, err
	}
	n.media, n.bundle = d.Media, d.bundles()
	// After an offer that was withdrawn the version is ahead of what is said: whatever comes next is then news.
	if rest, same := bytes.CutPrefix(n.said, s.Origin.appendLines(nil)); same {
		n.rest = rest
	}
	n.before.said, n.before.media = n.said, n.media
	return n, nil
}
