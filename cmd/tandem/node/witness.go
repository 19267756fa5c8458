package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"tandem/cluster"
	"tandem/configs"
	"tandem/console"
)

// Witness is the third member of a pair: it has a vote and a copy of the state, and no room of a switch.
type Witness struct {
	n       *Node
	console *console.Server
}

// NewWitness opens the engine and the admin socket.
func NewWitness(cfg *configs.Config, opts Options) (*Witness, error) {
	n := &Node{opts: opts, log: opts.Log, started: time.Now()}
	n.config.Store(cfg)
	var err error
	if n.state, err = n.startState(cfg); err != nil {
		return nil, err
	}
	w := &Witness{n: n}
	w.console, err = console.NewWitness(console.Config{Socket: cfg.Node.AdminSocket, HTTP: cfg.Node.HTTP}, view{n}, opts.Version, opts.Log.With("room", "console"))
	if err != nil {
		n.state.Close()
		return nil, err
	}
	return w, nil
}

// Run takes part until ctx ends.
func (w *Witness) Run(ctx context.Context) error {
	views := w.n.background("console", w.console.Run)
	known := w.n.background("directory", w.n.followShard)
	w.n.log.Info("witness votes", "node", w.n.state.Status().Node, "version", w.n.opts.Version)
	err := w.n.state.Play(ctx, idle{w.n.log})
	err = errors.Join(err, known.end(), views.end())
	w.n.state.Close()
	return err
}

// idle is what a witness does in its role: it has none.
type idle struct{ log *slog.Logger }

func (idle) Promote(context.Context, uint64) error { return errors.New("a witness does not serve") }
func (idle) Serve(uint64)                          {}
func (idle) Finish()                               {}
func (idle) Yield()                                {}
func (idle) Demote()                               {}

var _ cluster.Switch = idle{}
