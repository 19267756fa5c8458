package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"tandem/token"
)

func tokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "token EXTENSION", Args: cobra.ExactArgs(1),
		Short: "Make a user name and password for an extension that expire: for a web page, or TURN",
	}
	at, asJSON := socketFlags(c)
	life := c.Flags().Duration("for", 0, "how long they are good for (default 1h)")
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := at.dial()
		if err != nil {
			return err
		}
		pass, err := client.Issue(args[0], *life)
		if err != nil {
			return err
		}
		return output(c.OutOrStdout(), *asJSON, pass, printPass)
	}
	return c
}

func printPass(w io.Writer, p token.Pass) {
	fmt.Fprintf(w, "username\t%s\npassword\t%s\nexpires\t%s\n", p.Username, p.Password, p.Expires.Local().Format(time.DateTime))
}
