package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"tandem/dialplan"
	"tandem/dialplan/block"
)

// Load reads the configuration in a folder. Where a diagnostic is an error the Config is nil: it is loaded whole or
// not at all. Warnings may come with a Config.
func Load(dir string) (*Config, Diagnostics) {
	l := newLoader(dir)
	l.readFolder()
	return l.load()
}

// Check reads the configuration in a folder and says what is wrong with it.
func Check(dir string) Diagnostics {
	_, d := Load(dir)
	return d
}

// loader is one load. It gathers every mistake on the way.
type loader struct {
	dir    string
	names  []string               // of the files, in the order of reading
	files  map[string][]byte      // as read
	shown  map[string][]byte      // as shown in messages, without secrets; made when there is a message
	hidden map[string][]hcl.Range // by file: further secrets that stand there
	diags  hcl.Diagnostics
	blocks hcl.Blocks
	ctx    *hcl.EvalContext
	demo   bool // passwords may stand in the file

	config     *Config
	extensions []dialplan.Declared
	secrets    []ownSecret
	sockets    []bound
	tables     map[string]bool // that have been read
	shards     []readShard     // of the cluster
	acmeAt     []hcl.Range     // listeners whose certificate an authority is to sign
}

func newLoader(dir string) *loader {
	l := &loader{
		dir: dir, files: map[string][]byte{}, shown: map[string][]byte{}, hidden: map[string][]hcl.Range{},
		config: &Config{Dir: absolute(dir)},
		tables: map[string]bool{},
	}
	l.ctx = &hcl.EvalContext{
		Variables: map[string]cty.Value{},
		Functions: map[string]function.Function{"secret": l.secretFunction()},
	}
	return l
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// path is an absolute path; the configuration gives paths relative to its own folder.
func (l *loader) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(l.config.Dir, p)
}

func (l *loader) open(body hcl.Body, schema *hcl.BodySchema) *block.Reader {
	return block.Open(body, schema, l.ctx, &l.diags)
}

// failFile reports what is wrong with a file or folder as a whole.
func (l *loader) failFile(name, summary, format string, args ...any) {
	l.diags = append(l.diags, block.Errorf(hcl.Range{Filename: name}, summary, format, args...))
}

// readFolder reads every *.hcl and *.hcl.json, in the order of their names, which means nothing.
func (l *loader) readFolder() {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		l.failFile(l.dir, "no configuration", "%s.", reason(err))
		return
	}
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() && e.Type()&fs.ModeSymlink == 0 || strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".hcl") && !strings.HasSuffix(name, ".hcl.json") {
			continue
		}
		l.readFile(filepath.Join(l.dir, name), func() ([]byte, error) { return os.ReadFile(filepath.Join(l.dir, name)) })
	}
	if len(l.names) == 0 && len(l.diags) == 0 {
		l.failFile(l.dir, "no configuration", "The folder has no file that ends in .hcl or .hcl.json.")
	}
}

func (l *loader) readFile(name string, read func() ([]byte, error)) {
	text, err := read()
	if err != nil {
		l.failFile(name, "cannot be read", "%s.", reason(err))
		return
	}
	l.names = append(l.names, name)
	l.files[name] = text
}

// reason is an error of the file system without the path, which stands in front already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return capital(err.Error())
}

// topSchema is the blocks of a file. The dialplan reads its own.
var topSchema = &hcl.BodySchema{Blocks: append(dialplan.Schema(),
	block.Schema("", "node name", "listen name", "limits", "media", "registrar", "token", "oauth", "acme", "turn", "cdr", "log", "stir", "cluster", "extension number", "extensions").Blocks...)}

// load goes through the stages. A stage that depends on an earlier one's result is left out when that failed, so that
// one mistake gives one message.
func (l *loader) load() (*Config, Diagnostics) {
	if !l.parse() {
		return nil, l.diagnostics()
	}
	l.node()
	l.listens()
	l.single("acme", l.acme)
	l.media()
	l.single("limits", l.limits)
	l.single("registrar", l.registrar)
	l.single("token", l.token)
	l.single("oauth", l.oauth)
	l.single("turn", l.turn)
	l.single("cdr", l.cdr)
	l.single("log", l.log)
	l.readExtensions()
	l.single("stir", l.stir)
	l.single("cluster", l.cluster)
	l.shardListeners()
	l.trunks()
	var hashed sync.WaitGroup
	hashed.Go(l.credentials) // which has nothing to do with the plan, and of a hundred thousand takes as long
	l.plan()
	hashed.Wait()
	if l.diags.HasErrors() {
		return nil, l.diagnostics()
	}
	return l.config, l.diagnostics()
}

// parse reads the syntax of all files. Names of one file stand in another, so nothing further is looked at while a file
// cannot be read or parsed.
func (l *loader) parse() bool {
	ok := !l.diags.HasErrors()
	for _, name := range l.names {
		var file *hcl.File
		var d hcl.Diagnostics
		if strings.HasSuffix(name, ".json") {
			file, d = json.Parse(l.files[name], name)
		} else {
			file, d = hclsyntax.ParseConfig(l.files[name], name, hcl.InitialPos)
		}
		l.diags = append(l.diags, d...)
		if d.HasErrors() {
			ok = false
			continue
		}
		dialplan.Prepare(file.Body)
		content, d := file.Body.Content(topSchema)
		l.diags = append(l.diags, d...)
		l.blocks = append(l.blocks, content.Blocks...)
	}
	return ok
}

// single reads a block that may stand once; without one, read is called with nil for the defaults.
func (l *loader) single(kind string, read func(*hcl.Block)) {
	var first *hcl.Block
	for _, b := range l.blocks {
		if b.Type != kind {
			continue
		}
		if first != nil {
			l.twice(b, first)
			continue
		}
		first = b
	}
	read(first)
}

func (l *loader) twice(b, first *hcl.Block) {
	at := first.DefRange
	l.diags = append(l.diags, block.Errorf(b.DefRange, "declared twice", "The block %s is there already, at %s:%d.", b.Type, at.Filename, at.Start.Line))
}

// plan compiles the dialplan.
func (l *loader) plan() {
	var blocks hcl.Blocks
	ours := map[string]bool{}
	for _, s := range dialplan.Schema() {
		ours[s.Type] = true
	}
	routes := 0
	for _, b := range l.blocks {
		if ours[b.Type] {
			blocks = append(blocks, b)
		}
		if b.Type == "route" || b.Type == "routes" {
			routes++
		}
	}
	plan, d := dialplan.Compile(dialplan.Source{
		Blocks: blocks, Extensions: l.extensions, Files: l.files, Context: l.ctx, Resolve: l.sound, Read: readTable, Secret: l.hookKey,
	})
	l.diags = append(l.diags, d...)
	l.config.Plan = plan
	if plan != nil {
		l.trunkGroups(plan)
	}
	if routes == 0 {
		l.diags = append(l.diags, block.Warnf(hcl.Range{Filename: l.dir}, "no route", "Without a route nobody can call anybody."))
	}
}

// hookKey reads the key of a hook: the secret itself, since it signs.
func (l *loader) hookKey(e hcl.Expression) (string, hcl.Diagnostics) {
	s, ok := l.password(e)
	if ok && s.password == "" {
		return "", hcl.Diagnostics{block.Errorf(e.Range(), "a hash", "A hook is signed with its key, not with a hash: write secret(\"env:NAME\") or secret(\"file:PATH\").")}
	}
	return s.password, nil
}

// readTable reads a table of routes.
func readTable(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > largestTable {
		return nil, fmt.Errorf("a table has at most %d MiB", largestTable>>20)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", path, reason(err))
	}
	return text, nil
}

// sound finds a sound file.
func (l *loader) sound(name string) (string, error) {
	path := l.path(name)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %s", path, reason(err))
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is no plain file", path)
	}
	return path, nil
}
