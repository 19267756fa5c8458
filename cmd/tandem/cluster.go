package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tandem/cluster"
	"tandem/configs"
	"tandem/console"
)

// clusterCommand makes pairs and looks at them.
func clusterCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "cluster", Short: "Make a pair of switches with a witness, and look at it",
		Long: "Two switches and a witness: one serves, the other stands by with everything at hand, and the witness is the third voice\n" +
			"when one of them is silent. The same `cluster` block stands in the configuration of all three.\n\n" +
			"  a$ tandem cluster init --config DIR --name a        certificates and keys of a new cluster\n" +
			"  a$ tandem serve --config DIR\n" +
			"  a$ tandem cluster invite b --config DIR             prints a token that is good for an hour\n" +
			"  b$ tandem cluster join TOKEN --config DIR           and then `tandem serve`; the same for the witness\n" +
			"  a$ tandem cluster status --config DIR",
	}
	c.AddCommand(initCommand(), inviteCommand(), joinCommand(), renewCommand(), removeCommand(), settleCommand(), notifyCommand(), dnsCommand(), ask("cluster status", "Show who serves, who stands by, and what is wrong", (*console.Client).Cluster, printCluster))
	return c
}

// folderFlag is where the identity of this machine lies.
func folderFlag(c *cobra.Command) func() (*configs.Config, error) {
	dir := c.Flags().String("config", "/etc/tandem", "folder with *.hcl files")
	return func() (*configs.Config, error) {
		cfg, diags := configs.Load(*dir)
		if cfg == nil {
			fmt.Fprint(c.ErrOrStderr(), diags.String())
			return nil, errSilent
		}
		if len(cfg.Cluster.Members) == 0 {
			return nil, fmt.Errorf("the configuration in %s has no cluster block: write one with two nodes and a witness first", *dir)
		}
		return cfg, nil
	}
}

func memberNamed(cfg *configs.Config, name string) (*cluster.Member, error) {
	var names []string
	for i := range cfg.Cluster.Members {
		if cfg.Cluster.Members[i].Name == name {
			return &cfg.Cluster.Members[i], nil
		}
		names = append(names, cfg.Cluster.Members[i].Name)
	}
	return nil, fmt.Errorf("the cluster block has no member %q: they are %s", name, strings.Join(names, ", "))
}

func initCommand() *cobra.Command {
	c := &cobra.Command{Use: "init --name NODE", Short: "Begin a cluster on this machine: its authority, its key, and a certificate", Args: cobra.NoArgs}
	config := folderFlag(c)
	name := c.Flags().String("name", "", "which node of the cluster block this machine is")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := config()
		if err != nil {
			return err
		}
		if _, err := memberNamed(cfg, *name); err != nil {
			return err
		}
		id, err := cluster.Init(cfg.Node.ClusterDir(), *name)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "this machine is node %s of a new cluster; its authority has the fingerprint\n%s\nstart it with `tandem serve`, and invite the others with `tandem cluster invite NODE`\n", id.Node, id.Fingerprint)
		return nil
	}
	return c
}

func inviteCommand() *cobra.Command {
	c := &cobra.Command{Use: "invite NODE", Short: "Print a token by which one machine may join, while the switch here runs", Args: cobra.ExactArgs(1)}
	config := folderFlag(c)
	valid := c.Flags().Duration("valid", time.Hour, "how long the token is good")
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := config()
		if err != nil {
			return err
		}
		member, err := memberNamed(cfg, args[0])
		if err != nil {
			return err
		}
		if *valid <= 0 || *valid > 7*24*time.Hour {
			return errors.New("a token is good for a week at most, and for longer than no time")
		}
		id, err := cluster.LoadIdentity(cfg.Node.ClusterDir())
		if err != nil {
			return err
		}
		here, err := memberNamed(cfg, id.Node)
		if err != nil {
			return err
		}
		token, err := id.Invite(member.Name, !member.Witness, here.Address(), *valid)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), token)
		return nil
	}
	return c
}

func joinCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "join TOKEN", Short: "Make this machine the node that a token names", Args: cobra.ExactArgs(1),
		Long: "Make this machine the node that a token names, which `tandem cluster invite` prints on a switch of the cluster that runs.\n" +
			"A machine that had the name before is let in no more. One that is that node already gets a new certificate, for instance\n" +
			"because its own has ended, and keeps its state.",
	}
	config := folderFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := config()
		if err != nil {
			return err
		}
		id, err := cluster.Join(c.Context(), cfg.Node.ClusterDir(), args[0])
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "this machine is node %s of the cluster whose authority has the fingerprint\n%s\nstart it with `tandem serve`\n", id.Node, id.Fingerprint)
		return nil
	}
	return c
}

func renewCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "renew", Short: "Exchange the certificate of this node, while its switch runs", Args: cobra.NoArgs,
		Long: "Exchange the certificate of this node. Every node does it by itself when a third of the time is left; this does it now, or\n" +
			"says why it cannot be done. Connections go on.",
	}
	at, asJSON := socketFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		parts, err := at.parts(true)
		if err != nil {
			return err
		}
		s, err := parts[0].client.Renew() // the shards of a machine have one certificate
		if err != nil {
			return err
		}
		return output(c.OutOrStdout(), *asJSON, s, func(w io.Writer, s cluster.Status) {
			fmt.Fprintf(w, "the certificate of node %s is good until %s\n", s.Node, s.Certificate.Format(time.DateOnly))
		})
	}
	return c
}

func removeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "remove NODE", Short: "Let the machine that was a node in no more; asked of a switch that runs", Args: cobra.ExactArgs(1),
		Long: "Let the machine that was a node in no more, whatever certificate it has: it has been given away, or may come back to life.\n" +
			"Its name stays in the cluster block, for the machine that takes its place by `tandem cluster invite NODE` and `join`.",
	}
	at, asJSON := socketFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		parts, err := at.parts(true)
		if err != nil {
			return err
		}
		s, err := parts[0].client.Remove(args[0])
		if err != nil {
			return err
		}
		return output(c.OutOrStdout(), *asJSON, s, func(w io.Writer, s cluster.Status) {
			fmt.Fprintf(w, "the machine that was node %s is let in no more\n", args[0])
		})
	}
	return c
}

// printCluster puts first what an operator wants to know first.
func printCluster(w io.Writer, s cluster.Status) {
	v := console.ViewCluster(s, time.Now())
	fmt.Fprintf(w, "cluster\t%s\n", v.Verdict)
	for i, p := range v.Problems {
		fmt.Fprintf(w, "problem %d\t%s\n", i+1, p)
	}
	for _, f := range v.Facts {
		fmt.Fprintf(w, "%s\t%s\n", f[0], f[1])
	}
	if len(v.Members) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", strings.Join(console.MemberHeads, "\t"))
	for _, m := range v.Members {
		fmt.Fprintln(w, strings.Join(m.Cells(), "\t"))
	}
}

func failoverCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "failover", Short: "Let the standby serve; asked of the node that serves", Args: cobra.NoArgs,
		Long: "Let the standby serve. Answered calls and registrations go with it; packets are lost for some ten milliseconds. Nothing\n" +
			"comes back by itself: ask the other node to fail over when you want this one to serve again.",
	}
	at, asJSON := socketFlags(c)
	rehearse := c.Flags().Bool("rehearse", false, "only tell what would come of it; exit 1: nobody can take over")
	force := c.Flags().Bool("force", false, "promote this node of two without a witness: you say that the other machine is off")
	c.MarkFlagsMutuallyExclusive("rehearse", "force")
	c.RunE = func(c *cobra.Command, _ []string) error {
		parts, err := at.parts(false)
		if err != nil {
			return err
		}
		if len(parts) > 1 {
			return fmt.Errorf("this machine takes part in the shards %s: say which one with --shard", shardNames(parts))
		}
		client := parts[0].client
		if *force {
			return promote(c, client, *asJSON)
		}
		r, err := client.Failover(*rehearse)
		if err != nil {
			return err
		}
		if err := output(c.OutOrStdout(), *asJSON, r, func(w io.Writer, r cluster.Rehearsal) { printRehearsal(w, r, *rehearse) }); err != nil {
			return err
		}
		if *rehearse && !r.Possible {
			return errSilent
		}
		return nil
	}
	return c
}

func printRehearsal(w io.Writer, r cluster.Rehearsal, only bool) {
	switch {
	case !only:
		fmt.Fprintf(w, "node %s serves now\n", r.To)
	case r.Possible:
		fmt.Fprintf(w, "node %s can take over from %s\n", r.To, r.From)
	default:
		fmt.Fprintln(w, "nobody can take over")
	}
	for _, why := range r.Why {
		fmt.Fprintln(w, why)
	}
	if r.Target != nil && only {
		fmt.Fprintf(w, "\n%s\n%s\n", strings.Join(console.MemberHeads, "\t"), strings.Join(console.ViewMember(*r.Target).Cells(), "\t"))
	}
}
