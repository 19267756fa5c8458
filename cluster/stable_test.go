package cluster

import (
	"os"
	"path/filepath"
	"testing"
)

// A vote outlives the process, and a write that the power cut short leaves the one before.
func TestVotesAreNotForgotten(t *testing.T) {
	dir := t.TempDir()
	open := func() *stable {
		t.Helper()
		s, err := openStable(dir, 7)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	if term, _ := s.GetUint64([]byte(keyTerm)); term != 7 {
		t.Errorf("term %d: a pair goes on where the single node was", term)
	}
	vote := func(s *stable, term uint64, candidate string) {
		t.Helper()
		for _, err := range []error{s.SetUint64([]byte(keyTerm), term), s.SetUint64([]byte(keyVoteTerm), term), s.Set([]byte(keyVoteFor), []byte(candidate))} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	vote(s, 9, "10.0.0.1:7300")
	_ = s.Close()
	s = open()
	check := func(s *stable, term uint64, candidate string) {
		t.Helper()
		got, _ := s.GetUint64([]byte(keyVoteTerm))
		who, _ := s.Get([]byte(keyVoteFor))
		if now, _ := s.GetUint64([]byte(keyTerm)); now != term || got != term || string(who) != candidate {
			t.Errorf("term %d, vote in %d for %q; want %d, %q", now, got, who, term, candidate)
		}
	}
	check(s, 9, "10.0.0.1:7300")
	last := int64(s.serial%2) * slotSize
	_ = s.Close()

	f, err := os.OpenFile(filepath.Join(dir, "vote"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("torn"), last+20); err != nil { // the newest slot
		t.Fatal(err)
	}
	s = open()
	if term, _ := s.GetUint64([]byte(keyTerm)); term != 9 {
		t.Errorf("term %d from the slot before", term)
	}
	_ = s.Close()
	if _, err := f.WriteAt([]byte("torn"), slotSize-last+20); err != nil { // and the other one
		t.Fatal(err)
	}
	_ = f.Close()
	if _, err := openStable(dir, 0); err == nil {
		t.Error("a file without a whole slot was taken: the node might vote twice")
	}
}
