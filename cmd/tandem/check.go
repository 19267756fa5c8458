package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"tandem/configs"
	"tandem/dialplan"
)

func checkCommand() *cobra.Command {
	c := &cobra.Command{Use: "check --config DIR", Short: "Check a configuration: every mistake at once, with its place", Args: cobra.NoArgs}
	dir := c.Flags().String("config", "/etc/tandem", "folder with *.hcl files")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, diags := configs.Load(*dir)
		if diags == nil {
			diags = configs.Diagnostics{}
		}
		if *asJSON {
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			if err := e.Encode(diags); err != nil {
				return err
			}
		} else {
			fmt.Fprint(c.OutOrStdout(), diags.String())
		}
		if cfg == nil {
			return errSilent
		}
		if !*asJSON {
			fmt.Fprintf(c.OutOrStdout(), "%s is right: %d listeners, %d extensions, %d routes, plan %s\n", *dir,
				len(cfg.Transport.Listen), len(cfg.Plan.Extensions()), cfg.Plan.Routes(), cfg.Plan.Version())
		}
		return nil
	}
	return c
}

func routeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "route --from EXTENSION --to NUMBER", Short: "Say where a call would go: every rule tried, and why it won or lost",
		Args: cobra.NoArgs, Example: "  tandem route --config configs/examples/office --from 101 --to 0441234567 --at 2026-12-24T18:00:00Z",
	}
	f := c.Flags()
	dir := f.String("config", "/etc/tandem", "folder with *.hcl files")
	from := f.String("from", "", "extension that calls")
	to := f.String("to", "", "number as it is dialled")
	at := f.String("at", "", "when, as 2026-11-23T10:00:00Z; default now")
	asJSON := f.Bool("json", false, "print JSON")
	_ = c.MarkFlagRequired("from")
	_ = c.MarkFlagRequired("to")
	c.RunE = func(c *cobra.Command, _ []string) error {
		now := time.Now()
		if *at != "" {
			var err error
			if now, err = time.Parse(time.RFC3339, *at); err != nil {
				return fmt.Errorf("--at %s is no time: write it as 2026-11-23T10:00:00Z", *at)
			}
		}
		cfg, diags := configs.Load(*dir)
		if cfg == nil {
			fmt.Fprint(c.ErrOrStderr(), diags.String())
			return errSilent
		}
		x := cfg.Plan.Explain(dialplan.Facts{From: *from, To: *to, Now: now})
		return output(c.OutOrStdout(), *asJSON, x, func(w io.Writer, x dialplan.Explanation) { fmt.Fprint(w, x.String()) })
	}
	return c
}
