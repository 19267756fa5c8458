package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// diskSize is what a node of a soak has for its state, in memory.
const diskSize = "256m"

// disk gives a node a disk of its own for its state, so that it can be filled. A soak runs so; elsewhere the folder of the test does.
func (p *Pair) disk(name string) {
	p.t.Helper()
	if os.Getenv("TANDEM_SOAK") == "" {
		return
	}
	dir := filepath.Join(p.dir, name, "state")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+diskSize); err != nil {
		p.t.Fatalf("tmpfs: %v", err)
	}
	p.t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			p.t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

func (p *Pair) filler(name string) string { return filepath.Join(p.dir, name, "state", "filler") }

// fill leaves no byte free on a node's disk; free ends it.
func (p *Pair) fill(name string) {
	p.t.Helper()
	f, err := os.Create(p.filler(name))
	if err != nil {
		p.t.Fatal(err)
	}
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err = f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		p.t.Errorf("the disk of %s cannot be filled: %v", name, err)
	}
	_ = f.Close()
}

func (p *Pair) free(name string) { _ = os.Remove(p.filler(name)) }
