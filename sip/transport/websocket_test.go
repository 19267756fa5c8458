package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tandem/sip"
)

func wsConfig(origins ...string) Config {
	return Config{Listen: []Listen{{Name: "browsers", Proto: WS, Address: "127.0.0.1:0", Origins: origins}}}
}

// wsDial makes a connection with somebody else's client.
func wsDial(t testing.TB, l *Layer) net.Conn {
	t.Helper()
	d := ws.Dialer{Protocols: []string{"sip"}, Timeout: patience}
	c, br, hs, err := d.Dial(context.Background(), "ws://"+l.testAddr(0).String()+"/any/path")
	if err != nil {
		t.Fatal(err)
	}
	if hs.Protocol != "sip" || br != nil {
		t.Fatalf("protocol %q, early data %v", hs.Protocol, br)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func wsFrame(op ws.OpCode, final bool, payload string) []byte {
	return ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, final, []byte(payload))))
}

func readFrame(r io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(r)
	if err != nil || h.Length > maxMessage {
		return ws.Frame{}, errors.Join(err, errors.New("no frame"))
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

// wantClose reads frames until a Close frame and checks its status.
func wantClose(t *testing.T, c net.Conn, code ws.StatusCode) {
	t.Helper()
	for {
		f, err := readFrame(c)
		if err != nil {
			t.Fatalf("no Close frame: %v", err)
		}
		if f.Header.OpCode == ws.OpClose {
			if got, _ := ws.ParseCloseFrameData(f.Payload); got != code {
				t.Errorf("closed with %d, want %d", got, code)
			}
			break
		}
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("data after the Close frame")
	}
}

func TestWebSocketMessages(t *testing.T) {
	e := newEar()
	l := run(t, wsConfig(), e)
	c := wsDial(t, l)
	for _, op := range []ws.OpCode{ws.OpText, ws.OpBinary, ws.OpText} {
		text := options("WS", "x.invalid", "1", "call", 1, "body:"+strings.Repeat("ä", 100))
		if err := wsutil.WriteClientMessage(c, op, []byte(text)); err != nil {
			t.Fatal(err)
		}
		h := e.next(t)
		if h.msg.Raw() != text || h.flow.Proto() != WS || h.msg.Source != localPort(c) {
			t.Errorf("heard %q from %v", h.msg.Raw(), h.msg.Source)
		}
		for _, answer := range []string{"short", strings.Repeat("y", 1000), strings.Repeat("z", 65535)} {
			if err := h.flow.Send([]byte(answer)); err != nil {
				t.Fatal(err)
			}
			got, gotOp, err := wsutil.ReadServerData(c)
			if err != nil || string(got) != answer || gotOp != op {
				t.Errorf("answer of %d octets, op %v, %v; want %d, op %v", len(got), gotOp, err, len(answer), op)
			}
		}
	}
	if err := wsutil.WriteClientMessage(c, ws.OpText, []byte(options("WS", "x.invalid", "2", "call", 2))); err != nil {
		t.Fatal(err)
	}
	if err := e.next(t).flow.Send([]byte("no UTF-8: \xff")); err != nil {
		t.Fatal(err)
	}
	if _, op, err := wsutil.ReadServerData(c); err != nil || op != ws.OpBinary {
		t.Errorf("what is no UTF-8 went out as %v, %v", op, err)
	}
}

func TestWebSocketFragmentsWithControlFramesBetween(t *testing.T) {
	e := newEar()
	l := run(t, wsConfig(), e)
	c := wsDial(t, l)
	text := options("WS", "x.invalid", "1", "call", 1, "body:"+strings.Repeat("b", 9000))
	var wire []byte
	wire = append(wire, wsFrame(ws.OpText, false, text[:10])...)
	wire = append(wire, wsFrame(ws.OpPing, true, "are you there")...)
	wire = append(wire, wsFrame(ws.OpContinuation, false, "")...)
	wire = append(wire, wsFrame(ws.OpContinuation, false, text[10:5000])...)
	wire = append(wire, wsFrame(ws.OpContinuation, true, text[5000:])...)
	for part := range slices.Chunk(wire, 37) {
		write(t, c, string(part))
	}
	if h := e.next(t); h.msg.Raw() != text {
		t.Errorf("heard %d octets, want %d", len(h.msg.Raw()), len(text))
	}
	f, err := readFrame(c)
	if err != nil || f.Header.OpCode != ws.OpPong || string(f.Payload) != "are you there" {
		t.Errorf("pong %v %q %v", f.Header, f.Payload, err)
	}
}

func TestWebSocketOneByteAtATime(t *testing.T) {
	e := newEar()
	l := run(t, wsConfig(), e)
	c := wsDial(t, l)
	text := options("WS", "x.invalid", "1", "call", 1)
	for _, b := range wsFrame(ws.OpBinary, true, text) {
		write(t, c, string([]byte{b}))
	}
	if h := e.next(t); h.msg.Raw() != text {
		t.Errorf("heard %q", h.msg.Raw())
	}
}

func TestWebSocketKeepalives(t *testing.T) {
	e := newEar()
	l := run(t, wsConfig(), e)
	c := wsDial(t, l)
	if err := wsutil.WriteClientMessage(c, ws.OpText, []byte("\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if got, op, err := wsutil.ReadServerData(c); err != nil || string(got) != "\r\n" || op != ws.OpText {
		t.Errorf("%q %v %v", got, op, err)
	}
	if s := l.Stats()[0]; s.Keepalives != 1 || len(e.got) != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestWebSocketPingsAndGivesUp(t *testing.T) {
	t.Parallel()
	e := newEar()
	l, err := New(wsConfig(), e, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.tempo.webPing, l.tempo.pong = 30*time.Millisecond, 2*time.Second
	runLayer(t, l)
	c := wsDial(t, l)
	for range 3 {
		f, err := readFrame(c)
		if err != nil || f.Header.OpCode != ws.OpPing {
			t.Fatalf("%v %v", f.Header, err)
		}
		write(t, c, string(wsFrame(ws.OpPong, true, string(f.Payload))))
	}
	await(t, e.closed, "Closed") // the fourth is not answered
}

func TestWebSocketClose(t *testing.T) {
	huge := make([]byte, 14)
	huge[0], huge[1] = 0x82, 0xff
	binary.BigEndian.PutUint64(huge[2:], 1<<63)
	close := func(code ws.StatusCode) []byte {
		return wsFrame(ws.OpClose, true, string(ws.NewCloseFrameBody(code, "bye")))
	}
	reserved := wsFrame(ws.OpText, true, "x")
	reserved[0] |= 0x40
	fragments := append(wsFrame(ws.OpText, false, strings.Repeat("x", 40000)), wsFrame(ws.OpContinuation, true, strings.Repeat("x", 40000))...)
	for name, c := range map[string]struct {
		wire []byte
		code ws.StatusCode
	}{
		"client says goodbye":         {close(1000), 1000},
		"with a status of its own":    {close(4000), 4000},
		"without a status":            {wsFrame(ws.OpClose, true, ""), 1000},
		"with a status nobody sends":  {close(1005), 1002},
		"half a status":               {wsFrame(ws.OpClose, true, "x"), 1002},
		"2^63 octets":                 {huge, 1009},
		"65536 octets":                {wsFrame(ws.OpBinary, true, strings.Repeat("x", 65536)), 1009},
		"fragments too large in all":  {fragments, 1009},
		"not masked":                  {ws.MustCompileFrame(ws.NewTextFrame([]byte("x"))), 1002},
		"reserved bit":                {reserved, 1002},
		"unknown opcode":              {wsFrame(5, true, "x"), 1002},
		"continuation of nothing":     {wsFrame(ws.OpContinuation, true, "x"), 1002},
		"message within a message":    {append(wsFrame(ws.OpText, false, "x"), wsFrame(ws.OpText, true, "x")...), 1002},
		"ping in fragments":           {wsFrame(ws.OpPing, false, "x"), 1002},
		"ping too long":               {wsFrame(ws.OpPing, true, strings.Repeat("x", 126)), 1002},
		"text that is no UTF-8":       {wsFrame(ws.OpText, true, "\xff\xfe"), 1007},
		"fragments that are no UTF-8": {append(wsFrame(ws.OpText, false, "\xff"), wsFrame(ws.OpContinuation, true, "x")...), 1007},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEar()
			l := run(t, wsConfig(), e)
			conn := wsDial(t, l)
			write(t, conn, string(c.wire))
			wantClose(t, conn, c.code)
			conn.Close()
			await(t, e.closed, "Closed")
		})
	}
}

func TestWebSocketShutdownSaysGoodbye(t *testing.T) {
	e := newEar()
	l, err := New(wsConfig(), e, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := runLayer(t, l)
	c := wsDial(t, l)
	wsutil.WriteClientMessage(c, ws.OpText, []byte(options("WS", "x.invalid", "1", "call", 1)))
	e.next(t)
	go stop()
	wantClose(t, c, 1001)
	c.Close()
	await(t, e.closed, "Closed")
	stop()
}

func TestWebSocketHandshake(t *testing.T) {
	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	good := "Host: pbx.example.com:8088\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n" + key
	sub := "Sec-WebSocket-Protocol: xmpp, sip\r\n"
	for name, c := range map[string]struct {
		origins []string
		head    string
		status  int
	}{
		"no Origin":               {nil, good + sub, 101},
		"own Origin":              {nil, good + sub + "Origin: https://PBX.example.com\r\n", 101},
		"foreign Origin":          {nil, good + sub + "Origin: https://evil.example\r\n", 403},
		"null Origin":             {nil, good + sub + "Origin: null\r\n", 403},
		"two Origins":             {[]string{"*"}, good + sub + "Origin: https://a\r\nOrigin: https://b\r\n", 403},
		"listed Origin":           {[]string{"https://app.example/"}, good + sub + "Origin: https://APP.example\r\n", 101},
		"own Origin, not listed":  {[]string{"https://app.example"}, good + sub + "Origin: https://pbx.example.com\r\n", 403},
		"any Origin":              {[]string{"*"}, good + sub + "Origin: https://evil.example\r\n", 101},
		"no subprotocol":          {nil, good, 400},
		"another subprotocol":     {nil, good + "Sec-WebSocket-Protocol: xmpp\r\n", 400},
		"plain GET":               {nil, "Host: x\r\n", 426},
		"version 8":               {nil, strings.Replace(good+sub, "13", "8", 1), 426},
		"no Connection":           {nil, strings.Replace(good+sub, "Connection", "X", 1), 400},
		"key of the wrong length": {nil, strings.Replace(good+sub, "dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 1), 400},
	} {
		t.Run(name, func(t *testing.T) {
			l := run(t, wsConfig(c.origins...), newEar())
			conn := tcpClient(t, l.testAddr(0))
			write(t, conn, "GET /ws HTTP/1.1\r\n"+c.head+"\r\n")
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != c.status {
				t.Errorf("status %s, want %d", res.Status, c.status)
			}
			if c.status == 101 && (res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || res.Header.Get("Sec-WebSocket-Protocol") != "sip") {
				t.Errorf("headers %v", res.Header)
			}
			if c.status != 101 {
				eventually(t, "a refused handshake counted", func() bool { return l.drops(0, DropHandshake) == 1 })
			}
		})
	}
	t.Run("POST", func(t *testing.T) {
		l := run(t, wsConfig(), newEar())
		res, err := http.Post("http://"+l.testAddr(0).String(), "text/plain", nil)
		if err != nil || res.StatusCode != 405 {
			t.Errorf("%v %v", res, err)
		}
	})
	t.Run("endless header", func(t *testing.T) {
		l := run(t, wsConfig(), newEar())
		conn := tcpClient(t, l.testAddr(0))
		write(t, conn, "GET / HTTP/1.1\r\nX: "+strings.Repeat("x", maxUpgrade))
		wantEOF(t, conn)
	})
}

// What a client sends together with its handshake is not lost.
func TestWebSocketEarlyFrame(t *testing.T) {
	e := newEar()
	l := run(t, wsConfig(), e)
	c := tcpClient(t, l.testAddr(0))
	text := options("WS", "x.invalid", "1", "early", 1)
	write(t, c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n"+string(wsFrame(ws.OpText, true, text)))
	if h := e.next(t); h.msg.Raw() != text {
		t.Errorf("heard %q", h.msg.Raw())
	}
}

func TestSilentWebSocketClientsBlockNobody(t *testing.T) {
	t.Parallel()
	e := newEar()
	cfg := wsConfig()
	cfg.Limits.FirstMessage = 2 * time.Second
	l := run(t, cfg, e)
	silent, slow := tcpClient(t, l.testAddr(0)), tcpClient(t, l.testAddr(0))
	write(t, slow, "GET / HTTP/1.1\r\nHo")
	half := wsDial(t, l)
	write(t, half, string(wsFrame(ws.OpText, false, "OPTIONS ")))
	c := wsDial(t, l)
	text := options("WS", "x.invalid", "1", "good", 1)
	if err := wsutil.WriteClientMessage(c, ws.OpText, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if h := e.next(t); h.msg.Raw() != text {
		t.Errorf("heard %q", h.msg.Raw())
	}
	wantEOF(t, silent)
	wantEOF(t, slow)
	wantEOF(t, half)
	eventually(t, "each counted", func() bool { return l.drops(0, DropHandshake) == 2 && l.drops(0, DropSlow) == 1 })
}

func TestSecureWebSocket(t *testing.T) {
	a := newAuthority(t)
	e := newEar()
	l := run(t, a.config(WSS), e)
	silent := tcpClient(t, l.testAddr(0))
	d := ws.Dialer{Protocols: []string{"sip"}, Timeout: patience, TLSConfig: &tls.Config{RootCAs: a.pool, ServerName: "sip.example.com"}}
	c, _, _, err := d.Dial(context.Background(), "wss://"+l.testAddr(0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if err := wsutil.WriteClientMessage(c, ws.OpText, []byte(options("WSS", "x.invalid", "1", "call", 1))); err != nil {
		t.Fatal(err)
	}
	h := e.next(t)
	if h.flow.Proto() != WSS || !strings.HasSuffix(h.flow.Contact("a"), ";transport=ws") {
		t.Errorf("%v %s", h.flow.Proto(), h.flow.Contact("a"))
	}
	if err := h.flow.Send([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if got, _, err := wsutil.ReadServerData(c); err != nil || string(got) != "answer" {
		t.Errorf("%q %v", got, err)
	}
	silent.Close()
}

func TestWebSocketBrokenRequestIsAnswered(t *testing.T) {
	e := newEar()
	l := run(t, wsConfig(), e)
	c := wsDial(t, l)
	bad := strings.Replace(options("WS", "x.invalid", "1", "call", 1), "Content-Length: 0", "Content-Length: 10", 1)
	if err := wsutil.WriteClientMessage(c, ws.OpText, []byte(bad)); err != nil {
		t.Fatal(err)
	}
	got, err := wsutil.ReadServerText(c)
	var m sip.Message
	if err != nil || m.Parse(string(got)) != nil || m.Status() != 400 {
		t.Errorf("answer %q %v", got, err)
	}
}

// FuzzWebSocket asserts that frames survive any cut of the stream, and that nothing large is kept.
func FuzzWebSocket(f *testing.F) {
	f.Add(wsFrame(ws.OpText, true, "hello"), 3)
	f.Add(append(wsFrame(ws.OpText, false, "a"), wsFrame(ws.OpContinuation, true, "b")...), 1)
	f.Add([]byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 2)
	f.Add(wsFrame(ws.OpPing, true, "x"), 5)
	f.Fuzz(func(t *testing.T, wire []byte, step int) {
		const limit = 1000
		cut := func(step int) (out []string) {
			w := webSocket{max: limit}
			rest := []byte{}
			for at := 0; at < len(wire); at += step {
				rest = append(rest, wire[at:min(len(wire), at+step)]...)
				for {
					n, f, code := w.next(rest)
					if code != 0 {
						return append(out, fmt.Sprint("close ", code))
					}
					if n == 0 {
						break
					}
					if len(f.payload) > limit || len(w.message) > limit || n > len(rest) {
						t.Fatalf("%d octets of payload, %d kept", len(f.payload), len(w.message))
					}
					out = append(out, fmt.Sprint(f.op, ":", string(f.payload)))
					rest = bytes.Clone(rest[n:])
				}
			}
			return out
		}
		if step <= 0 || step > 100 {
			step = 7
		}
		whole, parts := cut(max(1, len(wire))), cut(step)
		if strings.Join(whole, "|") != strings.Join(parts, "|") {
			t.Errorf("in one piece %q, in pieces of %d %q", whole, step, parts)
		}
		r := bytes.NewReader(wire)
		for _, got := range whole { // each frame in turn, as somebody else reads it
			h, err := ws.ReadHeader(r)
			if err != nil || h.Length > limit {
				break
			}
			payload := make([]byte, h.Length)
			if _, err := io.ReadFull(r, payload); errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			ws.Cipher(payload, h.Mask, 0)
			if h.Fin && h.OpCode != ws.OpContinuation && h.Masked && h.Rsv == 0 && strings.HasPrefix(got, fmt.Sprint(byte(h.OpCode), ":")) &&
				got != fmt.Sprint(byte(h.OpCode), ":", string(payload)) {
				t.Errorf("%q, others read %q", got, payload)
			}
		}
	})
}
