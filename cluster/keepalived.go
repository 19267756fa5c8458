package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// keepalivedWord is a state of a VRRP instance, as keepalived tells its notify script.
type keepalivedWord string

const keepalivedMaster keepalivedWord = "MASTER"

// keepalivedNote is what keepalived told last. It counts until the machine starts again: keepalived tells its state when that
// changes, and not when this process starts.
type keepalivedNote struct {
	State keepalivedWord `json:"state"`
	Boot  string         `json:"boot"`
	// Told is when keepalived started the script that tells it, in clock ticks since the machine started. It starts one after the other and
	// waits for none, so that on a busy machine they overtake each other.
	Told uint64 `json:"told"`
	// Outdone: the other node has been promoted since. Its keepalived has spoken later, and that of this one may have died without a word; so this
	// node leaves it at that while the other serves.
	Outdone bool `json:"outdone,omitempty"`
}

// CheckKeepalived reads a state as keepalived writes it.
func CheckKeepalived(state string) (string, error) {
	switch s := strings.ToUpper(state); s {
	case "MASTER", "BACKUP", "FAULT", "STOP":
		return s, nil
	}
	return "", fmt.Errorf("%q is no state of keepalived: it tells MASTER, BACKUP, FAULT or STOP", state)
}

// NoteKeepalived writes down what keepalived told the script that this process is, unless a script that it started later has told already.
func NoteKeepalived(dir, state string) error {
	told, err := started()
	if err != nil {
		return err
	}
	return noteKeepalived(dir, state, told)
}

func noteKeepalived(dir, state string, told uint64) error {
	state, err := CheckKeepalived(state)
	if err != nil {
		return err
	}
	return changeKeepalived(dir, func(n *keepalivedNote) bool {
		if n.Told > told {
			return false
		}
		*n = keepalivedNote{State: keepalivedWord(state), Told: told}
		return true
	})
}

// noteOutdone writes down that the other node has been promoted since keepalived told this one last.
func noteOutdone(dir string) error {
	return changeKeepalived(dir, func(n *keepalivedNote) bool {
		n.Outdone = true
		return true
	})
}

// changeKeepalived changes the note where change says so. Scripts and the switch do so at the same time.
func changeKeepalived(dir string, change func(*keepalivedNote) bool) error {
	lock, err := os.OpenFile(keepalivedFile(dir)+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	n, err := readKeepalived(dir)
	if err != nil || !change(&n) {
		return err
	}
	n.Boot = bootID()
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return writeFile(keepalivedFile(dir), append(b, '\n'), 0o600)
}

// started is when this process was, in clock ticks since the machine started: proc_pid_stat(5), field 22.
func started() (uint64, error) {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, err
	}
	if f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])); len(f) > 19 { // the first is field 3
		return strconv.ParseUint(f[19], 10, 64)
	}
	return 0, errors.New("/proc/self/stat has no start time")
}

func keepalivedFile(dir string) string { return filepath.Join(dir, "keepalived.json") }

// readKeepalived is what was told last since the machine started; BACKUP if nothing was.
func readKeepalived(dir string) (keepalivedNote, error) {
	nothing := keepalivedNote{State: "BACKUP"}
	b, err := os.ReadFile(keepalivedFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nothing, nil
	}
	if err != nil {
		return nothing, err
	}
	var n keepalivedNote
	if json.Unmarshal(b, &n) != nil || n.Boot != bootID() {
		return nothing, nil
	}
	return n, nil
}

// newest replaces keepalived's word in an order by the last one that stands in the file: what is ordered first may have been told last.
func (h *hand) newest(o order) order {
	if o.notify == "" {
		return o
	}
	if n, err := readKeepalived(h.e.cfg.Dir); err == nil && n.Told > 0 && n.State != o.notify {
		h.e.log.Info("keepalived has said something else since", "word", o.notify, "last", n.State)
		o.notify = n.State
	}
	return o
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
