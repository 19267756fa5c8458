package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
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
		Use: "route {--from EXTENSION|--trunk NAME} --to NUMBER", Short: "Say where a call would go: every rule tried, and why it won or lost",
		Args: cobra.NoArgs, Example: "  tandem route --config configs/examples/office --from 101 --to 0441234567 --at 2026-12-24T18:00:00Z",
	}
	f := c.Flags()
	dir := f.String("config", "/etc/tandem", "folder with *.hcl files")
	from := f.String("from", "", "extension that calls")
	to := f.String("to", "", "number as it is dialled")
	at := f.String("at", "", "when, as 2026-11-23T10:00:00Z; default now")
	trunk := f.String("trunk", "", "trunk that the call comes over, instead of an extension")
	caller := f.String("caller", "", "calling number that the trunk gives")
	down := f.StringSlice("down", nil, "targets that cannot be reached, such as trunk.a or 1002; the rest answers")
	asJSON := f.Bool("json", false, "print JSON")
	c.MarkFlagsOneRequired("from", "trunk")
	c.MarkFlagsMutuallyExclusive("from", "trunk")
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
		facts := dialplan.Facts{From: *from, Trunk: strings.TrimPrefix(*trunk, "trunk."), Caller: *caller, To: *to, Now: now}
		x := dryRun{Explanation: cfg.Plan.Explain(facts)}
		if len(*down) > 0 {
			x.played(cfg.Plan, facts, *down)
		}
		return output(c.OutOrStdout(), *asJSON, x, func(w io.Writer, x dryRun) { fmt.Fprint(w, x.String()) })
	}
	return c
}

// dryRun is what route prints: the decision, and what becomes of the call while some targets are down.
type dryRun struct {
	dialplan.Explanation
	Tried    []string `json:"tried,omitempty"`
	Answered string   `json:"answered,omitempty"`
	Status   int      `json:"status,omitempty"`
}

// played plays the call through with targets that cannot be reached.
func (x *dryRun) played(plan *dialplan.Plan, facts dialplan.Facts, down []string) {
	o := dialplan.Outcomes{}
	for _, label := range down {
		status := 480
		if strings.HasPrefix(label, "trunk.") {
			status = 503
		}
		o[label] = dialplan.Outcome{Status: status, Unreachable: true}
	}
	t := plan.Try(facts, o)
	x.Tried, x.Answered, x.Status = t.Tried, t.Answered, t.Status
}

// String is the explanation, and how the call ends.
func (x dryRun) String() string {
	if x.Status == 0 {
		return x.Explanation.String()
	}
	return fmt.Sprintf("%stried     %s\nends      %d, answered by %s\n", x.Explanation.String(), strings.Join(x.Tried, ", "), x.Status, cmp.Or(x.Answered, "nobody"))
}
