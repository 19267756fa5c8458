package transport

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"time"
)

const (
	// maxUpgrade bounds one HTTP request on a connection for WebSocket, its body included.
	maxUpgrade = 16 << 10
	// maxRequests is how many pages one connection may ask for before it has to come again.
	maxRequests = 100
)

// errServed ends a connection that asked for pages and for no WebSocket.
var errServed = errors.New("pages were served")

// hello reads what a client of a WebSocket listener says first: requests for pages, each answered, until one of them is a
// handshake. So one port and one certificate serve a web page and the SIP that it speaks. Each request has the time that a
// first message has. early is what the client sent behind the handshake.
func (c *conn) hello(listen Listen) (early []byte, err error) {
	pages := c.layer.now.Load().config.Pages
	limited := &io.LimitedReader{R: c.nc}
	br := bufio.NewReader(limited)
	for served := 0; ; served++ {
		limited.N = maxUpgrade
		req, err := http.ReadRequest(br)
		if err != nil {
			if served > 0 {
				err = errServed
			}
			return nil, err
		}
		if pages == nil || !listen.Pages || hasToken(req.Header["Upgrade"], "websocket") {
			c.page = len(req.Header["Origin"]) > 0
			return upgrade(c.nc, br, req, listen)
		}
		if c.servePage(pages, req, served) != nil {
			return nil, errServed
		}
		_ = c.raw.SetDeadline(time.Now().Add(c.layer.limits().FirstMessage)) // fails on a closed socket only
	}
}

// servePage answers one request; an error ends the connection.
func (c *conn) servePage(pages http.Handler, req *http.Request, served int) error {
	req.RemoteAddr = c.flow.remote.String()
	w := &page{header: http.Header{}}
	c.guarded(pages, w, req)
	_, unread := io.Copy(io.Discard, req.Body)
	last := req.Close || unread != nil || served+1 >= maxRequests
	resp := http.Response{
		StatusCode: max(w.status, 100), ProtoMajor: 1, ProtoMinor: 1, Request: req, Header: w.header,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Close: last,
	}
	if err := resp.Write(c.nc); err != nil || last {
		return errors.Join(err, errServed)
	}
	return nil
}

// guarded asks the handler; its panic is its own.
func (c *conn) guarded(pages http.Handler, w *page, req *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			c.count.drop(DropPanic)
			c.layer.log.Error("panic in a page", "path", req.URL.Path, "panic", p, "stack", string(debug.Stack()))
			*w = page{status: http.StatusInternalServerError, header: http.Header{}}
		}
	}()
	pages.ServeHTTP(w, req)
	w.WriteHeader(http.StatusOK)
}

// page keeps what a handler writes until it is whole: pages are small, and a slow reader must not hold the handler.
type page struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *page) Header() http.Header { return a.header }

// WriteHeader takes the first status.
func (a *page) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *page) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// refuseUpgrade says why a request is no handshake of ours.
func refuseUpgrade(nc net.Conn, no *refused) error {
	fmt.Fprintf(nc, "HTTP/1.1 %d %s\r\n%sContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		no.status, http.StatusText(no.status), no.header, len(no.text)+1, no.text+"\n")
	return fmt.Errorf("websocket handshake: %d %s", no.status, no.text)
}
