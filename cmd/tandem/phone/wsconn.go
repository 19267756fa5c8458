package phone

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/gobwas/ws"
)

// webSocketTransport is sipgo's WS transport with its faults mended from below. Its reader answers no ping, loses its
// place on a ping with a payload, ignores binary frames, which RFC 7118 §4.2 demands, and keeps only what fits of a
// fragmented message. So the connection given to it speaks plainly: one unmasked text frame per whole message.
// For wss the TLS is done here too, and sipgo believes that it speaks ws; only the Via says WSS.
// closed is called when a connection that served has ended.
func webSocketTransport(s settings, closed func()) *sip.TransportWS {
	secure := s.network == "wss"
	host := hostPort(s.host, s.port)
	return &sip.TransportWS{
		WriteTimeout: 10 * time.Second,
		DialURI:      func(string) string { return "ws://" + host + s.Path },
		DialerCreate: func(net.Addr) ws.Dialer {
			dialer := ws.Dialer{Protocols: []string{"sip"}, Timeout: 10 * time.Second}
			if s.Origin != "" {
				dialer.Header = ws.HandshakeHeaderHTTP(http.Header{"Origin": {s.Origin}})
			}
			dialer.NetDial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.local.Addr(), 0))
				conn, err := (&net.Dialer{LocalAddr: local}).DialContext(ctx, network, host)
				if err != nil {
					return nil, err
				}
				if secure {
					if conn, err = secureClient(ctx, conn, s); err != nil {
						return nil, err
					}
				}
				return &webSocketConn{Conn: conn, in: bufio.NewReader(conn), closed: closed}, nil
			}
			return dialer
		},
	}
}

func secureClient(ctx context.Context, conn net.Conn, s settings) (net.Conn, error) {
	config := s.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = s.host
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS handshake with %s: %w", s.host, err)
	}
	return secured, nil
}

// A webSocketConn passes the upgrade's answer through as it is, and from then on whole messages.
type webSocketConn struct {
	net.Conn
	in       *bufio.Reader
	out      bytes.Buffer // what Read has still to hand up
	upgraded atomic.Bool
	closed   func()

	writing sync.Mutex
	partial bytes.Buffer // of the frame being written
}

// maxWebSocketMessage is sipgo's own limit for a message.
const maxWebSocketMessage = 64 << 10

func (c *webSocketConn) Read(p []byte) (int, error) {
	for c.out.Len() == 0 {
		if !c.upgraded.Load() {
			line, err := c.in.ReadString('\n')
			c.out.WriteString(line)
			c.upgraded.Store(strings.TrimRight(line, "\r\n") == "")
			if err != nil {
				return c.out.Read(p)
			}
			continue
		}
		message, err := c.message()
		if err != nil {
			c.closed()
			return 0, err
		}
		if err := ws.WriteFrame(&c.out, ws.NewTextFrame(message)); err != nil {
			return 0, err
		}
	}
	return c.out.Read(p)
}

// message reads frames until one text or binary message is whole, answering pings on the way.
func (c *webSocketConn) message() ([]byte, error) {
	var message []byte
	for {
		header, err := ws.ReadHeader(c.in)
		if err != nil {
			return nil, err
		}
		if header.Length > maxWebSocketMessage || len(message)+int(header.Length) > maxWebSocketMessage {
			return nil, fmt.Errorf("WebSocket message over %d bytes", maxWebSocketMessage)
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(c.in, payload); err != nil {
			return nil, err
		}
		if header.Masked {
			ws.Cipher(payload, header.Mask, 0)
		}
		switch header.OpCode {
		case ws.OpPing:
			if err := c.frame(ws.NewPongFrame(payload)); err != nil {
				return nil, err
			}
		case ws.OpPong:
		case ws.OpClose:
			_ = c.frame(ws.NewCloseFrame(payload))
			return nil, io.EOF
		default:
			message = append(message, payload...)
			if header.Fin && len(message) > 0 {
				return message, nil
			}
		}
	}
}

// frame sends a control frame of our own.
func (c *webSocketConn) frame(f ws.Frame) error {
	var b bytes.Buffer
	if err := ws.WriteFrame(&b, ws.MaskFrameInPlace(f)); err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.Conn.Write(b.Bytes())
	return err
}

// Write holds back what it is given until a frame is whole: sipgo writes header and payload apart, and a pong of ours
// must not come between them.
func (c *webSocketConn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if !c.upgraded.Load() {
		return c.Conn.Write(p)
	}
	c.partial.Write(p)
	for {
		rest := bytes.NewReader(c.partial.Bytes())
		header, err := ws.ReadHeader(rest)
		if err != nil || int64(rest.Len()) < header.Length {
			return len(p), nil // more is to come
		}
		whole := c.partial.Len() - rest.Len() + int(header.Length)
		if _, err := c.Conn.Write(c.partial.Next(whole)); err != nil {
			return 0, err
		}
	}
}
