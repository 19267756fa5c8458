// Command write makes console/pages/dist anew; `go generate ./console/pages` runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"tandem/console/pages/bundle"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	files, err := bundle.Build(root)
	for name, content := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(root, "dist", name), content, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
