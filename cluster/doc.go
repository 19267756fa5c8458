// Package cluster keeps the state that outlives a process, and lets other nodes follow it. The same code serves one node
// (an embedded NATS server with JetStream on the disk, no socket at all), a pair with a witness (three replicas), and an
// outside NATS cluster.
//
// It moves opaque values: each room can write its own objects as bytes and read them again, and node introduces the rooms
// to this one. It imports nothing of the switch.
//
//	c, err := cluster.Open(ctx, cluster.Config{Node: "a", Dir: dir, Buckets: buckets}, log)
//	c.Put(cluster.Write{Bucket: "reg", Key: aor, Value: b, TTL: ttl, Done: func(err error) { reply(200) }})
//	f, err := c.Follow(ctx, "call", func(r cluster.Record) { ... }) // returns when all that is stored has been given
//	defer f.Close()
//
// # Writing
//
// Put never blocks and needs no goroutine of the caller: writes are pipelined, those of one key keep their order, and Done
// runs when the record is held: on the disk's side of the store for one node, by two nodes of three for a pair. If that
// takes longer than Config.AckWithin (50 ms), the switch goes on without: Done runs with ErrDegraded, the last value of each
// key waits in memory (Config.Backlog bytes), an Event tells, and all of it is written when the store is back. Who answers a
// request in Done answers in both cases, and must not answer after ErrFenced: this node is not the active one any more.
//
// # Reading
//
// A Record carries the epoch in which it was written. One that a deposed node wrote, and that arrives after its successor
// has begun, is given to no reader; where the successor follows the bucket it is told through Config.Stale.
package cluster
