package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tandem/console"
	"tandem/dialplan"
)

// featureCommands set what people can also set at their phones.
func featureCommands() []*cobra.Command {
	return []*cobra.Command{forwardCommand(), dndCommand(), nightCommand()}
}

func forwardCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "forward EXTENSION", Args: cobra.ExactArgs(1), Short: "Show where calls for an extension go, or send them elsewhere; an empty number ends a forward",
	}
	at, asJSON := socketFlags(c)
	numbers := map[string]*string{
		dialplan.ForwardAlways:      c.Flags().String("always", "", "number for every call"),
		dialplan.ForwardBusy:        c.Flags().String("busy", "", "number for when it is busy"),
		dialplan.ForwardNoAnswer:    c.Flags().String("no-answer", "", "number for when nobody answers"),
		dialplan.ForwardUnreachable: c.Flags().String("unreachable", "", "number for when no phone is registered"),
	}
	flags := []struct{ name, feature string }{
		{"always", dialplan.ForwardAlways}, {"busy", dialplan.ForwardBusy},
		{"no-answer", dialplan.ForwardNoAnswer}, {"unreachable", dialplan.ForwardUnreachable},
	}
	off := c.Flags().Bool("off", false, "end every forward")
	c.RunE = func(c *cobra.Command, args []string) error {
		var sets []dialplan.Set
		if *off {
			sets = append(sets, dialplan.Set{Feature: dialplan.ForwardOff})
		}
		for _, f := range flags {
			if c.Flags().Changed(f.name) {
				sets = append(sets, dialplan.Set{Feature: f.feature, Number: *numbers[f.feature]})
			}
		}
		return setFeatures(c, at, *asJSON, args[0], sets)
	}
	return c
}

// setFeatures sets one thing after the other, and shows what came of it.
func setFeatures(c *cobra.Command, at *place, asJSON bool, extension string, sets []dialplan.Set) error {
	client, err := at.dial()
	if err != nil {
		return err
	}
	for _, set := range sets {
		if _, err := client.Set(extension, set); err != nil {
			return err
		}
	}
	f, err := client.Features(extension)
	if err != nil {
		return err
	}
	return output(c.OutOrStdout(), asJSON, f, printFeatures)
}

func printFeatures(w io.Writer, f console.Features) {
	fmt.Fprintf(w, "extension\t%s\ndo not disturb\t%s\n", f.Extension, onOff(f.DoNotDisturb))
	for _, line := range []struct{ when, to string }{
		{"always", f.Forward.Always}, {"busy", f.Forward.Busy}, {"no answer", f.Forward.NoAnswer}, {"unreachable", f.Forward.Unreachable},
	} {
		if line.to != "" {
			fmt.Fprintf(w, "forward %s\t%s\n", line.when, line.to)
		}
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func dndCommand() *cobra.Command {
	c := &cobra.Command{Use: "dnd EXTENSION on|off", Args: cobra.ExactArgs(2), Short: "Let an extension take no calls, or take them again"}
	at, asJSON := socketFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		feature := map[string]string{"on": dialplan.DoNotDisturbOn, "off": dialplan.DoNotDisturbOff}[args[1]]
		if feature == "" {
			return errors.New("say on or off: tandem dnd " + args[0] + " on")
		}
		return setFeatures(c, at, *asJSON, args[0], []dialplan.Set{{Feature: feature}})
	}
	return c
}

func nightCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "night SCHEDULE [on|off|auto]", Args: cobra.RangeArgs(1, 2),
		Short: "Show the night switch of a schedule, or close it (on), open it (off), or leave it to its hours (auto)",
	}
	at, asJSON := socketFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		state := ""
		if len(args) == 2 {
			state = map[string]string{"on": dialplan.ClosedByHand, "off": dialplan.OpenByHand, "auto": dialplan.ByHours}[args[1]]
			if state == "" {
				return errors.New("say on, off or auto: tandem night " + args[0] + " on")
			}
		}
		client, err := at.dial()
		if err != nil {
			return err
		}
		n, err := client.NightSwitch(args[0], state)
		if err != nil {
			return err
		}
		return output(c.OutOrStdout(), *asJSON, n, printNight)
	}
	return c
}

func printNight(w io.Writer, n console.NightSwitch) {
	now, why := "closed", "by hand"
	if n.Open {
		now = "open"
	}
	if n.State == dialplan.ByHours {
		why = "by its hours"
	}
	fmt.Fprintf(w, "schedule\t%s\nis\t%s, %s\n", n.Schedule, now, why)
}
