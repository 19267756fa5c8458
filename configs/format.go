package configs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format gives the text of a file in the one style: indented by two, equals signs in line. Nothing but blanks changes.
// A file that is no HCL gives diagnostics.
func Format(name string, text []byte) ([]byte, Diagnostics) {
	_, d := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	if d.HasErrors() {
		l := newLoader(filepath.Dir(name))
		l.files[name], l.diags = text, d
		return nil, l.diagnostics()
	}
	return hclwrite.Format(text), nil
}

// FormatFile formats a file in place, and tells whether it changed, or would have: with write false it is left alone.
// The new text replaces the old at once, so a switch that reads it meanwhile sees one or the other.
func FormatFile(name string, write bool) (changed bool, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return false, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	after, diags := Format(name, text)
	if diags != nil {
		return false, diags
	}
	if bytes.Equal(text, after) || !write {
		return !bytes.Equal(text, after), nil
	}
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target // the link stays
	}
	temp, err := os.CreateTemp(filepath.Dir(name), ".fmt-*")
	if err != nil {
		return false, err
	}
	defer os.Remove(temp.Name()) // gone already where all went well
	_, err = temp.Write(after)
	if err == nil {
		err = temp.Chmod(info.Mode().Perm())
	}
	if e := temp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return true, nil
}

// Files lists the files of a configuration that are HCL, those of JSON left out: a folder's, or the one that is named.
func Files(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".hcl") && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	return names, nil
}
