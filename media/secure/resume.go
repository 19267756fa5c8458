package secure

import "tandem/media/rtp"

// A Source is how far one SSRC has come under a key: all that another process needs to go on with the same key, and never to use
// a part of its key stream twice.
type Source struct {
	SSRC    uint32 `json:"ssrc"`
	Index   uint64 `json:"index"`             // ROC<<16 | highest sequence number (RFC 3711 §3.3.1)
	Control uint32 `json:"control,omitempty"` // SRTCP index
}

const (
	// controlLeap is what an SRTCP index that was taken over is raised by, for the reports that were sent after it was noted.
	controlLeap = 1000
	// unknownSeq stands for the sequence number of a source of which only the ROC is known: every number is then taken as of
	// that ROC, and of the next one.
	unknownSeq = 0x8000
)

// Sources gives ssrc, whether it has spoken yet or not, and the others that were heard, the latest first. seq is the highest sequence
// number of ssrc, which the owner of the stream counts.
func (c *Context) Sources(ssrc uint32, seq uint16) []Source {
	var out []Source
	for _, id := range c.known(ssrc) {
		s := Source{SSRC: id}
		roc, ok := c.engine.ROC(id)
		switch {
		case ok && id == ssrc:
			s.Index = uint64(roc)<<16 | uint64(seq)
		case ok:
			s.Index = uint64(roc)<<16 | unknownSeq
		}
		if at, waits := c.resumed[id]; waits {
			s.Index, ok = at, true
		}
		s.Control, _ = c.engine.Index(id)
		out = append(out, s)
	}
	return out
}

// known is ssrc and the others, each once.
func (c *Context) known(ssrc uint32) []uint32 {
	out := []uint32{ssrc}
	for _, id := range c.heard[:min(len(c.heard), maxResumed)] {
		if id != ssrc {
			out = append(out, id)
		}
	}
	for id := range c.resumed {
		if id != ssrc && !has(c.heard, id) {
			out = append(out, id)
		}
	}
	return out
}

// maxResumed bounds the sources of one direction that are handed over: a phone that speaks with an older one is rare.
const maxResumed = 8

func has(list sources, ssrc uint32) bool {
	for _, id := range list {
		if id == ssrc {
			return true
		}
	}
	return false
}

// Resume tells a fresh Context that its key has been used elsewhere, and how far. A packet at or below the index of its source is then
// refused, sent or received: received it would be a replay, sent it would use the key stream twice.
func (c *Context) Resume(list []Source) {
	c.young = true
	for _, s := range list {
		if c.resumed == nil {
			c.resumed = make(map[uint32]uint64)
		}
		c.resumed[s.SSRC] = s.Index
		c.engine.SetIndex(s.SSRC, s.Control+controlLeap)
	}
}

// resumes tells whether the first packet of a source that was taken over is still to come. Until the first packet of all has come, that
// may be a source which began to speak elsewhere after the last note.
func (c *Context) resumes(ssrc uint32) (at uint64, ok bool) {
	if c.resumed == nil && !c.young {
		return 0, false
	}
	at, ok = c.resumed[ssrc]
	return at, ok || c.young
}

// settled forgets that a source was taken over.
func (c *Context) settled(ssrc uint32) {
	c.young = false
	delete(c.resumed, ssrc)
	if len(c.resumed) == 0 {
		c.resumed = nil
	}
}

// guess is the ROC of a sequence number that is nearest to an index (RFC 3711 §3.3.1).
func guess(at uint64, seq uint16) uint64 {
	roc, last := at>>16, uint16(at)
	switch {
	case last < 1<<15 && int(seq)-int(last) > 1<<15 && roc > 0:
		return roc - 1
	case last >= 1<<15 && int(last)-1<<15 > int(seq):
		return roc + 1
	}
	return roc
}

// takeUp unprotects the first packet of a source that was followed elsewhere. The note may be older than a wrap, so the next ROC is
// tried too; a packet that failed is of no use any more, so each try has a copy.
func (c *Context) takeUp(b []byte, p rtp.Packet, at uint64) ([]byte, error) {
	roc := guess(at, p.Seq())
	var err error
	for _, roc := range [2]uint64{roc, roc + 1} {
		if roc<<16|uint64(p.Seq()) <= at || roc > 1<<32-1 {
			err = ErrReplay
			continue
		}
		c.engine.SetROC(p.SSRC(), uint32(roc))
		try := append(make([]byte, 0, len(b)), b...)
		out, wrong := c.engine.openRTP(try)
		if wrong == nil {
			c.settled(p.SSRC())
			return b[:copy(b, out)], nil
		}
		if err == nil {
			err = wrong
		}
	}
	return nil, err
}

// carryOn gives the cipher the ROC of the first packet that we send on a source which was sent elsewhere before.
func (c *Context) carryOn(p rtp.Packet, at uint64) error {
	roc := guess(at, p.Seq())
	if roc<<16|uint64(p.Seq()) <= at {
		c.counts.Failed++
		return ErrReplay
	}
	c.engine.SetROC(p.SSRC(), uint32(roc))
	c.settled(p.SSRC())
	return nil
}
