package console

// Shards are what a node of a cluster with shards knows and does for the others.
type Shards struct {
	Known    map[string]int  // registrations by shard
	Served   map[string]bool // shards that somebody serves, as far as this node has heard
	In, Out  uint64          // requests forwarded from other shards to phones, and back
	FlowLost uint64          // requests whose phone had no flow (430)
}

// shardFamilies are the metrics of shards. Their labels are bounded by the nodes of the configuration.
type shardFamilies struct {
	shardKnown, shardServed, shardForwarded, shardFlowLost *metric
}

func newShardFamilies() shardFamilies {
	return shardFamilies{
		shardKnown:     gauge("shard_registrations_known", "Registrations of each shard that this node knows.", "shard"),
		shardServed:    gauge("shard_served", "1 for each shard that somebody serves, as far as this node has heard.", "shard"),
		shardForwarded: counter("shard_requests_forwarded", "Requests forwarded from other shards to phones of this one (in), and back (out).", "direction"),
		shardFlowLost:  counter("shard_flow_failed", "Requests of other shards whose phone had no flow (430)."),
	}
}

func (c collector) collectShards(put func(m *metric, v float64, labels ...string)) {
	if c.src.Shards == nil {
		return
	}
	s := c.src.Shards()
	for name, n := range s.Known {
		put(c.shardKnown, float64(n), name)
	}
	for name, served := range s.Served {
		put(c.shardServed, one(served), name)
	}
	if len(s.Known) > 0 {
		put(c.shardForwarded, float64(s.In), "in")
		put(c.shardForwarded, float64(s.Out), "out")
		put(c.shardFlowLost, float64(s.FlowLost))
	}
}
