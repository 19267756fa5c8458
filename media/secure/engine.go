package secure

import (
	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"tandem/media/rtp"
)

// An engine is SRTP and SRTCP of one direction under one key, with what it remembers of each source. Packets are sealed and opened in their
// own buffers. What opens was neither forged nor seen before.
type engine interface {
	sealRTP(p rtp.Packet) ([]byte, error)
	openRTP(p rtp.Packet) ([]byte, error)
	sealRTCP(b []byte) ([]byte, error)
	openRTCP(b []byte) ([]byte, error)

	ROC(ssrc uint32) (uint32, bool)
	SetROC(ssrc, roc uint32)
	Index(ssrc uint32) (uint32, bool) // SRTCP
	SetIndex(ssrc, index uint32)
}

// newEngine takes our own engine for AES-GCM, which is what browsers speak, and pion's for all else.
func newEngine(k Key, f *suiteFacts) (engine, error) {
	if f.aead && k.mki == "" {
		return newGCM(k, f)
	}
	// A bare context has no replay protection unless it is asked for.
	opts := []srtp.ContextOption{srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindowRTCP)}
	if k.mki != "" {
		opts = append(opts, srtp.MasterKeyIndicator([]byte(k.mki)))
	}
	secret := k.secret()
	c, err := srtp.CreateContext(secret[:f.key], secret[f.key:], f.profile, opts...)
	if err != nil {
		return nil, err
	}
	return &pion{Context: c}, nil
}

// pion is the engine of pion/srtp. The headers are reused for every packet, that nothing be allocated.
type pion struct {
	*srtp.Context
	header  pionrtp.Header
	control rtcp.Header
}

func (e *pion) sealRTP(p rtp.Packet) ([]byte, error) { return e.EncryptRTP(p[:0], p, &e.header) }

func (e *pion) openRTP(p rtp.Packet) ([]byte, error) {
	if _, err := e.header.Unmarshal(p); err != nil {
		return nil, ErrPacket
	}
	return e.DecryptRTP(p[:0], p, &e.header)
}

func (e *pion) sealRTCP(b []byte) ([]byte, error) { return e.EncryptRTCP(b[:0], b, &e.control) }

func (e *pion) openRTCP(b []byte) ([]byte, error) { return e.DecryptRTCP(b[:0], b, &e.control) }
