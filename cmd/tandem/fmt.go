package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tandem/configs"
)

// formatted is what fmt did, or would do.
type formatted struct {
	Changed []string `json:"changed"`
}

func fmtCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "fmt [DIR|FILE…]", Short: "Write configuration files in the one style", Args: cobra.ArbitraryArgs,
		Long: "Bring *.hcl files into the one style: nothing but blanks changes. The names of the files that changed are printed.",
	}
	f := c.Flags()
	dir := f.String("config", "/etc/tandem", "folder with *.hcl files, where none is named")
	check := f.Bool("check", false, "write nothing; fail where a file would change")
	asJSON := f.Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = []string{*dir}
		}
		done := formatted{Changed: []string{}}
		for _, path := range args {
			files, err := configs.Files(path)
			if err != nil {
				return err
			}
			for _, file := range files {
				changed, err := configs.FormatFile(file, !*check)
				if err != nil {
					return err
				}
				if changed {
					done.Changed = append(done.Changed, file)
				}
			}
		}
		if err := output(c.OutOrStdout(), *asJSON, done, printFormatted); err != nil {
			return err
		}
		if *check && len(done.Changed) > 0 {
			return fmt.Errorf("%d files are not in the one style: run tandem fmt", len(done.Changed))
		}
		return nil
	}
	return c
}

func printFormatted(w io.Writer, f formatted) {
	for _, name := range f.Changed {
		fmt.Fprintln(w, name)
	}
}
