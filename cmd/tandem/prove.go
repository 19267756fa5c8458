package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tandem/configs"
	"tandem/dialplan"
)

// loaded reads a configuration for a command that needs a whole one; what is wrong with it is printed.
func loaded(c *cobra.Command, dir string) (*configs.Config, error) {
	cfg, diags := configs.Load(dir)
	if cfg == nil {
		fmt.Fprint(c.ErrOrStderr(), diags.String())
		return nil, errSilent
	}
	return cfg, nil
}

func testCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "test [DIR]", Short: "Run the tests of a configuration, and say which routes no test reaches", Args: cobra.MaximumNArgs(1),
		Long: "Run every test block of a configuration: its call is routed and played through with what the targets would answer,\n" +
			"without a phone. Routes that no test ends in are listed; --all makes them a failure too.",
		Example: "  tandem test configs/examples/office",
	}
	f := c.Flags()
	dir := f.String("config", "/etc/tandem", "folder with *.hcl files")
	asJSON := f.Bool("json", false, "print JSON")
	all := f.Bool("all", false, "fail where a route is reached by no test")
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			*dir = args[0]
		}
		cfg, err := loaded(c, *dir)
		if err != nil {
			return err
		}
		proof := cfg.Plan.Test()
		if err := output(c.OutOrStdout(), *asJSON, proof, func(w io.Writer, p dialplan.Proof) { fmt.Fprint(w, p.String()) }); err != nil {
			return err
		}
		if proof.Failed > 0 || *all && len(proof.Unreached) > 0 {
			return errSilent
		}
		return nil
	}
	return c
}
