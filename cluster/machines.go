package cluster

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
)

// A name may belong to one machine after the other: one breaks, and another takes its place. Each has a number under its name, which its
// certificates carry. What is kept, and told to all members once a second, is the lowest number that is let in: the machines before
// it are out, whatever certificate they have. Numbers need no clock, and of two lists the higher number is right.

// fileOut holds the lowest machine of each name that is let in; a name that is not in it: any.
const fileOut = "machines.json"

// outError is that of the machine that had a name, and is let in no more.
type outError string

func (e outError) Error() string {
	return fmt.Sprintf("this machine was node %q, and has been taken out of the cluster", string(e))
}

// admits refuses the certificate of a machine that has been taken out.
func (id *Identity) admits(c *x509.Certificate) error {
	if lowest := (*id.out.Load())[c.Subject.CommonName]; machineOf(c) < lowest {
		return outError(c.Subject.CommonName)
	}
	return nil
}

// lowest are the machines that are let in, by name; not to be changed.
func (id *Identity) lowest() map[string]int { return *id.out.Load() }

func (id *Identity) readOut() error {
	text, err := os.ReadFile(id.file(fileOut))
	out := map[string]int{}
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(text, &out); err != nil {
			return fmt.Errorf("%s: %w", id.file(fileOut), err)
		}
	}
	id.out.Store(&out)
	return nil
}

// raise lets machines of some names in from a number on; names whose number is as high already stay. It gives the names whose
// machine is out by that: the first machine of a name takes nobody's place.
func (id *Identity) raise(to map[string]int) (out []string, err error) {
	if !higher(to, id.lowest()) { // as each second: who hears the members must not wait for a disk that hangs
		return nil, nil
	}
	id.outMu.Lock()
	defer id.outMu.Unlock()
	if err := id.readOut(); err != nil { // another shard of this machine may have written
		return nil, err
	}
	next, changed := maps.Clone(id.lowest()), false
	for name, n := range to {
		if n > next[name] && nodeName.MatchString(name) {
			if n > 1 || id.authority.Subject.CommonName == authorityName(name) {
				out = append(out, name)
			}
			next[name], changed = n, true
		}
	}
	if !changed {
		return nil, nil
	}
	text, err := json.Marshal(next)
	if err != nil {
		return nil, err
	}
	if err := writeFile(id.file(fileOut), append(text, '\n'), 0o600); err != nil {
		return nil, err
	}
	id.out.Store(&next)
	return out, nil
}

// higher tells whether a number is above the one that is known.
func higher(numbers, known map[string]int) bool {
	for name, n := range numbers {
		if n > known[name] {
			return true
		}
	}
	return false
}

// next makes place for another machine under a name, and gives its number.
func (id *Identity) next(name string) (int, error) {
	n := id.lowest()[name] + 1
	_, err := id.raise(map[string]int{name: n})
	return n, err
}
