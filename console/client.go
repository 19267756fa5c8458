package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"tandem/call"
	"tandem/trunk"
)

// Client asks a running switch over its admin socket.
type Client struct {
	socket string
	http   http.Client
}

// Dial makes a client of the switch that listens on that socket.
func Dial(socket string) *Client {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	return &Client{socket: socket, http: http.Client{
		Timeout: 60 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true, // who dials again and again would leave a connection behind each time
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", socket)
			},
		},
	}}
}

// Status asks for the state.
func (c *Client) Status() (s Status, err error) { return s, c.ask(http.MethodGet, "/v1/status", &s) }

// Calls asks for the calls in progress.
func (c *Client) Calls() (s []call.Snapshot, err error) {
	return s, c.ask(http.MethodGet, "/v1/calls", &s)
}

// Registrations asks for the bindings.
func (c *Client) Registrations() (r []Registration, err error) {
	return r, c.ask(http.MethodGet, "/v1/registrations", &r)
}

// Trunks asks for the carriers.
func (c *Client) Trunks() (t []trunk.Snapshot, err error) {
	return t, c.ask(http.MethodGet, "/v1/trunks", &t)
}

// TrunkGroups asks for the groups of carriers.
func (c *Client) TrunkGroups() (g []trunk.GroupState, err error) {
	return g, c.ask(http.MethodGet, "/v1/trunks/groups", &g)
}

// DrainTrunk keeps new calls off a trunk, or lets them on again.
func (c *Client) DrainTrunk(name string, on bool) (t []trunk.Snapshot, err error) {
	path := "/v1/trunks/drain?trunk=" + url.QueryEscape(name)
	if !on {
		path += "&off=1"
	}
	return t, c.ask(http.MethodPost, path, &t)
}

// HangUp ends a call.
func (c *Client) HangUp(id string) error {
	return c.ask(http.MethodPost, "/v1/hangup?call="+url.QueryEscape(id), nil)
}

// Reload has the configuration read anew; force: even if its tests fail.
func (c *Client) Reload(force bool) (ch Change, err error) {
	path := "/v1/reload"
	if force {
		path += "?force=1"
	}
	return ch, c.ask(http.MethodPost, path, &ch)
}

// Diff asks what the configuration in a folder (an absolute path) would change; empty: what a reload would.
func (c *Client) Diff(config string) (d Difference, err error) {
	return d, c.ask(http.MethodGet, "/v1/diff?config="+url.QueryEscape(config), &d)
}

// Drain refuses new calls, or takes them again.
func (c *Client) Drain(on bool) (s Status, err error) {
	path := "/v1/drain"
	if !on {
		path += "?off=1"
	}
	return s, c.ask(http.MethodPost, path, &s)
}

func (c *Client) ask(method, path string, into any) error {
	req, err := http.NewRequest(method, "http://tandem"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var f failure
		if json.Unmarshal(body, &f) != nil || f.Error == "" {
			return fmt.Errorf("the switch answered %s", resp.Status)
		}
		return errors.New(f.Error)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("no switch runs here: there is no socket %s (name it with --socket or --config)", c.socket)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("socket %s belongs to another user: run this as the one that runs the switch", c.socket)
	}
	return fmt.Errorf("the switch at %s does not answer: %w", c.socket, err)
}
