package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"tandem/cmd/tandem/node"
	"tandem/configs"
)

// serveShards runs this machine's part in every shard: a switch for the one that it owns and for those that it backs up, a
// witness for all others. They share the directory of registrations and nothing else: each has a role, a state and an address
// of its own, so what happens to one shard leaves the others alone. One that cannot start ends the process.
func serveShards(cfg *configs.Config, opts node.Options) error {
	// Each part hears signals itself, from before the first one begins; while calls are drained after SIGINT the parts end one
	// by one.
	heard := make([]*signals, len(cfg.Cluster.Shards))
	for i := range heard {
		heard[i] = hear()
		defer heard[i].stop()
	}
	ctx, fail := context.WithCancel(context.Background())
	defer fail()
	opts.Directory = node.NewDirectory(cfg)
	errs := make([]error, len(cfg.Cluster.Shards))
	var running sync.WaitGroup
	for i, s := range cfg.Cluster.Shards {
		if err := os.MkdirAll(cfg.Node.ShardDir(s.Name), 0o750); err != nil {
			fail()
			errs[i] = fmt.Errorf("state folder of shard %s: %w", s.Name, err)
			break
		}
		mine := opts
		mine.Log = opts.Log.With("shard", s.Name)
		mine.Load = func() (*configs.Config, error) { return loadShard(opts.Load, s.Name) }
		running.Go(func() {
			if err := serveMember(ctx, cfg.Shard(i), mine, heard[i]); err != nil {
				fail()
				errs[i] = fmt.Errorf("shard %s: %w", s.Name, err)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// loadShard reads the configuration anew, and takes one shard's out of it.
func loadShard(load func() (*configs.Config, error), name string) (*configs.Config, error) {
	cfg, err := load()
	if err != nil {
		return nil, err
	}
	return cfg.OfShard(name)
}
