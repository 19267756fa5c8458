package voicemail

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Message is one that somebody left.
type Message struct {
	ID       string    `json:"id"` // sorts by time
	Box      string    `json:"box"`
	Call     string    `json:"call"`             // id of the call
	From     string    `json:"from,omitempty"`   // extension that called
	Caller   string    `json:"caller,omitempty"` // number that a trunk gave
	Recorded time.Time `json:"recorded"`
	Seconds  float64   `json:"seconds"`
	Heard    bool      `json:"heard"`
	Shared   bool      `json:"shared,omitempty"` // the index has it: where it is missing there, it was deleted at another node
}

// Count is what a box holds.
type Count struct {
	New   int `json:"new,omitempty"`
	Heard int `json:"heard,omitempty"`
}

// validBox tells whether a number can be the name of a folder: nothing of it may lead elsewhere.
func validBox(box string) bool {
	if box == "" || len(box) > 64 {
		return false
	}
	for i := range len(box) {
		switch ch := box[i]; {
		case ch >= '0' && ch <= '9', ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch == '-', ch == '_', ch == '*', ch == '#', ch == '+':
		default:
			return false
		}
	}
	return true
}

// validID tells whether a name can be that of a message's files.
func validID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsAny(id, "/\\.\x00")
}

// readMessage reads a message's JSON file; the file's name and its folder must say the same as it does.
func readMessage(dir, box, name string) (Message, error) {
	b, err := os.ReadFile(filepath.Join(dir, box, name))
	if err != nil {
		return Message{}, err
	}
	var m Message
	if err := json.Unmarshal(b, &m); err != nil {
		return Message{}, fmt.Errorf("%s: %w", name, err)
	}
	if m.ID+".json" != name || m.Box != box || !validID(m.ID) {
		return Message{}, fmt.Errorf("%s is not the message that it says", name)
	}
	return m, nil
}

// writeFile puts a file in its place as a whole: who reads it finds the old one or the new one.
func writeFile(path string, b []byte) error {
	part := path + partSuffix
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		_ = os.Remove(part)
	}
	return err
}

// syncDir makes renames in a folder outlive a crash of the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
