package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tandem/console"
)

// settleCommand has records written that nobody else will write.
func settleCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "settle NODE", Short: "Write the call records that a node had claimed which will never be back", Args: cobra.ExactArgs(1),
		Long: "Write the call records that a node had claimed which will never be back. Asked of the node that serves.\n\n" +
			"A node of a pair says which records it is about to write, writes them into its own file, and says that it has. One that dies in between\n" +
			"writes them when it is back, and `tandem cluster status` tells of it. If its disk is lost, this command has the serving node write them.\n" +
			"It is refused while that node is heard. Should the node come back after all, it writes nothing of them any more.\n\n" +
			"What cannot be known is whether it had written them just before it died. Records written by this command therefore say\n" +
			"\"settled_for\": \"NODE\": if NODE's file is found again and has a record of the same \"call\", that is the same one, and the one with settled_for\n" +
			"is to be left out. A node that comes back looks by itself, and names such calls in its log.",
	}
	at, asJSON := socketFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		parts, err := at.parts(false)
		if err != nil {
			return err
		}
		if len(parts) > 1 {
			return fmt.Errorf("this machine takes part in the shards %s: say which one with --shard", shardNames(parts))
		}
		s, err := parts[0].client.Settle(args[0])
		if err != nil {
			return err
		}
		return output(c.OutOrStdout(), *asJSON, s, func(w io.Writer, s console.Settled) {
			if len(s.Calls) == 0 {
				fmt.Fprintf(w, "node %s has claimed no records that are not written\n", s.Node)
				return
			}
			for _, id := range s.Calls {
				fmt.Fprintf(w, "written for %s\t%s\n", s.Node, id)
			}
		})
	}
	return c
}
