package node

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"tandem/cluster"
	"tandem/voicemail"
)

// The messages of all nodes are listed in the bucket of state. Their sound is no record: it lies on the disks of the two switches, not on
// the witness's, which is small. The standby gets it from the node that took the message, and the lamp is lit when it has it.
const (
	keyMessage = "message/" // box, "/", ID; JSON of a voicemail.Message
	keyLamp    = "lamp/"    // box; JSON of the voicemail.Count that its phones have been told

	topicSound = "sound" // question: a soundRequest; answer: length of the whole (8 bytes), and a piece
	topicHas   = "has"   // question: a soundRequest; answer: "y", or nothing
)

// soundRequest asks for the sound of a message from an offset on.
type soundRequest struct {
	Box    string `json:"box"`
	ID     string `json:"id"`
	Offset int64  `json:"offset,omitempty"`
}

const (
	// pieceLength is how much of a sound is sent at a time: half a minute of speech.
	pieceLength = 512 << 10
	// pieceWithin is how long a piece may take.
	pieceWithin = 5 * time.Second
	// copiedWithin is how long a lamp waits for the second copy. Beyond that the owner hears of the message all the same.
	copiedWithin = 3 * time.Second
	// copiedEvery is how often the other node is asked meanwhile.
	copiedEvery = 25 * time.Millisecond
)

// messageIndex implements voicemail.Index.
type messageIndex struct {
	engine *cluster.Engine
	log    *slog.Logger
}

// write waits until a record is held, or has waited long enough.
func (x messageIndex) write(w cluster.Write) error {
	w.Bucket, w.Version = bucketState, stateForm
	ctx, cancel := context.WithTimeout(context.Background(), reviveWithin)
	defer cancel()
	switch err := x.engine.PutWait(ctx, w); {
	case errors.Is(err, cluster.ErrDegraded):
		return voicemail.ErrNotHeld
	case errors.Is(err, cluster.ErrFenced), errors.Is(err, cluster.ErrClosed):
		return voicemail.ErrElsewhere
	default:
		return err
	}
}

// Put implements voicemail.Index.
func (x messageIndex) Put(m voicemail.Message) error {
	w, err := listing(m)
	if err != nil {
		return err
	}
	return x.write(w)
}

// listing is a message as it stands on the list.
func listing(m voicemail.Message) (cluster.Write, error) {
	m.Shared = false
	value, err := json.Marshal(m)
	return cluster.Write{Key: messageKey(m.Box, m.ID), Value: value}, err
}

// Delete implements voicemail.Index.
func (x messageIndex) Delete(box, id string) error {
	err := x.write(cluster.Write{Key: messageKey(box, id), Delete: true})
	if errors.Is(err, voicemail.ErrNotHeld) {
		return nil
	}
	return err
}

func messageKey(box, id string) string { return keyMessage + box + "/" + id }

// Copied implements voicemail.Index.
func (x messageIndex) Copied(m voicemail.Message) {
	ctx, cancel := context.WithTimeout(context.Background(), copiedWithin)
	defer cancel()
	ask, _ := json.Marshal(soundRequest{Box: m.Box, ID: m.ID})
	tick := time.NewTicker(copiedEvery)
	defer tick.Stop()
	for x.engine.HasStandby() {
		for _, node := range x.engine.Switches() {
			if _, err := x.engine.Ask(ctx, node, topicHas, ask); err == nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			x.log.Warn("message is on this node alone for the moment", "box", m.Box, "message", m.ID)
			return
		case <-tick.C:
		}
	}
}

// fetchSound implements voicemail.Fetch. A single node has nobody to ask.
func (n *Node) fetchSound(ctx context.Context, m voicemail.Message, w io.Writer) error {
	if len(n.state.Switches()) == 0 {
		return voicemail.ErrNoMessage
	}
	var errs []error
	for _, node := range n.state.Switches() {
		err := fetchFrom(ctx, n.state.Ask, node, m, w)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ask asks a node, as cluster.Engine.Ask does.
type ask func(ctx context.Context, node, topic string, question []byte) ([]byte, error)

func fetchFrom(ctx context.Context, from ask, node string, m voicemail.Message, w io.Writer) error {
	for offset := int64(0); ; {
		question, _ := json.Marshal(soundRequest{m.Box, m.ID, offset})
		within, cancel := context.WithTimeout(ctx, pieceWithin)
		answer, err := from(within, node, topicSound, question)
		cancel()
		if err != nil {
			return err
		}
		if len(answer) < 8 {
			return fmt.Errorf("node %s sent %d bytes for a piece of sound", node, len(answer))
		}
		size, piece := int64(binary.BigEndian.Uint64(answer)), answer[8:]
		if _, err := w.Write(piece); err != nil {
			return err
		}
		if offset += int64(len(piece)); offset >= size {
			return nil
		}
		if len(piece) == 0 {
			return fmt.Errorf("node %s has %d bytes of %d", node, offset, size)
		}
	}
}

// answerSounds lets the other switch have the messages that are here, and other shards change them.
func (n *Node) answerSounds() error {
	return errors.Join(
		n.answerChange(topicMark, func(r soundRequest) error { return n.boxes.Mark(r.Box, r.ID) }),
		n.answerChange(topicErase, func(r soundRequest) error { return n.boxes.Delete(r.Box, r.ID) }),
		n.state.Answer(topicHas, func(question []byte) []byte {
			var r soundRequest
			if json.Unmarshal(question, &r) != nil || !n.boxes.Has(r.Box, r.ID) {
				return nil
			}
			return []byte("y")
		}),
		n.state.Answer(topicSound, func(question []byte) []byte {
			var r soundRequest
			if json.Unmarshal(question, &r) != nil || r.Offset < 0 {
				return nil
			}
			piece, size, err := n.boxes.Read(r.Box, r.ID, r.Offset, pieceLength)
			if err != nil {
				return nil
			}
			return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(piece)), uint64(size)), piece...)
		}))
}

// rememberMessage takes a record of the index.
func (n *Node) rememberMessage(key string, value []byte) error {
	if value == nil {
		box, id, _ := strings.Cut(key, "/")
		n.replica.Delete(box, id)
		return nil
	}
	var m voicemail.Message
	if err := json.Unmarshal(value, &m); err != nil {
		return err
	}
	return n.replica.Put(m)
}

// rememberLamp takes what phones have been told.
func (n *Node) rememberLamp(box string, value []byte) error {
	var told voicemail.Count
	if value != nil {
		if err := json.Unmarshal(value, &told); err != nil {
			return err
		}
	}
	n.lamps.Remember(box, told)
	return nil
}

// keepLamp keeps what the phones of a box have been told; no lamp needs no record.
func (n *Node) keepLamp(box string, told voicemail.Count) {
	w := cluster.Write{Bucket: bucketState, Key: keyLamp + box, Version: stateForm, Delete: told == voicemail.Count{}}
	if !w.Delete {
		w.Value, _ = json.Marshal(told)
	}
	n.state.Put(w)
}

// serveMessages lists what only this node has, and then lights the lamps that the node before could not.
func (n *Node) serveMessages(ctx context.Context) error {
	n.replica.Serve()
	if d := n.opts.Directory; d != nil {
		d.await(ctx) // lamps tell what waits at all shards
	}
	return n.lamps.Run(ctx)
}
