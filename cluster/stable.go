package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// stable is what raft must not forget over a restart: its term and its vote, without which a node could vote twice in one
// term and two could be active. It is two slots of one block each that are written in turn, made when the file is, so that a
// full disk cannot stand in the way of a vote. The log itself is in memory: it holds nothing but the members, who are known.
type stable struct {
	mu     sync.Mutex
	file   *os.File
	serial uint64
	term   uint64
	vote   voteRecord
}

type voteRecord struct {
	term      uint64
	candidate []byte
}

const (
	slotSize     = 4096
	maxCandidate = 1024
)

// The keys that raft uses.
const (
	keyTerm     = "CurrentTerm"
	keyVoteTerm = "LastVoteTerm"
	keyVoteFor  = "LastVoteCand"
)

// openStable reads the file of a folder. A new one begins with the epoch that a single node has left there, so that epochs
// grow on when it becomes a pair.
func openStable(dir string, epoch uint64) (*stable, error) {
	name := filepath.Join(dir, "vote")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	s := &stable{file: f}
	if err := s.load(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.term = max(s.term, epoch, 1) // 1 is the term of the entry that every log begins with
	return s, nil
}

func (s *stable) load() error {
	all := make([]byte, 2*slotSize)
	n, err := s.file.ReadAt(all, 0)
	if n == 0 && errors.Is(err, io.EOF) {
		if _, err := s.file.WriteAt(all, 0); err != nil {
			return err
		}
		return s.file.Sync()
	}
	if n != len(all) {
		return errors.New("it is too short: remove it only if no other node of the cluster runs")
	}
	good := false
	for i := range 2 {
		good = s.read(all[i*slotSize:(i+1)*slotSize]) || good
	}
	if !good && anyByte(all) {
		return errors.New("both copies are damaged: remove it only if no other node of the cluster runs")
	}
	return nil
}

func anyByte(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return true
		}
	}
	return false
}

// read takes a slot if it is whole and newer. Layout: CRC-32 of the rest, serial, term, term of the vote, length, candidate.
func (s *stable) read(slot []byte) bool {
	serial := binary.BigEndian.Uint64(slot[4:])
	if crc32.ChecksumIEEE(slot[4:]) != binary.BigEndian.Uint32(slot) || serial == 0 {
		return false
	}
	if serial <= s.serial {
		return true
	}
	n := int(binary.BigEndian.Uint16(slot[28:]))
	s.serial, s.term = serial, binary.BigEndian.Uint64(slot[12:])
	s.vote = voteRecord{binary.BigEndian.Uint64(slot[20:]), append([]byte(nil), slot[30:30+min(n, maxCandidate)]...)}
	return true
}

// write puts the state into the slot that is not the last one. The lock must be held.
func (s *stable) write() error {
	slot := make([]byte, slotSize)
	s.serial++
	binary.BigEndian.PutUint64(slot[4:], s.serial)
	binary.BigEndian.PutUint64(slot[12:], s.term)
	binary.BigEndian.PutUint64(slot[20:], s.vote.term)
	binary.BigEndian.PutUint16(slot[28:], uint16(len(s.vote.candidate)))
	copy(slot[30:], s.vote.candidate)
	binary.BigEndian.PutUint32(slot, crc32.ChecksumIEEE(slot[4:]))
	if _, err := s.file.WriteAt(slot, int64(s.serial%2)*slotSize); err != nil {
		return err
	}
	return s.file.Sync()
}

func (s *stable) Set(key, value []byte) error {
	if string(key) != keyVoteFor || len(value) > maxCandidate {
		return fmt.Errorf("stable: no place for %q", key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vote.candidate = append([]byte(nil), value...)
	return s.write()
}

func (s *stable) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(key) == keyVoteFor {
		return append([]byte(nil), s.vote.candidate...), nil
	}
	return nil, nil
}

func (s *stable) SetUint64(key []byte, value uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch string(key) {
	case keyTerm:
		s.term = value
		// Raft ends the process if this fails. It is safe to go on: a vote in this term cannot be written either, so none
		// is given, and none is forgotten.
		_ = s.write()
		return nil
	case keyVoteTerm:
		// Raft writes the term of the vote first and the candidate next: until then the old candidate must not count.
		s.vote = voteRecord{term: value}
	default:
		return fmt.Errorf("stable: no place for %q", key)
	}
	return nil
}

func (s *stable) GetUint64(key []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch string(key) {
	case keyTerm:
		return s.term, nil
	case keyVoteTerm:
		return s.vote.term, nil
	}
	return 0, nil
}

func (s *stable) Close() error { return s.file.Close() }
