package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// turn is whose turn it is to serve, where two machines have no witness: the last one that either of them knows of counts. It
// is written before a node serves.
type turn struct {
	Epoch uint64 `json:"epoch"`
	Node  string `json:"node"`
	// Alone means that the other node did not hold every record at some time since the turn began, so that nobody should have
	// been promoted there: who served alone goes on after a restart without having to ask.
	Alone bool `json:"alone,omitempty"`
}

// after tells whether a turn takes the place of another one. Two of one epoch can only come from two hands at once: then the
// name decides, the same on both sides.
func (t turn) after(old turn) bool {
	return t.Epoch > old.Epoch || t.Epoch == old.Epoch && t.Epoch != 0 && t.Node < old.Node
}

// turns is the last turn that this node knows of, on its disk: two slots of one block each that are written in turn, made when
// the file is, so that a full disk does not stand in the way.
type turns struct {
	file   *os.File
	mu     sync.Mutex
	last   turn
	serial uint64
}

// turnSlot is what a slot holds, as JSON with spaces behind it; the last byte is a line's end.
type turnSlot struct {
	Serial uint64 `json:"serial"`
	turn
}

const turnSlotSize = 512

// openTurns reads the last turn. What a node did while it was single counts as a turn of its own: its records are those that count.
func openTurns(dir, node string, single uint64) (*turns, error) {
	name := filepath.Join(dir, "turn")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	t := &turns{file: f}
	all := make([]byte, 2*turnSlotSize)
	n, err := f.ReadAt(all, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		_ = f.Close()
		return nil, err
	}
	if n == 0 {
		if single > 0 {
			t.last = turn{Epoch: single, Node: node, Alone: true}
		}
		return t, errors.Join(t.write(t.last), t.write(t.last)) // both slots
	}
	for _, slot := range [][]byte{all[:turnSlotSize], all[turnSlotSize:]} {
		var x turnSlot
		if json.Unmarshal(slot, &x) == nil && x.Serial > t.serial {
			t.serial, t.last = x.Serial, x.turn
		}
	}
	if t.serial == 0 {
		_ = f.Close()
		return nil, fmt.Errorf("%s is damaged: remove it only while the other node runs and serves", name)
	}
	return t, nil
}

func (t *turns) close() { _ = t.file.Close() }

func (t *turns) get() turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// learn writes a turn down if it comes after the one that is known; changed tells whether it does.
func (t *turns) learn(x turn) (changed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !x.after(t.last) {
		return false, nil
	}
	return true, t.write(x)
}

// alone notes whether the node that serves in an epoch does so alone.
func (t *turns) alone(epoch uint64, alone bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.Epoch != epoch || t.last.Alone == alone {
		return nil
	}
	x := t.last
	x.Alone = alone
	return t.write(x)
}

// write must be called with the lock held. What could not be written is known in this process all the same: forgetting it would
// be worse.
func (t *turns) write(x turn) error {
	t.last = x
	t.serial++
	b, err := json.Marshal(turnSlot{t.serial, x})
	if err != nil {
		return err
	}
	slot := append(b, bytes.Repeat([]byte{' '}, turnSlotSize-1-len(b))...)
	if _, err := t.file.WriteAt(append(slot, '\n'), int64(t.serial%2)*turnSlotSize); err != nil {
		return err
	}
	return t.file.Sync()
}
