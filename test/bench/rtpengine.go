//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sort"
	"strconv"
	"time"
)

// engine is Debian's rtpengine, relaying in userspace, set up through its ng port.
type engine struct {
	*process
	conn   net.Conn
	cookie int
}

// startEngine starts rtpengine without its kernel module (table -1). On one core it is cheapest with one thread.
func startEngine(dir string, core int) (*engine, error) {
	ng := netip.AddrPortFrom(servers, 2223).String()
	p, err := start(dir, core, "rtpengine", "--config-file=none", "--table=-1", "--interface="+servers.String(), "--listen-ng="+ng,
		"--port-min=20000", "--port-max=29999", "--num-threads=1", "--foreground", "--log-stderr", "--log-level=3",
		"--pidfile="+filepath.Join(dir, "rtpengine.pid"), "--no-redis-required")
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("udp", ng)
	if err != nil {
		p.stop()
		return nil, err
	}
	e := &engine{process: p, conn: conn}
	err = p.until("answering", func() bool {
		_, err := e.command(map[string]any{"command": "ping"}, 200*time.Millisecond)
		return err == nil
	})
	return e, err
}

// call sets up one call between two ports of the load, and gives the ports that A and B send to.
func (e *engine) call(i, a, b int) (toA, toB int, err error) {
	common := func(command string, port int) map[string]any {
		sdp := appendBody(nil, generator, port)
		_, body, _ := bytes.Cut(sdp, []byte("\r\n\r\n"))
		return map[string]any{
			"command": command, "call-id": "bench" + strconv.Itoa(i), "from-tag": "a", "sdp": string(body), "ICE": "remove",
			"replace": []any{"origin", "session-connection"}, "flags": []any{"trust-address"},
		}
	}
	reply, err := e.command(common("offer", a), time.Second)
	if err != nil {
		return 0, 0, err
	}
	toB = mediaPort(reply)
	answer := common("answer", b)
	answer["to-tag"] = "b"
	if reply, err = e.command(answer, time.Second); err != nil {
		return 0, 0, err
	}
	return mediaPort(reply), toB, nil
}

// command sends one command of the ng protocol (a cookie and a bencoded dictionary) and gives the reply's text.
func (e *engine) command(d map[string]any, limit time.Duration) ([]byte, error) {
	e.cookie++
	cookie := strconv.Itoa(e.cookie) + " "
	if _, err := e.conn.Write(bencode([]byte(cookie), d)); err != nil {
		return nil, err
	}
	if err := e.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	buf := make([]byte, 65536)
	for {
		n, err := e.conn.Read(buf)
		if err != nil {
			return nil, fmt.Errorf("rtpengine: %w", err)
		}
		text, ok := bytes.CutPrefix(buf[:n], []byte(cookie))
		switch {
		case !ok: // of an earlier command
		case bytes.Contains(text, []byte("6:result2:ok")), bytes.Contains(text, []byte("6:result4:pong")):
			return text, nil
		default:
			return nil, fmt.Errorf("rtpengine: %w: %q", errors.ErrUnsupported, text)
		}
	}
}

// bencode appends a text, a list or a dictionary.
func bencode(dst []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return append(append(strconv.AppendInt(dst, int64(len(v)), 10), ':'), v...)
	case []any:
		dst = append(dst, 'l')
		for _, x := range v {
			dst = bencode(dst, x)
		}
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		dst = append(dst, 'd')
		for _, k := range keys {
			dst = bencode(bencode(dst, k), v[k])
		}
	}
	return append(dst, 'e')
}
