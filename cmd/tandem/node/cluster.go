package node

import (
	"context"
	"path/filepath"
	"time"

	"tandem/cluster"
	"tandem/configs"
)

// What is kept in the engine, and how. The value of each bucket is written by the room that owns it, and read by it alone.
const (
	bucketRegistrations = "reg"   // key: AOR
	bucketCalls         = "call"  // key: id of the call; both legs, with the keys of their media
	bucketMedia         = "media" // key: id of the call and leg; counters and addresses that change while it lasts
	bucketRecords       = "cdr"   // key: id of the call; call records until they stand in the file
	bucketState         = "state" // key: what; the key of nonces, forwards, do-not-disturb, night switches, usage, lamps
)

var buckets = []cluster.Bucket{
	{Name: bucketRegistrations},
	{Name: bucketCalls, Storage: cluster.Memory, Sealed: true},
	{Name: bucketMedia, Storage: cluster.Memory, Sealed: true, MaxAge: 24 * time.Hour},
	{Name: bucketRecords},
	{Name: bucketState, Sealed: true},
}

// startState opens the engine that holds what outlives this process.
func (n *Node) startState(cfg *configs.Config) (*cluster.Engine, error) {
	return cluster.Open(context.Background(), cluster.Config{
		Node: "single", Dir: filepath.Join(cfg.Node.StateDir, "cluster"), Buckets: buckets,
		// The power of one machine is not a second node: what came in the last second may be lost with it, and a write
		// costs a third of what a flush each time would.
		SyncEvery: time.Second,
	}, n.log.With("room", "cluster"))
}
