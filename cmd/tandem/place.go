package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tandem/cluster"
	"tandem/cmd/tandem/node"
	"tandem/configs"
	"tandem/console"
)

// place is how a command finds the switch.
type place struct{ socket, config, shard string }

func socketFlags(c *cobra.Command) (*place, *bool) {
	at := &place{}
	c.Flags().StringVar(&at.socket, "socket", os.Getenv("TANDEM_SOCKET"), "admin socket of the switch (or set TANDEM_SOCKET)")
	c.Flags().StringVar(&at.config, "config", "", "configuration folder of the switch, to find its socket")
	c.Flags().StringVar(&at.shard, "shard", "", "which shard, by the node that owns it, where the configuration has shards")
	return at, c.Flags().Bool("json", false, "print JSON")
}

// part is a switch that a command asks: the only one, or a shard.
type part struct {
	shard  string
	client *console.Client
}

// dial finds one switch: with shards the one that is named, or else that which this machine owns.
func (p *place) dial() (*console.Client, error) {
	own := *p
	if own.shard == "" && own.socket == "" && own.config != "" {
		if cfg, _ := configs.Load(own.config); cfg != nil && len(cfg.Cluster.Shards) > 0 {
			id, err := cluster.LoadIdentity(cfg.IdentityDir())
			if err != nil {
				return nil, err
			}
			own.shard = id.Node
		}
	}
	parts, err := own.parts(true)
	if err != nil {
		return nil, err
	}
	return parts[0].client, nil
}

// parts are the switches that a command is meant for. With shards, and none named, they are those that this machine serves or
// stands by for, and with witnesses set those too in which it only votes.
func (p *place) parts(witnesses bool) ([]part, error) {
	switch {
	case p.socket != "":
		return []part{{"", console.Dial(p.socket)}}, nil
	case p.config == "":
		if p.shard != "" {
			return nil, fmt.Errorf("--shard needs --config, which tells where its socket is")
		}
		return []part{{"", console.Dial(defaultSocket())}}, nil
	}
	cfg, diags := configs.Load(p.config)
	if cfg == nil {
		return nil, fmt.Errorf("configuration %s is not right, so it does not tell the socket; name it with --socket:\n%s", p.config, diags)
	}
	if len(cfg.Cluster.Shards) == 0 {
		if p.shard != "" {
			return nil, fmt.Errorf("the configuration in %s has no shards", p.config)
		}
		return []part{{"", console.Dial(cfg.Node.AdminSocket)}}, nil
	}
	return p.shards(cfg, witnesses)
}

func (p *place) shards(cfg *configs.Config, witnesses bool) (parts []part, err error) {
	var names []string
	for i, s := range cfg.Cluster.Shards {
		names = append(names, s.Name)
		if p.shard != "" && p.shard != s.Name {
			continue
		}
		if !witnesses && p.shard == "" {
			witness, err := node.IsWitness(cfg.Shard(i))
			if err != nil {
				return nil, err
			}
			if witness {
				continue
			}
		}
		parts = append(parts, part{s.Name, console.Dial(cfg.Node.ShardSocket(s.Name))})
	}
	switch {
	case len(parts) > 0:
		return parts, nil
	case p.shard != "":
		return nil, fmt.Errorf("there is no shard %q: they are %s", p.shard, strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("this machine is the witness of all shards, and has no switch to ask")
}

func shardNames(parts []part) string {
	var names []string
	for _, p := range parts {
		names = append(names, p.shard)
	}
	return strings.Join(names, ", ")
}

// eachPart asks every part the same and prints the answers: one as it is, several each under its shard, as JSON in one object.
func eachPart[T any](w io.Writer, asJSON bool, parts []part, question func(*console.Client) (T, error), show func(io.Writer, T)) error {
	all := map[string]T{}
	for _, p := range parts {
		answer, err := question(p.client)
		switch {
		case err != nil && len(parts) > 1:
			return fmt.Errorf("shard %s: %w", p.shard, err)
		case err != nil:
			return err
		case len(parts) == 1:
			return output(w, asJSON, answer, show)
		case !asJSON:
			fmt.Fprintf(w, "shard %s\n", p.shard)
			if err := output(w, false, answer, show); err != nil {
				return err
			}
		}
		all[p.shard] = answer
	}
	if !asJSON {
		return nil
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(all)
}
