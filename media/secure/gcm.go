package secure

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"tandem/media/rtp"
)

// A gcm is the engine of AES-GCM (RFC 7714). A leg has two of them for as long as a call lasts, so they hold what a packet needs and no more, a
// third of pion's: the cipher of SRTCP, a kilobyte of tables, is made anew for each report, of which there is one every few seconds.
type gcm struct {
	media       cipher.AEAD
	controlKey  [32]byte
	keyLen      int
	mediaSalt   [gcmSalt]byte
	controlSalt [gcmSalt]byte
	sources     []source
	first       [1]source // room for most legs' only one: a packet touches as little memory as can be

	// Reused for every packet, that nothing be allocated.
	iv  [gcmSalt]byte
	aad [controlHeader + indexLen]byte
}

const (
	gcmSalt       = 12
	gcmTag        = 16
	controlHeader = 8 // of RTCP, which stays clear
	indexLen      = 4 // the SRTCP index with its flag
	encrypted     = 1 << 31
	maxControl    = 1<<31 - 1 // the last SRTCP index
)

// Labels of the keys that are derived (RFC 3711 §4.3.2).
const (
	labelKey         = 0
	labelSalt        = 2
	labelControlKey  = 3
	labelControlSalt = 5
)

func newGCM(k Key, f *suiteFacts) (*gcm, error) {
	secret := k.secret()
	master, err := aes.NewCipher(secret[:f.key])
	if err != nil {
		return nil, err
	}
	g := &gcm{keyLen: f.key}
	var key [32]byte
	salt := secret[f.key:]
	derive(master, salt, labelKey, key[:f.key])
	derive(master, salt, labelSalt, g.mediaSalt[:])
	derive(master, salt, labelControlKey, g.controlKey[:f.key])
	derive(master, salt, labelControlSalt, g.controlSalt[:])
	g.media, err = aead(key[:f.key])
	return g, err
}

// derive is the AES-CM key derivation with a rate of zero (RFC 3711 §4.3.3). The salt of GCM, two bytes shorter, stands to the left (RFC 7714 §11).
func derive(master cipher.Block, salt []byte, label byte, out []byte) {
	var x, stream [aes.BlockSize]byte
	copy(x[:], salt)
	x[7] ^= label
	for n := byte(0); len(out) > 0; n++ {
		x[15] = n
		master.Encrypt(stream[:], x[:])
		out = out[copy(out, stream[:]):]
	}
}

func aead(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonce is the IV of a packet (RFC 7714 §8.1): SSRC, ROC and sequence number over the salt.
func (g *gcm) nonce(ssrc uint32, index uint64) {
	g.iv = [gcmSalt]byte{}
	binary.BigEndian.PutUint32(g.iv[2:], ssrc)
	binary.BigEndian.PutUint32(g.iv[6:], uint32(index>>16))
	binary.BigEndian.PutUint16(g.iv[10:], uint16(index))
	for i := range g.iv {
		g.iv[i] ^= g.mediaSalt[i]
	}
}

func (g *gcm) sealRTP(p rtp.Packet) ([]byte, error) {
	s := g.source(p.SSRC())
	if s == nil {
		s = g.add(source{ssrc: p.SSRC()})
	}
	index := s.place(p.Seq())
	if index > maxIndex {
		return nil, ErrExpired
	}
	g.nonce(s.ssrc, index)
	n := p.HeaderLen()
	out := g.media.Seal(p[n:n], g.iv[:], p[n:], p[:n])
	s.advance(index)
	return p[:n+len(out)], nil
}

func (g *gcm) openRTP(p rtp.Packet) ([]byte, error) {
	n := p.HeaderLen()
	if len(p) < n+gcmTag {
		return nil, ErrPacket
	}
	s, fresh := g.source(p.SSRC()), source{ssrc: p.SSRC()}
	if s == nil {
		s = &fresh // nothing is kept of a packet that has not proved to be the peer's
	}
	index := s.place(p.Seq())
	if index > maxIndex || s.passed(index) {
		return nil, ErrReplay
	}
	g.nonce(s.ssrc, index)
	out, err := g.media.Open(p[n:n], g.iv[:], p[n:], p[:n])
	if err != nil {
		return nil, ErrAuth
	}
	if s == &fresh {
		s = g.add(fresh)
	}
	s.note(index)
	return p[:n+len(out)], nil
}

// control makes the cipher of SRTCP, and its IV and additional data for a packet (RFC 7714 §9.1, §9.3).
func (g *gcm) control(b []byte, index uint32) (cipher.AEAD, error) {
	g.iv = [gcmSalt]byte{}
	copy(g.iv[2:], b[4:8])
	binary.BigEndian.PutUint32(g.iv[8:], index)
	for i := range g.iv {
		g.iv[i] ^= g.controlSalt[i]
	}
	copy(g.aad[:], b[:controlHeader])
	binary.BigEndian.PutUint32(g.aad[controlHeader:], encrypted|index)
	return aead(g.controlKey[:g.keyLen])
}

func (g *gcm) sealRTCP(b []byte) ([]byte, error) {
	if len(b) < controlHeader {
		return nil, ErrPacket
	}
	ssrc := binary.BigEndian.Uint32(b[4:])
	s := g.source(ssrc)
	if s == nil {
		s = g.add(source{ssrc: ssrc})
	}
	if s.control >= maxControl {
		return nil, ErrExpired
	}
	s.control++
	c, err := g.control(b, s.control)
	if err != nil {
		return nil, err
	}
	out := c.Seal(b[controlHeader:controlHeader], g.iv[:], b[controlHeader:], g.aad[:])
	return append(b[:controlHeader+len(out)], g.aad[controlHeader:]...), nil
}

func (g *gcm) openRTCP(b []byte) ([]byte, error) {
	if len(b) < controlHeader+gcmTag+indexLen {
		return nil, ErrPacket
	}
	end := len(b) - indexLen
	word, ssrc := binary.BigEndian.Uint32(b[end:]), binary.BigEndian.Uint32(b[4:])
	if word&encrypted == 0 { // authentic at most, and we have agreed on more than that
		return nil, ErrAuth
	}
	index := word &^ encrypted
	s, fresh := g.source(ssrc), source{ssrc: ssrc}
	if s == nil {
		s = &fresh
	}
	if s.reported(index) {
		return nil, ErrReplay
	}
	c, err := g.control(b, index)
	if err != nil {
		return nil, err
	}
	out, err := c.Open(b[controlHeader:controlHeader], g.iv[:], b[controlHeader:end], g.aad[:])
	if err != nil {
		return nil, ErrAuth
	}
	if s == &fresh {
		s = g.add(fresh)
	}
	s.report(index)
	return b[:controlHeader+len(out)], nil
}

func (g *gcm) source(ssrc uint32) *source {
	for i := range g.sources {
		if g.sources[i].ssrc == ssrc {
			return &g.sources[i]
		}
	}
	return nil
}

func (g *gcm) add(s source) *source {
	if g.sources == nil {
		g.sources = g.first[:0]
	}
	g.sources = append(g.sources, s)
	return &g.sources[len(g.sources)-1]
}

func (g *gcm) ROC(ssrc uint32) (uint32, bool) {
	if s := g.source(ssrc); s != nil && s.known {
		return uint32(s.index >> 16), true
	}
	return 0, false
}

func (g *gcm) SetROC(ssrc, roc uint32) {
	s := g.source(ssrc)
	if s == nil {
		s = g.add(source{ssrc: ssrc})
	}
	s.index, s.begun, s.known = uint64(roc)<<16, false, true
}

func (g *gcm) Index(ssrc uint32) (uint32, bool) {
	if s := g.source(ssrc); s != nil {
		return s.control, s.control > 0
	}
	return 0, false
}

func (g *gcm) SetIndex(ssrc, index uint32) {
	s := g.source(ssrc)
	if s == nil {
		s = g.add(source{ssrc: ssrc})
	}
	s.control = index & maxControl
}
