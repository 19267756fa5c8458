package secure

import (
	"encoding/binary"
	"errors"

	"github.com/pion/srtp/v3"

	"tandem/media/rtp"
)

const (
	// MaxOverhead is how many bytes Protect adds at most: a GCM tag and the SRTCP index. The MKI of a peer's key is never on what we send.
	MaxOverhead = 20

	// replayWindow is in packets, above the 64 that RFC 3711 §3.3.2 asks for: 10 s of voice at 50 packets a second, so that a
	// reordering path costs nothing.
	replayWindow = 512

	// replayWindowRTCP is RFC 3711 §3.3.2's: reports come every few seconds.
	replayWindowRTCP = 64

	// maxSources bounds the SSRCs of one direction, as each costs state. A peer that takes a new one with every hold and transfer
	// stays far below; one that floods us with fresh authentic ones is counted as Excess.
	maxSources = 256
)

// Errors of a Context. Each is counted too; none ends a call.
var (
	ErrAuth    = errors.New("secure: authentication failed")
	ErrReplay  = errors.New("secure: replayed or too old")
	ErrPacket  = errors.New("secure: not an SRTP packet")
	ErrExcess  = errors.New("secure: too many sources")
	ErrNoRoom  = errors.New("secure: no room behind the packet for the tag")
	ErrExpired = errors.New("secure: key has protected all the packets it may")
)

// Counts of what a Context did.
type Counts struct {
	Packets   uint64 // went through
	Auth      uint64 // authentication failed, or unknown MKI
	Replayed  uint64 // seen before, or older than the window
	Malformed uint64
	Excess    uint64 // from more sources than we follow
	Failed    uint64 // could not be protected
}

// A Context protects or unprotects the packets of one direction, RTP and RTCP, with one Key: use it for one or the other, never for both.
type Context struct {
	suite  *suiteFacts
	mki    int
	engine engine
	counts Counts
	heard  sources
	heardC sources
	// resumed are sources whose first packet here is still to come, with the index that they had elsewhere; mostly nil.
	resumed map[uint32]uint64
	young   bool // none of them has come yet
}

// sources are the SSRCs that have authenticated, the latest in front.
type sources []uint32

// NewContext makes a Context for a key.
func NewContext(k Key) (*Context, error) {
	f := k.Suite.facts()
	if f.name == "" {
		return nil, ErrSuite
	}
	e, err := newEngine(k, f)
	if err != nil {
		return nil, err
	}
	return &Context{suite: f, mki: len(k.mki), engine: e}, nil
}

// Suite is that of the key.
func (c *Context) Suite() Suite { return c.suite.suite }

// Counts is a copy of the counters.
func (c *Context) Counts() Counts { return c.counts }

// ROC is the rollover counter of a source (RFC 3711 §3.2.1); false if it has not been heard.
func (c *Context) ROC(ssrc uint32) (uint32, bool) { return c.engine.ROC(ssrc) }

// SetROC gives the rollover counter of a source, as when a call in progress is taken over.
func (c *Context) SetROC(ssrc, roc uint32) { c.engine.SetROC(ssrc, roc) }

// ProtectRTP turns the RTP packet p into SRTP in its own buffer, which must have MaxOverhead bytes of room behind it (MKI length more,
// for a key that has one), and returns the longer slice of the same buffer.
func (c *Context) ProtectRTP(p rtp.Packet) ([]byte, error) {
	if cap(p) < len(p)+c.suite.rtpTag+c.mki {
		c.counts.Failed++
		return nil, ErrNoRoom
	}
	if at, waits := c.resumes(p.SSRC()); waits {
		if err := c.carryOn(p, at); err != nil {
			return nil, err
		}
	}
	out, err := c.engine.sealRTP(p)
	if err != nil {
		c.counts.Failed++
		return nil, ErrExpired
	}
	c.counts.Packets++
	return out, nil
}

// UnprotectRTP checks and decrypts the SRTP packet b in its own buffer. On an error the buffer's contents are of no use any more.
func (c *Context) UnprotectRTP(b []byte) (rtp.Packet, error) {
	p, err := rtp.ParseProtected(b)
	if err != nil || len(b) < rtp.HeaderLen+c.suite.rtpTag+c.mki {
		return nil, c.malformed()
	}
	if c.heard.full(p.SSRC()) {
		c.counts.Excess++
		return nil, ErrExcess
	}
	var out []byte
	if at, waits := c.resumes(p.SSRC()); waits {
		out, err = c.takeUp(b, p, at)
	} else {
		out, err = c.engine.openRTP(p)
	}
	if err != nil {
		return nil, c.refused(err)
	}
	c.heard.note(p.SSRC())
	c.counts.Packets++
	// Authentic, and still it may be nonsense: now the padding can be checked.
	p, err = rtp.Parse(out)
	if err != nil {
		return nil, c.malformed()
	}
	return p, nil
}

// ProtectRTCP turns the RTCP compound b into SRTCP in its own buffer, like ProtectRTP.
func (c *Context) ProtectRTCP(b rtp.Compound) ([]byte, error) {
	if cap(b) < len(b)+c.suite.rtcpTagAndIdx+c.mki {
		c.counts.Failed++
		return nil, ErrNoRoom
	}
	out, err := c.engine.sealRTCP(b)
	if err != nil {
		c.counts.Failed++
		return nil, ErrExpired
	}
	c.counts.Packets++
	return out, nil
}

// UnprotectRTCP checks and decrypts the SRTCP packet b in its own buffer and checks the compound inside.
func (c *Context) UnprotectRTCP(b []byte) (rtp.Compound, error) {
	return c.unprotectRTCP(b, rtp.ParseCompound)
}

// UnprotectReduced is UnprotectRTCP where feedback may stand alone, see rtp.ParseReduced.
func (c *Context) UnprotectReduced(b []byte) (rtp.Compound, error) {
	return c.unprotectRTCP(b, rtp.ParseReduced)
}

func (c *Context) unprotectRTCP(b []byte, parse func([]byte) (rtp.Compound, error)) (rtp.Compound, error) {
	if len(b) < 8+c.suite.rtcpTagAndIdx+c.mki || len(b) > rtp.MaxPacket || b[0]>>6 != 2 {
		return nil, c.malformed()
	}
	ssrc := binary.BigEndian.Uint32(b[4:])
	if c.heardC.full(ssrc) {
		c.counts.Excess++
		return nil, ErrExcess
	}
	out, err := c.engine.openRTCP(b)
	if err != nil {
		return nil, c.refused(err)
	}
	c.heardC.note(ssrc)
	c.counts.Packets++
	compound, err := parse(out)
	if err != nil {
		return nil, c.malformed()
	}
	return compound, nil
}

func (c *Context) malformed() error {
	c.counts.Malformed++
	return ErrPacket
}

// refused tells authentication from replay. What else could be wrong with the packet was ruled out before.
func (c *Context) refused(err error) error {
	if errors.Is(err, ErrPacket) {
		return c.malformed()
	}
	if errors.Is(err, ErrAuth) || errors.Is(err, srtp.ErrFailedToVerifyAuthTag) || errors.Is(err, srtp.ErrMKINotFound) {
		c.counts.Auth++
		return ErrAuth
	}
	c.counts.Replayed++
	return ErrReplay
}

// full tells that ssrc is new and that there is no place for it.
func (s sources) full(ssrc uint32) bool {
	if len(s) < maxSources {
		return false
	}
	for _, known := range s {
		if known == ssrc {
			return false
		}
	}
	return true
}

// note brings ssrc to the front.
func (s *sources) note(ssrc uint32) {
	for i, known := range *s {
		if known == ssrc {
			(*s)[0], (*s)[i] = (*s)[i], (*s)[0]
			return
		}
	}
	*s = append(*s, ssrc)
	last := len(*s) - 1
	(*s)[0], (*s)[last] = (*s)[last], (*s)[0]
}
