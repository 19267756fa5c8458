package main

import (
	"fmt"
	"io"
	"strings"

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
	c.AddCommand(drain, ask("groups", "List the groups of carriers: their trunks and channels", (*console.Client).TrunkGroups, printTrunkGroups))
	return c
}

func printTrunkGroups(w io.Writer, all []trunk.GroupState) {
	fmt.Fprintln(w, "GROUP\tCHANNELS\tOUT\tIN\tTRUNKS")
	for _, g := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", g.Group, inUse(g.ChannelsOut+g.ChannelsIn, g.Channels), g.ChannelsOut, g.ChannelsIn, strings.Join(g.Trunks, ", "))
	}
}

// inUse is 3/60, or 3 where there is no limit.
func inUse(n, limit int) string {
	if limit == 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d/%d", n, limit)
}

// minutes is 12/500 of today, or of the month where that alone is limited.
func minutes(m trunk.MinutesState) string {
	if m.DayLimit == 0 && m.MonthLimit > 0 {
		return inUse(int(m.ThisMonth), m.MonthLimit) + " a month"
	}
	return inUse(int(m.Today), m.DayLimit)
}

func printTrunks(w io.Writer, all []trunk.Snapshot) {
	fmt.Fprintln(w, "TRUNK\tSTATE\tREGISTERED\tTARGETS\tCHANNELS\tMINUTES\tCALLS OUT\tASR\tNER\tACD\tPDD\tCALLS IN\tREFUSED\tWHY")
	for _, t := range all {
		dead := 0
		for _, x := range t.Targets {
			if x.Dead {
				dead++
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d/%d\t%s\t%s\t%d\t%.0f%%\t%.0f%%\t%.0fs\t%.1fs\t%d\t%d\t%s\n", t.Trunk, t.State, registered(t), len(t.Targets)-dead, len(t.Targets),
			inUse(t.ChannelsOut+t.ChannelsIn, t.Channels), minutes(t.Minutes), t.Out.Attempts, 100*t.Out.ASR, 100*t.Out.NER, t.Out.ACD, t.Out.PDD, t.In.Attempts, t.Out.Refused+t.In.Refused, t.Why)
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
