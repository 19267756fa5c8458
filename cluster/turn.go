package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
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

// turns is the last turn that this node knows of, on its disk.
type turns struct {
	file string
	mu   sync.Mutex
	last turn
}

// openTurns reads the last turn. What a node did while it was single counts as a turn of its own: its records are those that count.
func openTurns(dir, node string, single uint64) (*turns, error) {
	t := &turns{file: filepath.Join(dir, "turn.json")}
	b, err := os.ReadFile(t.file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if single > 0 {
			t.last = turn{Epoch: single, Node: node, Alone: true}
		}
		return t, nil
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(b, &t.last); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): remove it only while the other node runs and serves", t.file, err)
	}
	return t, nil
}

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
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	return writeFile(t.file, append(b, '\n'), 0o600)
}
