package cluster

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
	Sealed  bool // values are encrypted with the cluster's key: they hold keys of media
	Given   bool // it is of many records, which the node that serves gives to a member that starts (give.go); not with Sealed
	// Brief: of a single node, what was deleted may come back when its process is killed within minutes after, and the reader knows what has
	// ended. It saves the marks of what ends often.
	Brief   bool
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

	// Members makes the node part of a pair: two switches and one to three witnesses, the same list on each. None: a single
	// node, which opens no port.
	Members  []Member
	Identity *Identity     // of a member; see Init and Join
	Timers   time.Duration // election time; 0: 150 ms, right for machines of their own in one network. 300 ms for virtual ones
	// Store is an outside one, instead of that which the nodes make.
	Store Store
	// Decides says who decides which of two switches serves, where there is no witness; Fence may do it for a person.
	Decides   Decides
	Fence     Fence
	Preferred string // who shall be active when the cluster begins; it is never asked again
	Shard     string // one of several groups that the same machines make, each with ports of its own; empty: the only one

	// Addresses move with the role; Hook is told of it.
	Addresses []Address
	Hook      Hook

	// Report is what the others are told of this node each second, as JSON; nil: nothing.
	Report func() any

	// Ready tells whether this node has read everything that it would serve with; nil: always. Until then it is slow to elect itself, and
	// the others elect it last: it could not serve yet, and the node that does may be alive. It is asked often.
	Ready func() bool

	// Plan names what a switch is configured to do, by a checksum; empty, or nil: there is none.
	Plan func() string

	// Form is the newest form of values that this version reads and writes; 0: 1. Formed is told when Engine.Form changes: what is in the
	// store should be written again. It must not block.
	Form   uint8
	Formed func(form uint8)

	// Doubt is called when the store may not have what the active node put last, and the owner of the key puts its value again: a
	// deposed node's late write of it was seen, as a rule by a node that stands by, which passes it on. Without a key it means every
	// key of the bucket: records of this node that waited had to be dropped. It must not block.
	Doubt func(bucket, key string)
	// Left is called with records that somebody may have been answered for, and that the active node does not know: those that the store had
	// not taken when this node ceased to be the active one, Age ago, and late writes that were seen. It must not block.
	Left func([]Record)
	// Tell is called for each Event, in order. It must not block.
	Tell func(Event)

	now func() time.Time // the clock of this machine; a test has another one
}

// Member is a node of a pair.
type Member struct {
	Name    string
	Host    string // IP address or name at which the others reach it
	Port    int    // TCP: the role there, the state at the next one
	Witness bool   // it has a vote and a copy, and never serves
}

// Address is where the others reach the member, host:port.
func (m Member) Address() string { return m.role() }

func (m Member) role() string  { return net.JoinHostPort(m.Host, strconv.Itoa(m.Port)) }
func (m Member) state() string { return net.JoinHostPort(m.Host, strconv.Itoa(m.Port+1)) }

// Event is something that an operator should see.
type Event struct {
	Name    string // "role", "replication degraded", "no majority"
	Alarm   bool   // someone must act, or look
	Detail  string
	Backlog int // records that wait
}

var (
	bucketName = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)
	nodeName   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// CheckName says what is wrong with the name of a node.
func CheckName(name string) error {
	if !nodeName.MatchString(name) {
		return fmt.Errorf("node name %q: use up to 64 letters, digits, \"-\" and \"_\"", name)
	}
	return nil
}

func (c Config) withDefaults() (Config, error) {
	if err := CheckName(c.Node); err != nil {
		return c, err
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
	if err := c.checkMembers(); err != nil {
		return c, err
	}
	if c.Store.outside() && c.Decides != ByVote {
		return c, errors.New("an outside store goes with a witness, or with a single node: without one each of two nodes has a store of its own")
	}
	if c.Store.outside() && c.Store.Replicas == 0 {
		c.Store.Replicas = 3
	}
	if c.Timers == 0 {
		c.Timers = 150 * time.Millisecond
	}
	if c.AckWithin == 0 {
		c.AckWithin = 50 * time.Millisecond
	}
	if c.Backlog == 0 {
		c.Backlog = 64 << 20
	}
	if c.Doubt == nil {
		c.Doubt = func(string, string) {}
	}
	if c.Left == nil {
		c.Left = func([]Record) {}
	}
	if c.Tell == nil {
		c.Tell = func(Event) {}
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c, nil
}

// mostMembers is how many copies of a record the store keeps at most.
const mostMembers = 5

// checkMembers wants two switches, and enough witnesses for a majority.
func (c Config) checkMembers() error {
	if len(c.Members) == 0 {
		return nil
	}
	if c.Identity == nil {
		return ErrNoIdentity
	}
	if c.Identity.Node != c.Node {
		return fmt.Errorf("the certificate of this machine is that of node %q, not of %q", c.Identity.Node, c.Node)
	}
	seen, witnesses := map[string]bool{}, 0
	for _, m := range c.Members {
		if !nodeName.MatchString(m.Name) || seen[m.Name] {
			return fmt.Errorf("member %q: each has a name of its own, of letters, digits, \"-\" and \"_\"", m.Name)
		}
		seen[m.Name] = true
		if m.Witness {
			witnesses++
		}
	}
	switch {
	case c.Decides != ByVote && (len(c.Members) != 2 || witnesses != 0):
		return fmt.Errorf("%d switches and %d witnesses: without a vote there are two switches and nobody else", len(c.Members)-witnesses, witnesses)
	case c.Decides == ByVote && (len(c.Members)-witnesses != 2 || witnesses == 0 || len(c.Members) > mostMembers):
		return fmt.Errorf("%d switches and %d witnesses: a pair is two switches and one to three witnesses, since two machines cannot tell a dead peer from a cut cable", len(c.Members)-witnesses, witnesses)
	case !seen[c.Node]:
		return fmt.Errorf("this machine is node %q, which is no member: the members are %s", c.Node, strings.Join(slices.Sorted(maps.Keys(seen)), ", "))
	case c.Preferred != "" && !seen[c.Preferred]:
		return fmt.Errorf("the preferred node %q is no member", c.Preferred)
	}
	return nil
}
