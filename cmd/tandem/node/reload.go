package node

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"tandem/call"
	"tandem/configs"
	"tandem/console"
	"tandem/dialplan"
	"tandem/media"
)

// settingsOf is what the switchboard takes from a configuration. Sound files are read here, so that one that is
// missing stops the load and not a call.
func settingsOf(cfg *configs.Config) (*call.Settings, error) {
	s := &call.Settings{
		Signer: cfg.STIR.Signer, Verifier: cfg.STIR.Verifier,
		Domains: cfg.Node.Domains, PublicAddress: cfg.Node.PublicAddress,
		Plan: cfg.Plan, Credentials: cfg.Credentials, Clips: map[string]media.Clip{},
	}
	var errs []error
	for _, file := range cfg.Plan.Sounds() {
		clip, err := media.LoadWAV(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("sound file: %w", err))
			continue
		}
		s.Clips[file] = clip
	}
	return s, errors.Join(errs...)
}

// Reload reads the configuration and puts it in force, whole or not at all: every room is prepared before the first
// one changes. Calls in progress keep the plan that they began with. A configuration whose own tests fail is refused,
// unless force is set.
func (n *Node) Reload(force bool) (console.Change, error) {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	if n.opts.Load == nil {
		return console.Change{}, errors.New("this switch has no configuration folder to reload: start it with `tandem serve --config DIR`")
	}
	old := n.config.Load()
	cfg, err := n.opts.Load()
	if err != nil {
		return console.Change{}, err
	}
	if proof := cfg.Plan.Test(); proof.Failed > 0 && !force {
		return console.Change{}, fmt.Errorf("%d of %d tests of the configuration fail (reload --force does it all the same):\n%s",
			proof.Failed, len(proof.Tests), proof.Failures())
	}
	if err := restartNeeded(old, cfg); err != nil {
		return console.Change{}, err
	}
	cfg.STIR.Keep(&old.STIR)
	settings, err := settingsOf(cfg)
	if err != nil {
		return console.Change{}, err
	}
	if err := n.signFor(cfg); err != nil {
		return console.Change{}, err
	}
	sockets, err := n.layer.Prepare(n.transport(cfg))
	if err != nil {
		return console.Change{}, err
	}
	if err := n.media.Update(cfg.Media); err != nil {
		sockets.Abort()
		return console.Change{}, fmt.Errorf("media: %w", err)
	}
	if err := n.loadKeys(cfg); err != nil {
		sockets.Abort()
		return console.Change{}, err
	}
	sockets.Commit()
	n.registrar.Update(n.registrarConfig(cfg))
	n.config.Store(cfg)
	n.acceptTokens(cfg)
	n.trunks.Update(cfg.Trunks, cfg.TrunkGroups...)
	n.board.Update(settings)
	n.ledger.Reopen()
	change := console.Change{Plan: cfg.Plan.Version(), Changes: configs.Diff(old, cfg)}
	n.log.Info("configuration reloaded", "plan", change.Plan, "changes", len(change.Changes))
	return change, nil
}

// Diff says what the configuration in a folder would change, or where it is empty what Reload would. Nothing is changed
// by it, and calls go on meanwhile.
func (n *Node) Diff(config string) (console.Difference, error) {
	load := n.opts.Load
	if config != "" {
		load = func() (*configs.Config, error) {
			cfg, diags := configs.Load(config)
			if cfg == nil {
				return nil, diags
			}
			return cfg.OfShard(n.shard())
		}
	}
	if load == nil {
		return console.Difference{}, errors.New("this switch has no configuration folder to compare with: start it with `tandem serve --config DIR`")
	}
	old := n.config.Load()
	cfg, err := load()
	if err != nil {
		return console.Difference{}, err
	}
	return console.Difference{
		Plan: cfg.Plan.Version(), Changes: configs.Diff(old, cfg),
		Behaviour: dialplan.Compare(old.Plan, cfg.Plan, time.Now()),
	}, nil
}

// restartNeeded names what a reload cannot change.
func restartNeeded(old, cfg *configs.Config) error {
	switch {
	case old.Node.Realm != cfg.Node.Realm:
		return errors.New("the realm (the first of `domains`) changed: every phone's password hash depends on it, so this needs a restart")
	case old.Node.AdminSocket != cfg.Node.AdminSocket:
		return errors.New("`admin_socket` changed: this needs a restart")
	case old.Node.HTTP != cfg.Node.HTTP:
		return errors.New("`http` changed: this needs a restart")
	case !slices.Equal(old.Node.NameServers, cfg.Node.NameServers):
		return errors.New("`name_servers` changed: this needs a restart")
	case relayChanged(old, cfg):
		return errors.New("the address, ports or quotas of the block `turn` changed: this needs a restart")
	case authorityChanged(old, cfg):
		return errors.New("the block `acme` changed: this needs a restart")
	case !reflect.DeepEqual(old.Cluster, cfg.Cluster):
		return errors.New("the cluster changed: this needs a restart, of the standby first")
	case old.CDR != cfg.CDR:
		return errors.New("the path of the call records changed: this needs a restart")
	}
	return nil
}
