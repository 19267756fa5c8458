package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"tandem/configs"
)

func schemaCommand() *cobra.Command {
	c := &cobra.Command{Use: "schema", Short: "Print a JSON schema of the configuration's JSON variant, for editors", Args: cobra.NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(configs.JSONSchema())
	}
	return c
}
