package stir

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// patience bounds a fetch from the first look-up to the last byte.
	patience = 2 * time.Second
	// largestChain bounds what is read, in bytes: a chain of four certificates has about 5,000.
	largestChain = 64 << 10
)

// fetcher gets the text at a URL, and how long it may be kept; 0: nobody has said.
type fetcher func(ctx context.Context, address string) (text []byte, keep time.Duration, err error)

// https makes the fetcher that is used where Config gives none: one GET, no redirect, no proxy, no cookie, no connection kept.
// The address is looked at when the connection is made, after the last look-up, so no name can change its mind in between.
func https(cfg Config) fetcher {
	strict := webClient(cfg, func(_ context.Context, _, address string, _ syscall.RawConn) error {
		if a, err := netip.ParseAddrPort(address); err != nil || !public(a.Addr()) {
			return errInside
		}
		return nil
	})
	open := webClient(cfg, nil)
	return func(ctx context.Context, address string) ([]byte, time.Duration, error) {
		u, err := parseURL(address)
		if err != nil {
			return nil, 0, err
		}
		trusted, err := mayFetch(u, cfg.Hosts)
		if err != nil {
			return nil, 0, err
		}
		client := strict
		if trusted {
			client = open
		}
		return get(ctx, client, u.String())
	}
}

func webClient(cfg Config, control func(context.Context, string, string, syscall.RawConn) error) *http.Client {
	dialer := &net.Dialer{Timeout: patience, ControlContext: control, Resolver: cfg.Resolver}
	t := &http.Transport{
		DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true,
		TLSHandshakeTimeout: patience, ResponseHeaderTimeout: patience, MaxResponseHeaderBytes: 16 << 10,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Web},
	}
	return &http.Client{
		Timeout: patience, Transport: t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func get(ctx context.Context, client *http.Client, address string) ([]byte, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the answer is %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, largestChain+1))
	if err == nil && len(text) > largestChain {
		err = errors.New("the answer is too long for certificates")
	}
	return text, maxAge(resp.Header.Get("Cache-Control")), err
}

// maxAge is how long an answer may be kept (RFC 9111 §5.2.2.1).
func maxAge(header string) time.Duration {
	for directive := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
			return time.Duration(n) * time.Second
		}
	}
	return 0
}
