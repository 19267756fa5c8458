package phone

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/pion/transport/v5/packetio"
	"github.com/pion/webrtc/v4"
)

// buffer takes the place of pion's buffers: what SRTP decrypted goes straight to the stream.
func (p *peer) buffer(kind packetio.BufferPacketType, _ uint32) io.ReadWriteCloser {
	b := &peerBuffer{closed: make(chan struct{}), take: p.audio}
	if kind == packetio.RTCPBufferPacket {
		b.take = p.control
	}
	return b
}

// A peerBuffer delivers what is written and lets whoever reads wait until the end.
type peerBuffer struct {
	take   func([]byte)
	once   sync.Once
	closed chan struct{}
}

func (b *peerBuffer) Write(packet []byte) (int, error) {
	b.take(packet)
	return len(packet), nil
}

func (b *peerBuffer) Read([]byte) (int, error) {
	<-b.closed
	return 0, io.EOF
}

func (b *peerBuffer) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// A peerTrack writes whole packets, of any payload type: pion's own tracks know one only, and telephone-events have
// another.
type peerTrack struct {
	writer atomic.Pointer[webrtc.TrackLocalWriter]
}

func (t *peerTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	if len(c.CodecParameters()) == 0 {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	w := c.WriteStream()
	t.writer.Store(&w)
	return c.CodecParameters()[0], nil
}

func (t *peerTrack) Unbind(webrtc.TrackLocalContext) error { t.writer.Store(nil); return nil }
func (t *peerTrack) ID() string                            { return "audio" }
func (t *peerTrack) RID() string                           { return "" }
func (t *peerTrack) StreamID() string                      { return "tandem-phone" }
func (t *peerTrack) Kind() webrtc.RTPCodecType             { return webrtc.RTPCodecTypeAudio }

func (t *peerTrack) write(packet []byte) {
	if w := t.writer.Load(); w != nil {
		_, _ = (*w).Write(packet)
	}
}
