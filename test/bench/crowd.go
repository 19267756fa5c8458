//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A crowd is `tandem phone --webrtc --phones N`: many PeerConnections of pion's in one process, on the load's core.
type crowd struct {
	*process
	stdin io.Closer
	fresh chan struct{} // a tally has come in

	mu   sync.Mutex
	last tally
}

// tally is what the phones tell twice a second.
type tally struct {
	Phones    int `json:"phones"`
	Answered  int `json:"answered"`
	Connected int `json:"connected"`
	Failed    int `json:"failed"`
	Sent      int `json:"packets_sent"`
	Received  int `json:"packets_received"`
	Lost      int `json:"packets_lost"`
}

// startCrowd starts n phones whose user names are counted up from user.
func (l *lab) startCrowd(as, server string, n, user int, args ...string) (*crowd, error) {
	args = append([]string{"phone", "--webrtc", "--codecs", "PCMU", "--server", server, "--domain", realm, "--user", strconv.Itoa(user),
		"--password", password, "--phones", strconv.Itoa(n), "--for", "1h", "--play", "tone:440", "--json"}, args...)
	p, in, out, err := startTalking(l.dir, lastCore(), as, l.binary, args...)
	if err != nil {
		return nil, err
	}
	c := &crowd{process: p, stdin: in, fresh: make(chan struct{}, 1)}
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var t tally
			if json.Unmarshal(lines.Bytes(), &t) != nil {
				continue
			}
			c.mu.Lock()
			c.last = t
			c.mu.Unlock()
			select {
			case c.fresh <- struct{}{}:
			default:
			}
		}
	}()
	return c, nil
}

func (c *crowd) tally() tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// next is the tally to come, with the instant at which it came.
func (c *crowd) next() (tally, error) {
	select {
	case <-c.fresh:
	default:
	}
	select {
	case <-c.fresh:
		return c.tally(), nil
	case <-c.done:
	case <-time.After(10 * time.Second):
	}
	return tally{}, fmt.Errorf("%s says nothing more: %s", c.name, c.tail())
}

// up waits until every phone hears something.
func (c *crowd) up() error {
	for end := time.Now().Add(90 * time.Second); ; {
		t, err := c.next()
		switch {
		case err != nil:
			return err
		case t.Connected == t.Phones:
			return nil
		case t.Failed > 0 || time.Now().After(end):
			return fmt.Errorf("%s: %d of %d phones hear something, %d failed: %s", c.name, t.Connected, t.Phones, t.Failed, c.tail())
		}
	}
}

// pause and proceed stop the process and let it go on. Shorter than the five seconds after which its ICE misses the other side.
func (c *crowd) pause()   { _ = syscall.Kill(c.pid(), syscall.SIGSTOP) }
func (c *crowd) proceed() { _ = syscall.Kill(c.pid(), syscall.SIGCONT) }

func (c *crowd) pid() int { return c.cmd.Process.Pid }

func (c *crowd) stop() {
	c.proceed()
	_ = c.stdin.Close()
	c.process.stop()
}
