package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tandem/call"
	"tandem/configs"
	"tandem/console"
)

// adminCommands speak to a running switch.
func adminCommands() []*cobra.Command {
	commands := []*cobra.Command{
		ask("status", "Show the state of the switch", (*console.Client).Status, printStatus),
		ask("calls", "List the calls in progress", (*console.Client).Calls, printCalls),
		ask("registrations", "List who is registered, and from where", (*console.Client).Registrations, printRegistrations),
		reloadCommand(), drainCommand(), hangupCommand(), trunksCommand(), tokenCommand(),
	}
	return append(commands, featureCommands()...)
}

// ask makes a command, named with those above it, that asks the switch one thing and prints it as text or JSON.
func ask[T any](name, short string, question func(*console.Client) (T, error), show func(io.Writer, T)) *cobra.Command {
	_, use, nested := strings.Cut(name, " ")
	if !nested {
		use = name
	}
	c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	at, asJSON := socketFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		parts, err := at.parts(name == "cluster status")
		if err != nil {
			return err
		}
		return eachPart(c.OutOrStdout(), *asJSON, parts, question, show)
	}
	return c
}

// defaultSocket is where a switch listens whose configuration does not say: the service's, or else the demo's.
func defaultSocket() string {
	if service := configs.DefaultStateDir + "/admin.sock"; exists(service) {
		return service
	}
	return demoSocket()
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func output[T any](w io.Writer, asJSON bool, v T, show func(io.Writer, T)) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	show(tw, v)
	return tw.Flush()
}

func printStatus(w io.Writer, s console.Status) {
	state := "takes calls"
	if s.Draining {
		state = "draining: new calls are refused"
	}
	fmt.Fprintf(w, "node\t%s (%s)\nstate\t%s\nup\t%s\nplan\t%s\n", s.Node, s.Version, state, time.Since(s.Started).Round(time.Second), s.Plan)
	fmt.Fprintf(w, "calls\t%d\ndialogs\t%d\nregistrations\t%d\ntransactions\t%d\nmedia sessions\t%d\nmedia ports\t%d\ngoroutines\t%d\n",
		s.Calls, s.Dialogs, s.Registrations, s.Transactions, s.MediaSessions, s.PortsInUse, s.Goroutines)
	for _, l := range s.Listeners {
		fmt.Fprintf(w, "listens\t%s %s (%s)\n", l.Transport, l.Address, l.Name)
	}
}

func printCalls(w io.Writer, calls []call.Snapshot) {
	fmt.Fprintln(w, "CALL\tSTATE\tFOR\tFROM\tTO\tROUTE\tLEGS")
	for _, c := range calls {
		legs := ""
		for _, l := range c.Legs {
			legs += fmt.Sprintf("%s:%s@%s(%s) ", l.Leg, l.Party, l.Peer, l.State)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Call, c.State, time.Since(c.Started).Round(time.Second), c.From, c.Dialled, c.Route, legs)
	}
}

func printRegistrations(w io.Writer, all []console.Registration) {
	fmt.Fprintln(w, "EXTENSION\tTRANSPORT\tSOURCE\tNAT\tEXPIRES\tCONTACT\tUSER AGENT")
	for _, r := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%v\t%s\t%s\t%s\n", r.Extension, r.Transport, r.Source, r.NAT, time.Until(r.Expires).Round(time.Second), r.Contact, r.UserAgent)
	}
}

func printChange(w io.Writer, c console.Change) {
	fmt.Fprintf(w, "plan %s is in force\n", c.Plan)
	if len(c.Changes) == 0 {
		fmt.Fprintln(w, "nothing changed")
	}
	for _, line := range c.Changes {
		fmt.Fprintln(w, line)
	}
}

func reloadCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "reload", Short: "Read the configuration anew; on any error, or when one of its tests fails, nothing changes", Args: cobra.NoArgs,
	}
	at, asJSON := socketFlags(c)
	force := c.Flags().Bool("force", false, "put it in force even if its tests fail")
	c.RunE = func(c *cobra.Command, _ []string) error {
		parts, err := at.parts(false)
		if err != nil {
			return err
		}
		return eachPart(c.OutOrStdout(), *asJSON, parts, func(client *console.Client) (console.Change, error) { return client.Reload(*force) }, printChange)
	}
	return c
}

func drainCommand() *cobra.Command {
	c := &cobra.Command{Use: "drain", Short: "Refuse new calls with 503 and let those in progress end", Args: cobra.NoArgs}
	at, asJSON := socketFlags(c)
	off := c.Flags().Bool("off", false, "take new calls again")
	c.RunE = func(c *cobra.Command, _ []string) error {
		parts, err := at.parts(false)
		if err != nil {
			return err
		}
		return eachPart(c.OutOrStdout(), *asJSON, parts, func(client *console.Client) (console.Status, error) { return client.Drain(!*off) }, printStatus)
	}
	return c
}

func hangupCommand() *cobra.Command {
	c := &cobra.Command{Use: "hangup CALL", Short: "End a call by its id (see `tandem calls`)", Args: cobra.ExactArgs(1)}
	at, asJSON := socketFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		parts, err := at.parts(false)
		if err != nil {
			return err
		}
		var failed error
		for _, p := range parts { // a call is in one of them
			if failed = p.client.HangUp(args[0]); failed == nil {
				break
			}
		}
		if failed != nil {
			return failed
		}
		return output(c.OutOrStdout(), *asJSON, map[string]string{"call": args[0]}, func(w io.Writer, _ map[string]string) {
			fmt.Fprintln(w, "call "+args[0]+" is being ended")
		})
	}
	return c
}

func versionCommand() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs}
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		v := map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
		return output(c.OutOrStdout(), *asJSON, v, func(w io.Writer, v map[string]string) {
			fmt.Fprintf(w, "tandem %s (%s, %s)\n", v["version"], v["go"], v["platform"])
		})
	}
	return c
}
