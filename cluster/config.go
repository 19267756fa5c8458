package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"
)

// Storage says where a bucket lives.
type Storage uint8

const (
	// Disk keeps a bucket on the disk of every node that has it.
	Disk Storage = iota
	// Memory keeps a bucket of a pair in the memory of its nodes. A single node keeps it on the disk all the same, since
	// there is no other memory to find it in.
	Memory
)

// Bucket is a set of records by key; the last value of each key is kept.
type Bucket struct {
	Name    string // small letters, digits and "_"
	Storage Storage
	Sealed  bool          // values are encrypted with the cluster's key: they hold keys of media
	MaxAge  time.Duration // records are forgotten this long after they were written; 0: never
	MaxSize int64         // bytes; a Put beyond it fails (see ErrDegraded); 0: no limit of its own
}

// Config is what the engine of one node is told.
type Config struct {
	Node    string // unique in the cluster: letters, digits, "-" and "_"
	Dir     string // folder of this room alone; made if it is not there
	Buckets []Bucket

	AckWithin time.Duration // how long Done may wait for the store; 0: 50 ms
	Backlog   int           // bytes of values that wait while the store is away; 0: 64 MiB
	// SyncEvery is how often files are flushed to the disk; 0: after every write (a group of writes costs one). A killed
	// process loses nothing in either case, a machine without power what came after the last flush.
	SyncEvery time.Duration

	// Stale is called when a deposed node's late write of a key was seen after this node had taken over; the owner of
	// the key puts its own value again. It must not block.
	Stale func(bucket, key string)
	// Tell is called for each Event, in order. It must not block.
	Tell func(Event)
}

// Event is something that an operator should see.
type Event struct {
	Name    string // "replication degraded", "replication restored", "records lost"
	Alarm   bool   // someone must act, or look
	Detail  string
	Backlog int // records that wait
}

var (
	bucketName = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)
	nodeName   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

func (c Config) withDefaults() (Config, error) {
	if !nodeName.MatchString(c.Node) {
		return c, fmt.Errorf("node name %q: use up to 64 letters, digits, \"-\" and \"_\"", c.Node)
	}
	if c.Dir == "" {
		return c, errors.New("no folder for the state")
	}
	if len(c.Buckets) == 0 {
		return c, errors.New("no buckets")
	}
	for _, b := range c.Buckets {
		if !bucketName.MatchString(b.Name) {
			return c, fmt.Errorf("bucket name %q: use up to 32 small letters, digits and \"_\"", b.Name)
		}
	}
	var err error
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return c, err
	}
	if c.AckWithin == 0 {
		c.AckWithin = 50 * time.Millisecond
	}
	if c.Backlog == 0 {
		c.Backlog = 64 << 20
	}
	if c.Stale == nil {
		c.Stale = func(string, string) {}
	}
	if c.Tell == nil {
		c.Tell = func(Event) {}
	}
	return c, nil
}
