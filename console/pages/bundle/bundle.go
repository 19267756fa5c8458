// Package bundle makes the files that the switch serves to browsers out of web and modules, as esbuild does it: each entry
// one file with all that it imports. Its command writes them into dist; they are committed, so that a clone needs no tool
// but Go, and a test holds them against their sources.
package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// Build makes the files of dist, by name, from the folder that holds web and modules.
func Build(root string) (map[string][]byte, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	web := filepath.Join(root, "web")
	r := api.Build(api.BuildOptions{
		EntryPointsAdvanced: []api.EntryPoint{
			{InputPath: filepath.Join(web, "page.ts"), OutputPath: "phone"},
			{InputPath: filepath.Join(web, "tandem.ts"), OutputPath: "tandem"},
			{InputPath: filepath.Join(web, "phone.css"), OutputPath: "phone"},
		},
		AbsWorkingDir: root, Outdir: filepath.Join(root, "dist"), NodePaths: []string{filepath.Join(root, "modules")},
		Bundle: true, Format: api.FormatIIFE, Platform: api.PlatformBrowser, Target: api.ES2022, Charset: api.CharsetUTF8,
		MinifyWhitespace: true, MinifySyntax: true, MinifyIdentifiers: true, LegalComments: api.LegalCommentsNone,
		Banner: map[string]string{"js": "/* Holds JsSIP, sdp-transform, debug, ms and events, under the MIT licence: see /phone/licences.txt */"},
	})
	var errs []error
	for _, m := range r.Errors {
		errs = append(errs, fmt.Errorf("%s:%d: %s", m.Location.File, m.Location.Line, m.Text))
	}
	out := map[string][]byte{}
	for _, f := range r.OutputFiles {
		out[filepath.Base(f.Path)] = f.Contents
	}
	if out["licences.txt"], err = licences(filepath.Join(root, "modules")); err != nil {
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// licences puts the texts of all modules one behind the other.
func licences(modules string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(modules, "*", "[Ll][Ii][Cc][Ee][Nn][SsCc][Ee]*"))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s\n\n%s\n\n", filepath.Base(filepath.Dir(f)), bytes.TrimSpace(text))
	}
	return b.Bytes(), nil
}
