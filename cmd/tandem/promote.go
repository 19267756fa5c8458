package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tandem/cluster"
	"tandem/console"
)

// promote makes this node serve by a person's word.
func promote(c *cobra.Command, client *console.Client, asJSON bool) error {
	before, err := client.Cluster()
	if err != nil {
		return err
	}
	s, err := client.TakeOver()
	if err != nil {
		return err
	}
	return output(c.OutOrStdout(), asJSON, s, func(w io.Writer, s cluster.Status) {
		for _, m := range s.Members {
			if m.Node != s.Node {
				fmt.Fprintf(w, "node %s serves in epoch %d. You have said that node %s is off: if it still runs and is only cut off, both serve, and calls break.\n", s.Node, s.Epoch, m.Node)
			}
		}
		if before.Copy != "whole" {
			fmt.Fprintf(w, "its copy of the records was: %s. What the other node acknowledged after that is lost.\n", before.Copy)
		}
	})
}

// notifyCommand is what keepalived's notify script runs.
func notifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "notify STATE", Short: "Tell this node what keepalived says: MASTER, BACKUP, FAULT or STOP", Args: cobra.RangeArgs(1, 4),
		Long: "Tell this node what keepalived says, where `role = \"keepalived\"` leaves the decision to it. In keepalived.conf, inside vrrp_instance:\n\n" +
			"  notify \"/usr/bin/tandem cluster notify --config /etc/tandem\"\n" +
			"  notify_stop \"/usr/bin/tandem cluster notify STOP --config /etc/tandem\"\n\n" +
			"keepalived adds INSTANCE NAME STATE PRIORITY to the first, of which STATE counts. The word is written down, so a node that starts\n" +
			"later obeys it until the machine itself starts again.",
	}
	config := folderFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		state := args[0]
		if len(args) > 2 { // INSTANCE or GROUP, name, state, priority
			state = args[2]
		}
		cfg, err := config()
		if err != nil {
			return err
		}
		if cfg.Cluster.Decides != cluster.ByKeepalived {
			return fmt.Errorf("keepalived does not decide here: say role = \"keepalived\" in the cluster block")
		}
		if err := cluster.NoteKeepalived(cfg.Node.ClusterDir(), state); err != nil {
			return err
		}
		s, err := console.Dial(cfg.Node.AdminSocket).Notify(state)
		if err != nil {
			return fmt.Errorf("it is written down, and this node obeys when it starts: %w", err)
		}
		fmt.Fprintf(c.OutOrStdout(), "node %s: %s\n", s.Node, s.Role)
		return nil
	}
	return c
}
