package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Record is one value as a reader sees it.
type Record struct {
	Bucket, Key string
	Value       []byte // of the reader: nobody else changes it
	Deleted     bool
	Version     uint8     // of the value's form, as its room counts; readers know N and N-1
	Epoch       uint64    // in which it was written
	Node        string    // that wrote it
	Seq         uint64    // grows with every write of the bucket
	Time        time.Time // of the store, when it took the record
	fleeting    bool      // the store forgets it by itself

	// Age is how long ago that was, as far as can be told (ages.go); 0 for a change that comes as it is made.
	Age time.Duration
}

// Write is one value to keep.
type Write struct {
	Bucket, Key string
	Value       []byte        // not changed by anybody after Put
	Delete      bool          // the key is forgotten; readers are told
	Version     uint8         // of the value's form, see Record
	TTL         time.Duration // after which the store forgets it, in whole seconds; 0: never. Readers are not told
	Done        func(error)   // may be nil; called once, from a goroutine of this room: it must not block
}

// The envelope around a value: form, flags, version, epoch (8 bytes), length and name of the node. A form that this
// version does not know is refused, so a later one must keep writing form 1 until all nodes read its own.
const (
	form        = 1
	flagDeleted = 1 << 0
	flagSealed  = 1 << 1
	headLength  = 1 + 1 + 1 + 8 + 1
)

var errForm = errors.New("record of a form that this version does not know")

// wrap puts a value into its envelope.
func wrap(w Write, epoch uint64, node string, seal *sealer) []byte {
	b := make([]byte, 0, headLength+len(node)+len(w.Value)+sealOverhead)
	var flags byte
	if w.Delete {
		flags |= flagDeleted
	}
	if seal != nil && !w.Delete {
		flags |= flagSealed
	}
	b = append(b, form, flags, w.Version)
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = append(b, byte(len(node)))
	b = append(b, node...)
	switch {
	case w.Delete:
		return b
	case seal != nil:
		return seal.seal(b, w.Value, w.Bucket+"/"+w.Key)
	}
	return append(b, w.Value...)
}

// unwrap reads an envelope. The record's value lies in data where it is not sealed.
func unwrap(bucket, key string, data []byte, open *opener) (Record, error) {
	r := Record{Bucket: bucket, Key: key}
	if len(data) < headLength || data[0] != form {
		return r, errForm
	}
	flags := data[1]
	r.Version, r.Epoch = data[2], binary.BigEndian.Uint64(data[3:])
	n := int(data[headLength-1])
	if len(data) < headLength+n {
		return r, errForm
	}
	head := data[:headLength+n]
	r.Node, r.Deleted = string(head[headLength:]), flags&flagDeleted != 0
	body := data[headLength+n:]
	switch {
	case r.Deleted:
	case flags&flagSealed != 0:
		var err error
		if r.Value, err = open.open(head, body, bucket+"/"+key); err != nil {
			return r, fmt.Errorf("record %s/%s: %w", bucket, key, err)
		}
	default:
		r.Value = body
	}
	return r, nil
}
