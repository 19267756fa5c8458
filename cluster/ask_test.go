package cluster

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"
)

// Nodes of either kind of pair ask each other, a topic that nobody answers and a node that is gone included.
func TestAsk(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *testPair{
		"with a witness": newPair, "without one": func(t *testing.T) *testPair { return newTwin(t, ByHand) },
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t)
			for _, node := range p.names {
				p.start(node)
			}
			defer p.endAll()
			p.eventually("roles", func() bool { return p.role("a") != "starting" && p.role("b") != "starting" })
			a, b := p.nodes["a"].engine, p.nodes["b"].engine
			long := bytes.Repeat([]byte("sound "), 100_000)
			if err := b.Answer("sound", func(question []byte) []byte {
				if string(question) != "which?" {
					return nil
				}
				return long
			}); err != nil {
				t.Fatal(err)
			}
			ask := func(node, topic, question string) ([]byte, error) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				return a.Ask(ctx, node, topic, []byte(question))
			}
			p.eventually("an answer", func() bool {
				answer, err := ask("b", "sound", "which?")
				return err == nil && bytes.Equal(answer, long)
			})
			for _, x := range [][3]string{{"b", "sound", "what?"}, {"b", "taste", "which?"}} {
				if _, err := ask(x[0], x[1], x[2]); !errors.Is(err, ErrNobody) {
					t.Errorf("%v: %v", x, err)
				}
			}
			p.eventually("the other clock is measured", func() bool {
				x := a.clocks.of("b", BootTime())
				return x != nil && x.Ahead.Abs() <= x.Within+10*time.Millisecond
			})
			if names := a.Switches(); len(names) != 1 || names[0] != "b" {
				t.Errorf("switches %v", names)
			}
		})
	}
}
