package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Nodes ask each other for what is too big for records, or for a moment only. Both sides have proven that they are members.

const askPrefix = "ask."

// ErrNobody means that the node that was asked is not there, or has no answer.
var ErrNobody = errors.New("cluster: nobody answers")

// Answer has f answer what other nodes ask this one about a topic (small letters); nil: it has no answer. f is called from one
// goroutine, and not after Close. A single node is asked by nobody.
func (e *Engine) Answer(topic string, f func(question []byte) []byte) error {
	if len(e.cfg.Members) == 0 {
		return nil
	}
	_, err := e.conn.Subscribe(askPrefix+e.cfg.Node+"."+topic, func(m *nats.Msg) { _ = m.Respond(f(m.Data)) })
	return err
}

// Ask asks a node and waits for its answer. An answer may be 4 MB long.
func (e *Engine) Ask(ctx context.Context, node, topic string, question []byte) ([]byte, error) {
	conn := e.conn
	if e.twin != nil { // whose stores are two
		conn = e.twin.link.conn
	}
	m, err := conn.RequestWithContext(ctx, askPrefix+node+"."+topic, question)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, ErrNobody
	case err != nil:
		return nil, fmt.Errorf("cluster: ask node %s: %w", node, err)
	case len(m.Data) == 0:
		return nil, ErrNobody
	}
	return m.Data, nil
}

// Switches are the other nodes that can serve.
func (e *Engine) Switches() (names []string) {
	for _, m := range e.cfg.Members {
		if m.Name != e.cfg.Node && !m.Witness {
			names = append(names, m.Name)
		}
	}
	return names
}
