package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"tandem/cluster"
	"tandem/registrar"
	"tandem/voicemail"
)

// messageList is the messages that were left at one shard. It is bounded by the boxes there.
type messageList struct {
	mu    sync.Mutex
	boxes map[string]map[string]voicemail.Message // by box and ID
}

func newMessageList() *messageList {
	return &messageList{boxes: map[string]map[string]voicemail.Message{}}
}

// take takes a record of the list; its name is box, "/", ID.
func (l *messageList) take(name string, r cluster.Record) error {
	box, id, _ := strings.Cut(name, "/")
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Deleted {
		if delete(l.boxes[box], id); len(l.boxes[box]) == 0 {
			delete(l.boxes, box)
		}
		return nil
	}
	if r.Version > stateForm {
		return fmt.Errorf("it is of form %d", r.Version)
	}
	var m voicemail.Message
	if err := json.Unmarshal(r.Value, &m); err != nil {
		return err
	}
	if l.boxes[box] == nil {
		l.boxes[box] = map[string]voicemail.Message{}
	}
	m.Box, m.ID = box, id
	l.boxes[box][id] = m
	return nil
}

func (l *messageList) of(box string) (all []voicemail.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.boxes[box] {
		all = append(all, m)
	}
	return all
}

func (l *messageList) has(box, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, has := l.boxes[box][id]
	return has
}

func (l *messageList) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.boxes) == 0
}

// otherBoxes is what other shards hold of the boxes; nil: there are none.
func (n *Node) otherBoxes() voicemail.Elsewhere {
	if n.opts.Directory == nil {
		return nil
	}
	return otherBoxes{n}
}

// otherBoxes implements voicemail.Elsewhere. What shall be done to a message is asked of the node that serves its shard.
type otherBoxes struct{ n *Node }

func (b otherBoxes) others(yield func(*distantShard) bool) {
	for _, x := range b.n.opts.Directory.shards {
		if x.name != b.n.shard() && !yield(x) {
			return
		}
	}
}

func (b otherBoxes) List(box string) (all []voicemail.Message) {
	for x := range b.others {
		all = append(all, x.messages.Load().of(box)...)
	}
	return all
}

func (b otherBoxes) Empty() bool {
	for x := range b.others {
		if !x.messages.Load().empty() {
			return false
		}
	}
	return true
}

// where is the shard that has a message, and who serves it.
func (b otherBoxes) where(box, id string) (*part, string, error) {
	for x := range b.others {
		if !x.messages.Load().has(box, id) {
			continue
		}
		if p := x.part.Load(); p != nil && p.serving() != "" {
			return p, p.serving(), nil
		}
		return nil, "", fmt.Errorf("nobody serves the shard of %s, where the message is", x.name)
	}
	return nil, "", voicemail.ErrNoMessage
}

func (b otherBoxes) Fetch(ctx context.Context, m voicemail.Message, w io.Writer) error {
	p, node, err := b.where(m.Box, m.ID)
	if err != nil {
		return err
	}
	return fetchFrom(ctx, p.ask, node, m, w)
}

const (
	topicMark  = "mark"  // question: a soundRequest; answer: "y", or what went wrong
	topicErase = "erase" // the same
	// changedWithin is how long another shard may take to change a message: it waits for its own store.
	changedWithin = 10 * time.Second
)

func (b otherBoxes) Mark(box, id string) error   { return b.change(topicMark, box, id) }
func (b otherBoxes) Delete(box, id string) error { return b.change(topicErase, box, id) }

func (b otherBoxes) change(topic, box, id string) error {
	p, node, err := b.where(box, id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), changedWithin)
	defer cancel()
	question, _ := json.Marshal(soundRequest{Box: box, ID: id})
	answer, err := p.ask(ctx, node, topic, question)
	if err == nil && string(answer) != "y" {
		err = errors.New(string(answer))
	}
	return err
}

// answerChange has other shards change messages that are here.
func (n *Node) answerChange(topic string, do func(soundRequest) error) error {
	return n.state.Answer(topic, func(question []byte) []byte {
		var r soundRequest
		if err := json.Unmarshal(question, &r); err != nil {
			return nil
		}
		if !n.boxes.Has(r.Box, r.ID) {
			return []byte(voicemail.ErrNoMessage.Error())
		}
		if err := do(r); err != nil {
			return []byte(err.Error())
		}
		return []byte("y")
	})
}

// lampLocator knows the phones of all shards, and the flows that lead to them.
type lampLocator struct{ n *Node }

// Lookup implements voicemail.Locator.
func (l lampLocator) Lookup(aor string, now time.Time) []registrar.Binding {
	all := locator(l).Lookup(aor, now)
	for i := range all {
		all[i].Flow = l.n.sends(&all[i])
	}
	return all
}
