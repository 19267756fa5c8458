package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tandem/console"
	"tandem/trunk"
)

// trunksCommand shows the carriers, and drains one.
func trunksCommand() *cobra.Command {
	c := ask("trunks", "List the carriers: state, registration, channels and how calls over them went", (*console.Client).Trunks, printTrunks)
	drain := &cobra.Command{Use: "drain TRUNK", Short: "Keep new calls off a trunk; those in progress go on", Args: cobra.ExactArgs(1)}
	at, asJSON := socketFlags(drain)
	off := drain.Flags().Bool("off", false, "let calls on again")
	drain.RunE = func(c *cobra.Command, args []string) error {
		client, err := at.dial()
		if err != nil {
			return err
		}
		all, err := client.DrainTrunk(args[0], !*off)
		if err != nil {
			return err
		}
		return output(c.OutOrStdout(), *asJSON, all, printTrunks)
	}
	c.AddCommand(drain)
	return c
}

func printTrunks(w io.Writer, all []trunk.Snapshot) {
	fmt.Fprintln(w, "TRUNK\tSTATE\tREGISTERED\tTARGETS\tCHANNELS\tCALLS OUT\tASR\tNER\tACD\tPDD\tCALLS IN\tREFUSED\tWHY")
	for _, t := range all {
		dead := 0
		for _, x := range t.Targets {
			if x.Dead {
				dead++
			}
		}
		channels := fmt.Sprintf("%d", t.ChannelsOut+t.ChannelsIn)
		if t.Channels > 0 {
			channels += fmt.Sprintf("/%d", t.Channels)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d/%d\t%s\t%d\t%.0f%%\t%.0f%%\t%.0fs\t%.1fs\t%d\t%d\t%s\n", t.Trunk, t.State, registered(t), len(t.Targets)-dead, len(t.Targets),
			channels, t.Out.Attempts, 100*t.Out.ASR, 100*t.Out.NER, t.Out.ACD, t.Out.PDD, t.In.Attempts, t.Out.Refused+t.In.Refused, t.Why)
	}
}

// registered is how a trunk's registrations stand: "-" where it has none.
func registered(t trunk.Snapshot) string {
	if len(t.Registrations) == 0 {
		return "-"
	}
	n := 0
	for _, r := range t.Registrations {
		if r.State == trunk.Registered.String() {
			n++
		}
	}
	return fmt.Sprintf("%d/%d", n, len(t.Registrations))
}
