//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// A profiled is a Go process that shows its profiles, over a unix socket or an address.
type profiled struct {
	client *http.Client
	within string // of the functions whose allocations and goroutines are told apart
}

func profiledAt(network, address, within string) *profiled {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	return &profiled{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}, within}
}

// held is what a process holds after a collection: bytes of the heap as the allocator hands them out, size classes and all, and goroutines;
// the whole process, and what functions with a name within allocated or run.
type held struct{ Bytes, Within, Goroutines, GoroutinesWithin int }

func (h held) minus(o held) held {
	return held{h.Bytes - o.Bytes, h.Within - o.Within, h.Goroutines - o.Goroutines, h.GoroutinesWithin - o.GoroutinesWithin}
}

// collect collects the garbage: what a finalizer lets go of takes two rounds.
func (p *profiled) collect() error {
	for range 2 {
		resp, err := p.client.Get("http://switch/debug/pprof/heap?gc=1")
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// held collects once more and reads both profiles, which takes seconds. The process must run with GODEBUG=memprofilerate=1, which
// samples every allocation.
func (p *profiled) held() (h held, err error) {
	if h.Bytes, h.Within, err = p.sum("heap?gc=1&debug=1"); err != nil {
		return h, err
	}
	h.Goroutines, h.GoroutinesWithin, err = p.sum("goroutine?debug=1")
	return h, err
}

// sum adds up a profile in text: each record begins with its count, and for the heap [count: bytes] in use, and is followed by its stack.
func (p *profiled) sum(name string) (all, within int, err error) {
	resp, err := p.client.Get("http://switch/debug/pprof/" + name)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("profile %s: %s", name, resp.Status)
	}
	return p.add(resp.Body, strings.HasPrefix(name, "heap"))
}

func (p *profiled) add(r io.Reader, heap bool) (all, within int, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4<<20)
	n, counted := 0, true
	for lines.Scan() {
		line := lines.Text()
		var count int
		switch {
		case strings.HasPrefix(line, "#"):
			if !counted && strings.Contains(line, p.within) {
				within, counted = within+n, true
			}
		case heap:
			if _, err := fmt.Sscanf(line, "%d: %d [", &count, &n); err == nil {
				all, counted = all+n, false
			}
		default:
			if _, err := fmt.Sscanf(line, "%d @", &n); err == nil {
				all, counted = all+n, false
			}
		}
	}
	return all, within, lines.Err()
}

// metric reads one number of the text that Prometheus reads; 0: it is not there.
func metric(r io.Reader, name string) (n int) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, _ = strconv.Atoi(rest)
		}
	}
	return n
}
