package transport

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// upgrade answers the request of a WebSocket handshake (RFC 6455 §4.2, RFC 7118 §5) within the deadline that is set on
// nc. A refusal is answered, and is the error. early is what the client sent after it.
func upgrade(nc net.Conn, br *bufio.Reader, req *http.Request, listen Listen) (early []byte, err error) {
	if no := refusal(req, listen); no != nil {
		return nil, refuseUpgrade(nc, no)
	}
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = fmt.Fprintf(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: sip\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	if err != nil {
		return nil, err
	}
	early, _ = br.Peek(br.Buffered()) // what is buffered is there
	return early, nil
}

// refused is an answer to a handshake that is not one of ours.
type refused struct {
	status       int
	header, text string
}

// refusal checks the handshake; nil when it is good.
func refusal(req *http.Request, listen Listen) *refused {
	h := req.Header
	key, err := base64.StdEncoding.DecodeString(h.Get("Sec-WebSocket-Key"))
	switch {
	case req.Method != http.MethodGet:
		return &refused{http.StatusMethodNotAllowed, "Allow: GET\r\n", "SIP over WebSocket begins with GET"}
	case !hasToken(h["Upgrade"], "websocket"):
		return &refused{http.StatusUpgradeRequired, "Upgrade: websocket\r\nSec-WebSocket-Protocol: sip\r\n", "this is SIP over WebSocket"}
	case !hasToken(h["Connection"], "upgrade") || req.ProtoMajor != 1 || req.ProtoMinor < 1:
		return &refused{http.StatusBadRequest, "", "Connection: Upgrade is missing"}
	case h.Get("Sec-WebSocket-Version") != "13":
		return &refused{http.StatusUpgradeRequired, "Sec-WebSocket-Version: 13\r\n", "WebSocket version 13 is spoken here"}
	case err != nil || len(key) != 16:
		return &refused{http.StatusBadRequest, "", "Sec-WebSocket-Key is malformed"}
	case !hasToken(h["Sec-Websocket-Protocol"], "sip"):
		return &refused{http.StatusBadRequest, "", "subprotocol sip is required"}
	case !originAdmitted(h["Origin"], req.Host, listen):
		return &refused{http.StatusForbidden, "", "Origin is not admitted"}
	}
	return nil
}

// hasToken looks for a token in the comma lists of a header, in any case.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// originAdmitted keeps foreign web pages from using a visitor's browser to reach us (RFC 6455 §10.2). A client
// that is no browser sends no Origin. Our own host is the one in Host, or the advertised one; on whatever port,
// since the page comes from another listener.
func originAdmitted(origins []string, host string, listen Listen) bool {
	if len(origins) == 0 {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	if listen.Pages && ownPage(origins[0], host, listen.Proto) {
		return true
	}
	for _, o := range listen.Origins {
		if o == "*" || strings.EqualFold(strings.TrimSuffix(o, "/"), origins[0]) {
			return true
		}
	}
	if len(listen.Origins) > 0 {
		return false
	}
	u, err := url.Parse(origins[0])
	if err != nil || u.Hostname() == "" {
		return false
	}
	return strings.EqualFold(u.Hostname(), hostname(host)) || listen.Advertise != "" && strings.EqualFold(u.Hostname(), hostname(listen.Advertise))
}

// ownPage tells whether an Origin is that of the pages that the listener itself serves: the same scheme, host and port.
func ownPage(origin, host string, proto Proto) bool {
	scheme := "http"
	if proto.Secure() {
		scheme = "https"
	}
	return host != "" && strings.EqualFold(origin, scheme+"://"+host)
}

func hostname(hostport string) string { return (&url.URL{Host: hostport}).Hostname() }
