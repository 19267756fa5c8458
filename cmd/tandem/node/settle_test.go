package node

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/call"
	"tandem/cluster"
)

// lostPair is the store of a pair and the files of its two nodes; asNode is one of them, alone.
type lostPair struct {
	*testing.T
	dir string
	log bytes.Buffer
}

const lostLines = `{"call":"one","status":200}` + "\n" + `{"call":"two","status":200}` + "\n"

func (p *lostPair) file(node string) string { return filepath.Join(p.dir, node+".jsonl") }

func (p *lostPair) wrote(node string) string {
	raw, err := os.ReadFile(p.file(node))
	if err != nil && !os.IsNotExist(err) {
		p.Fatal(err)
	}
	return string(raw)
}

func (p *lostPair) asNode(name string, do func(n *Node)) {
	p.Helper()
	log := slog.New(slog.NewTextHandler(&p.log, nil))
	engine, err := cluster.Open(context.Background(), cluster.Config{Node: name, Dir: filepath.Join(p.dir, "store"), Buckets: buckets, SyncEvery: time.Second, AckWithin: 10 * time.Second}, log)
	if err != nil {
		p.Fatal(err)
	}
	defer engine.Close()
	n := &Node{state: engine, log: log, ledger: call.NewFileLedger(p.file(name), log), doubts: make(chan string, 1)}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.ledger.Run(ctx) }()
	defer func() {
		stop()
		<-done
	}()
	do(n)
}

func (p *lostPair) put(n *Node, value []byte) {
	p.Helper()
	if err := n.state.PutWait(context.Background(), cluster.Write{Bucket: bucketRecords, Key: "a/1", Value: value}); err != nil {
		p.Fatal(err)
	}
}

// starts is what a node does with claims when it begins to follow.
func (p *lostPair) starts(n *Node) (written []string) {
	p.Helper()
	own, settled, err := n.ownClaims(context.Background())
	if err != nil {
		p.Fatal(err)
	}
	written = n.settleClaims(own, n.ledger.Settle)
	n.backAgain(settled)
	return written
}

func still(context.Context, string) error { return nil }

// A claim whose node is lost is settled by the other one. The lost node comes back after all: nothing is written twice by that.
func TestSettle(t *testing.T) {
	p := &lostPair{T: t, dir: t.TempDir()}
	p.asNode("b", func(n *Node) {
		p.put(n, []byte(lostLines))
		claims, err := n.claimsOf(context.Background(), "a")
		if err != nil || len(claims) != 1 {
			t.Fatalf("%d claims of a, %v", len(claims), err)
		}
		n.unclaimed.set(claims)
		if c := n.unclaimed.calls("a"); c != 2 {
			t.Errorf("the alarm counts %d calls", c)
		}
		calls, err := n.settle(context.Background(), "a", claims, still)
		if err != nil || strings.Join(calls, " ") != "one two" {
			t.Fatalf("settled %q, %v", calls, err)
		}
		if left, _ := n.claimsOf(context.Background(), "a"); len(left) != 0 || n.unclaimed.calls("a") != 0 {
			t.Error("it is still a's to write")
		}
		if again := p.starts(n); len(again) != 0 {
			t.Errorf("b would write %q again", again)
		}
	})
	if got, want := p.wrote("b"), `{"settled_for":"a","call":"one","status":200}`+"\n"+`{"settled_for":"a","call":"two","status":200}`+"\n"; got != want {
		t.Errorf("b wrote\n%s\nwant\n%s", got, want)
	}
	p.asNode("a", func(n *Node) {
		if written := p.starts(n); len(written) != 0 {
			t.Errorf("a, back again, writes %q", written)
		}
	})
	if got := p.wrote("a"); got != "" {
		t.Errorf("a wrote\n%s", got)
	}
	if strings.Contains(p.log.String(), "two files") {
		t.Error("an alarm without a reason")
	}
}

// The lost node had written one of its records before it died: when it is back its log names that call, and only that.
func TestSettledRecordWasWritten(t *testing.T) {
	p := &lostPair{T: t, dir: t.TempDir()}
	if err := os.WriteFile(p.file("a"), []byte(`{"call":"two","status":200}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.asNode("b", func(n *Node) {
		p.put(n, []byte(lostLines))
		if _, err := n.settle(context.Background(), "a", claimed{"a/1": []byte(lostLines)}, still); err != nil {
			t.Fatal(err)
		}
	})
	p.log.Reset()
	p.asNode("a", func(n *Node) { p.starts(n) })
	if s := p.log.String(); !strings.Contains(s, "two files") || !strings.Contains(s, "calls=[two]") {
		t.Errorf("its log says\n%s", s)
	}
}

// The settling node dies between taking the claim and writing: it writes when it is back, and a does not.
func TestSettlingNodeDies(t *testing.T) {
	p := &lostPair{T: t, dir: t.TempDir()}
	p.asNode("b", func(n *Node) { p.put(n, mark{By: "b"}.before([]byte(lostLines))) })
	p.asNode("a", func(n *Node) { p.starts(n) })
	if got := p.wrote("a"); got != "" {
		t.Errorf("a wrote\n%s", got)
	}
	p.asNode("b", func(n *Node) { p.starts(n) })
	if got := p.wrote("b"); strings.Count(got, `"settled_for":"a"`) != 2 {
		t.Errorf("b wrote\n%s", got)
	}
}

// The lost node is heard again while its claim is being settled: it keeps it.
func TestSettleOfANodeThatIsBack(t *testing.T) {
	p := &lostPair{T: t, dir: t.TempDir()}
	p.asNode("b", func(n *Node) {
		p.put(n, []byte(lostLines))
		if _, err := n.settle(context.Background(), "a", claimed{"a/1": []byte(lostLines)}, func(context.Context, string) error { return errBack }); err == nil {
			t.Error("settled")
		}
		if left, _ := n.claimsOf(context.Background(), "a"); len(left) != 1 {
			t.Error("a has lost its claim")
		}
	})
	if got := p.wrote("b"); got != "" {
		t.Errorf("b wrote\n%s", got)
	}
}

// A node that was lost with a full disk has left many claims: it is listened for once.
func TestSettleMany(t *testing.T) {
	p := &lostPair{T: t, dir: t.TempDir()}
	const many = 50
	p.asNode("b", func(n *Node) {
		for i := range many {
			line := fmt.Sprintf(`{"call":"call%d","status":200}`+"\n", i)
			if err := n.state.PutWait(context.Background(), cluster.Write{Bucket: bucketRecords, Key: fmt.Sprintf("a/%d", i), Value: []byte(line)}); err != nil {
				t.Fatal(err)
			}
		}
		claims, err := n.claimsOf(context.Background(), "a")
		if err != nil {
			t.Fatal(err)
		}
		listened := 0
		calls, err := n.settle(context.Background(), "a", claims, func(context.Context, string) error { listened++; return nil })
		if err != nil || len(calls) != many || listened != 1 {
			t.Errorf("settled %d calls, %v; listened %d times", len(calls), err, listened)
		}
		if left, _ := n.claimsOf(context.Background(), "a"); len(left) != 0 {
			t.Errorf("%d claims are still a's to write", len(left))
		}
	})
	if got := p.wrote("b"); strings.Count(got, "\n") != many || strings.Count(got, `"settled_for":"a"`) != many {
		t.Errorf("b wrote\n%s", got)
	}
}

// The node that settled another's claims is lost too: what stands in its file is not written once more.
func TestSettlingNodeIsLostToo(t *testing.T) {
	p := &lostPair{T: t, dir: t.TempDir()}
	p.asNode("b", func(n *Node) {
		p.put(n, []byte(lostLines))
		claims, err := n.claimsOf(t.Context(), "a")
		if err == nil {
			_, err = n.settle(t.Context(), "a", claims, still)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	p.asNode("c", func(n *Node) {
		if claims, err := n.claimsOf(t.Context(), "b"); err != nil || len(claims) > 0 {
			t.Errorf("%d claims to settle, %v", len(claims), err)
		}
	})
}
