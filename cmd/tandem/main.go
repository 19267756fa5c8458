// Command tandem is a telephone switch in one file: registrar, B2BUA, media relay and dialplan, with the tools to
// check, run and watch it.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tandem/cmd/tandem/phone"
)

// version is set by the build.
var version = "dev"

// errSilent ends the process with status 1 without another word: what is wrong has been printed already.
var errSilent = errors.New("")

func main() {
	root := &cobra.Command{
		Use:   "tandem",
		Short: "A telephone switch: phones register and call each other through one binary",
		Long: "Tandem is a telephone switch: SIP registrar, B2BUA, media relay and a dialplan in files.\n\n" +
			"Start with `tandem demo`, which needs no file, or `tandem serve --config DIR`.",
		SilenceUsage: true, SilenceErrors: true, Version: version,
	}
	root.SetVersionTemplate("tandem {{.Version}}\n")
	root.AddCommand(serveCommand(), demoCommand(), checkCommand(), routeCommand(), testCommand(), fmtCommand(), diffCommand(), replayCommand(), schemaCommand(), phone.Command(), versionCommand())
	root.AddCommand(clusterCommand(), failoverCommand())
	root.AddCommand(adminCommands()...)
	if err := root.Execute(); err != nil {
		if !errors.Is(err, errSilent) {
			fmt.Fprintln(os.Stderr, "tandem: "+err.Error())
		}
		os.Exit(1)
	}
}
