package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// keepalivedWord is a state of a VRRP instance, as keepalived tells its notify script.
type keepalivedWord string

const keepalivedMaster keepalivedWord = "MASTER"

// keepalivedNote is what keepalived told last. It counts until the machine starts again: keepalived tells its state when that
// changes, and not when this process starts.
type keepalivedNote struct {
	State keepalivedWord `json:"state"`
	Boot  string         `json:"boot"`
}

// CheckKeepalived reads a state as keepalived writes it.
func CheckKeepalived(state string) (string, error) {
	switch s := strings.ToUpper(state); s {
	case "MASTER", "BACKUP", "FAULT", "STOP":
		return s, nil
	}
	return "", fmt.Errorf("%q is no state of keepalived: it tells MASTER, BACKUP, FAULT or STOP", state)
}

// NoteKeepalived writes down what keepalived told, for a node that is not running at this moment.
func NoteKeepalived(dir, state string) error {
	state, err := CheckKeepalived(state)
	if err != nil {
		return err
	}
	b, err := json.Marshal(keepalivedNote{State: keepalivedWord(state), Boot: bootID()})
	if err != nil {
		return err
	}
	return writeFile(keepalivedFile(dir), append(b, '\n'), 0o600)
}

func keepalivedFile(dir string) string { return filepath.Join(dir, "keepalived.json") }

// keepalivedSaid is what was told last since the machine started; BACKUP if nothing was.
func keepalivedSaid(dir string) (keepalivedWord, error) {
	b, err := os.ReadFile(keepalivedFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		return "BACKUP", nil
	}
	if err != nil {
		return "", err
	}
	var n keepalivedNote
	if json.Unmarshal(b, &n) != nil || n.Boot != bootID() {
		return "BACKUP", nil
	}
	return n.State, nil
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// Notify is keepalived's word for this node. It returns when the role has changed.
func (e *Engine) Notify(ctx context.Context, state string) error {
	state, err := CheckKeepalived(state)
	if err != nil {
		return err
	}
	if e.cfg.Decides != ByKeepalived {
		return errors.New("keepalived does not decide here: say role = \"keepalived\" in the cluster block, so that nobody else does")
	}
	return e.order(ctx, order{notify: keepalivedWord(state)})
}

// TakeOver promotes this node by a person's word, which stands for what no machine can know here: that the other one is off.
func (e *Engine) TakeOver(ctx context.Context) error {
	if e.twin == nil {
		if len(e.cfg.Members) == 0 {
			return errors.New("a single node serves anyway")
		}
		return errors.New("here a majority decides: bring the witness or the other node back, and one of them serves")
	}
	return e.order(ctx, order{force: true})
}

func (e *Engine) order(ctx context.Context, o order) error {
	h := e.twin.hand.Load()
	if h == nil {
		return errNotPlaying
	}
	done := make(chan error, 1)
	o.answer = func(err error) { done <- err }
	select {
	case h.orders <- o:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
