package transport

import (
	"fmt"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// What a stranger says too fast over a stream is heard later, and in order: nothing of it would come again.
func TestBudgetHoldsAStreamUp(t *testing.T) {
	for _, proto := range []Proto{TCP, WS} {
		t.Run(proto.String(), func(t *testing.T) {
			e := newEar()
			cfg := tcpConfig()
			if proto == WS {
				cfg = wsConfig()
			}
			cfg.Strangers = Budget{Rate: 50, Burst: 2}
			l := run(t, cfg, e)
			text := ""
			for i := range 6 {
				m := options(proto.String(), "h", fmt.Sprint(i), "fast", i+1)
				if proto == WS {
					m = string(wsFrame(ws.OpText, true, m))
				}
				text += m
			}
			start := time.Now()
			if proto == WS {
				write(t, wsDial(t, l), text)
			} else {
				write(t, tcpClient(t, l.testAddr(0)), text)
			}
			for i := range 6 {
				h := e.next(t)
				if n, _, _ := h.msg.CSeq(); int(n) != i+1 {
					t.Fatalf("message %d came as number %d", n, i+1)
				}
			}
			if took := time.Since(start); took < 60*time.Millisecond {
				t.Errorf("six messages took %v at 50 a second, two of them at once", took)
			}
			if n := l.drops(0, DropBudget); n != 0 {
				t.Errorf("%d messages dropped", n)
			}
		})
	}
}

// A stranger that keeps on is closed.
func TestBudgetClosesAStream(t *testing.T) {
	e := newEar()
	cfg := tcpConfig()
	cfg.Strangers = Budget{Rate: 0.001, Burst: 1}
	cfg.Limits.FirstMessage = 50 * time.Millisecond // three times that for what is over the budget
	l := run(t, cfg, e)
	c := tcpClient(t, l.testAddr(0))
	write(t, c, options("TCP", "h", "1", "one", 1)+options("TCP", "h", "2", "two", 2))
	if h := e.next(t); h.msg.CallID() != "one" {
		t.Fatalf("heard %q", h.msg.Raw())
	}
	await(t, e.closed, "Closed")
	if n := l.drops(0, DropBudget); n != 1 || len(e.got) != 0 {
		t.Errorf("%d dropped, %d heard", n, len(e.got))
	}
}
