package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Hook tells somebody outside that the role has changed: a cloud that moves an address, a router that announces it. It is
// told "active" with the epoch, and "standby"; when it is slow, only the last change is told.
type Hook struct {
	Command []string // program and arguments, run without a shell; TANDEM_ROLE, TANDEM_EPOCH and TANDEM_NODE are in its environment
	URL     string   // that gets a POST of JSON
	Timeout time.Duration
}

func (h Hook) set() bool { return len(h.Command) > 0 || h.URL != "" }

// hookEvery is how soon a change of the role is seen: far below what any hook takes.
const hookEvery = 10 * time.Millisecond

type hookCall struct {
	Node  string `json:"node"`
	Role  string `json:"role"`
	Epoch uint64 `json:"epoch"`
	Shard string `json:"shard,omitempty"` // whose role it is, where the cluster has shards
}

func (h Hook) run(ctx context.Context, e *Engine, a *addresses) {
	tick := time.NewTicker(hookEvery)
	defer tick.Stop()
	var told hookCall
	tell := func(now hookCall) {
		if now == told {
			return
		}
		told = now
		if err := h.call(now); err != nil {
			e.tell(Event{Name: "hook failed", Alarm: true, Detail: err.Error()})
		}
	}
	for {
		now := hookCall{Node: e.cfg.Node, Role: "standby", Shard: e.cfg.Shard}
		if epoch := e.lease.Epoch(); epoch != 0 && a.isHere() {
			now.Role, now.Epoch = "active", epoch
		}
		tell(now)
		select {
		case <-ctx.Done():
			tell(hookCall{Node: e.cfg.Node, Role: "standby", Shard: e.cfg.Shard})
			return
		case <-tick.C:
		}
	}
}

func (a *addresses) isHere() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.here
}

// call runs both parts at once; it outlives the context of the role, since "standby" must still be told.
func (h Hook) call(c hookCall) error {
	ctx, cancel := context.WithTimeout(context.Background(), h.Timeout)
	defer cancel()
	var working sync.WaitGroup
	var ran, posted error
	if len(h.Command) > 0 {
		working.Go(func() { ran = h.exec(ctx, c) })
	}
	if h.URL != "" {
		working.Go(func() { posted = h.post(ctx, c) })
	}
	working.Wait()
	if ran != nil {
		return ran
	}
	return posted
}

func (h Hook) exec(ctx context.Context, c hookCall) error {
	cmd := exec.CommandContext(ctx, h.Command[0], h.Command[1:]...)
	cmd.Env = append(os.Environ(), "TANDEM_ROLE="+c.Role, "TANDEM_EPOCH="+strconv.FormatUint(c.Epoch, 10), "TANDEM_NODE="+c.Node, "TANDEM_SHARD="+c.Shard)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s (%s): %w: %s", h.Command[0], c.Role, err, lastLine(out))
	}
	return nil
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	last := lines[len(lines)-1]
	return last[:min(len(last), 200)]
}

func (h Hook) post(ctx context.Context, c hookCall) error {
	b, _ := json.Marshal(c)
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(b))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", h.URL, resp.Status)
	}
	return nil
}
