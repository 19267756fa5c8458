package secure

// A source is how far one SSRC has come under a key (RFC 3711 §3.2.3): the packet index, the SRTCP index, and of a peer's the packets
// that have come.
type source struct {
	ssrc    uint32
	control uint32 // the highest SRTCP index, sent or received
	index   uint64 // ROC<<16 | highest sequence number,
	begun   bool   // which is that of a packet; else only the ROC counts,
	known   bool   // where it was told
	reports uint64 // bit n: the report n before control has come
	seen    window
}

const (
	maxIndex    = 1<<48 - 1
	windowWords = replayWindow / 64
)

// A window tells which of the replayWindow indexes up to top have come: bits has each at its remainder.
type window struct {
	top   uint64
	begun bool
	bits  [windowWords]uint64
}

func (w *window) bit(index uint64) (*uint64, uint64) {
	return &w.bits[index/64%windowWords], 1 << (index % 64)
}

// place is the index of a sequence number, the nearest to the highest one (RFC 3711 §3.3.1).
func (s *source) place(seq uint16) uint64 {
	roc := s.index >> 16
	if s.begun {
		roc = guess(s.index, seq)
	}
	return roc<<16 | uint64(seq)
}

// advance notes an index that was sent.
func (s *source) advance(index uint64) {
	if index > s.index || !s.begun {
		s.index = index
	}
	s.begun, s.known = true, true
}

// passed tells that a packet has come before, or is too old for that to be known (RFC 3711 §3.3.2).
func (s *source) passed(index uint64) bool {
	w := &s.seen
	if !w.begun || index > w.top {
		return false
	}
	word, bit := w.bit(index)
	return w.top-index >= replayWindow || *word&bit != 0
}

// note takes the index of a packet that has authenticated.
func (s *source) note(index uint64) {
	w := &s.seen
	if !w.begun {
		w.top, w.begun = index, true
	}
	for w.top < index { // what is passed over may still come
		if index-w.top >= replayWindow {
			clear(w.bits[:])
			w.top = index
			break
		}
		w.top++
		word, bit := w.bit(w.top)
		*word &^= bit
	}
	word, bit := w.bit(index)
	*word |= bit
	s.advance(index)
}

// reported is passed for SRTCP.
func (s *source) reported(index uint32) bool {
	if s.reports == 0 || index > s.control {
		return false
	}
	back := s.control - index
	return back >= replayWindowRTCP || s.reports>>back&1 != 0
}

// report is note for SRTCP.
func (s *source) report(index uint32) {
	switch {
	case s.reports == 0:
		s.control, s.reports = index, 1
	case index > s.control:
		s.reports, s.control = s.reports<<(index-s.control)|1, index
	default:
		s.reports |= 1 << (s.control - index)
	}
}
