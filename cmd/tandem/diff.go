package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"tandem/configs"
	"tandem/console"
	"tandem/dialplan"
)

func diffCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "diff --config NEW --running OLD", Short: "Say what a reload would change: in the configuration, and in how calls go",
		Args: cobra.NoArgs,
		Long: "Compare two configurations by what they do. Calls are routed by both for one number of every region of the number\n" +
			"space, one caller of every kind, and one moment of every combination of open and closed schedules.\n" +
			"--running names the old folder, or the admin socket of a switch. Without it, the switch that runs here is asked what\n" +
			"the folder of --config would change, or without that a reload of its own folder.",
		Example: "  tandem diff --config new/ --running /etc/tandem\n  tandem diff",
	}
	f := c.Flags()
	dir := f.String("config", "", "folder with the new *.hcl files")
	running := f.String("running", "", "folder with the old ones, or socket of the switch that runs")
	socket := f.String("socket", os.Getenv("TANDEM_SOCKET"), "admin socket of the switch to ask (or set TANDEM_SOCKET)")
	asJSON := f.Bool("json", false, "print JSON")
	quiet := f.Bool("exit-code", false, "end with status 1 where calls would go differently")
	c.RunE = func(c *cobra.Command, _ []string) error {
		d, err := difference(c, *dir, *running, *socket)
		if err != nil {
			return err
		}
		if err := output(c.OutOrStdout(), *asJSON, d, printDifference); err != nil {
			return err
		}
		if *quiet && len(d.Behaviour.Shifts) > 0 {
			return errSilent
		}
		return nil
	}
	return c
}

// difference compares with another folder, or with what a switch runs.
func difference(c *cobra.Command, dir, running, socket string) (d console.Difference, err error) {
	if info, err := os.Stat(running); running == "" || err == nil && info.Mode()&os.ModeSocket != 0 {
		if running != "" {
			socket = running
		}
		at := place{socket: socket, config: dir}
		client, err := at.dial()
		if err != nil {
			return d, err
		}
		if dir != "" {
			if dir, err = filepath.Abs(dir); err != nil {
				return d, err
			}
		}
		return client.Diff(dir)
	}
	if dir == "" {
		return d, errors.New("name the new configuration with --config")
	}
	before, err := loaded(c, running)
	if err != nil {
		return d, err
	}
	after, err := loaded(c, dir)
	if err != nil {
		return d, err
	}
	return console.Difference{
		Plan: after.Plan.Version(), Changes: configs.Diff(before, after),
		Behaviour: dialplan.Compare(before.Plan, after.Plan, time.Now()),
	}, nil
}

func printDifference(w io.Writer, d console.Difference) {
	for _, line := range d.Changes {
		fmt.Fprintln(w, line)
	}
	fmt.Fprint(w, d.Behaviour.String())
}

// replayed is what replay found.
type replayed struct {
	Calls   int                 `json:"calls"`
	Skipped int                 `json:"skipped"` // lines that are no call records
	Changed []dialplan.Replayed `json:"changed"`
}

// longestRecord bounds a line of a file of call records.
const longestRecord = 4 << 20

func replayCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "replay --cdr FILE", Short: "Route old calls anew, and say only which would go differently", Args: cobra.NoArgs,
		Long: "Read call records (one JSON object a line) and route each call by the configuration, at its own time and with what\n" +
			"its targets answered. Printed is what would be different.",
	}
	f := c.Flags()
	dir := f.String("config", "/etc/tandem", "folder with *.hcl files")
	cdr := f.String("cdr", "", "file of call records, or - for standard input; default that of the configuration")
	asJSON := f.Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loaded(c, *dir)
		if err != nil {
			return err
		}
		path := *cdr
		if path == "" {
			path = cfg.CDR
		}
		in := c.InOrStdin()
		if path != "-" {
			file, err := os.Open(path)
			if err != nil {
				return err
			}
			defer file.Close()
			in = file
		}
		r, err := replay(cfg.Plan, in)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return output(c.OutOrStdout(), *asJSON, r, printReplayed)
	}
	return c
}

// replay routes every record of a file.
func replay(plan *dialplan.Plan, in io.Reader) (replayed, error) {
	out := replayed{Changed: []dialplan.Replayed{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longestRecord)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var past dialplan.Past
		if json.Unmarshal(lines.Bytes(), &past) != nil || past.Started.IsZero() || past.Dialled == "" {
			out.Skipped++
			continue
		}
		out.Calls++
		if r := plan.Replay(past); len(r.Changes) > 0 {
			out.Changed = append(out.Changed, r)
		}
	}
	return out, lines.Err()
}

func printReplayed(w io.Writer, r replayed) {
	for _, x := range r.Changed {
		fmt.Fprint(w, x.String())
	}
	fmt.Fprintf(w, "%d of %d calls would go differently\n", len(r.Changed), r.Calls)
	if r.Skipped > 0 {
		fmt.Fprintf(w, "%d lines are no call records\n", r.Skipped)
	}
}
