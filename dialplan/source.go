package dialplan

import (
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"tandem/dialplan/block"
)

// Source is all that a Plan is compiled from.
type Source struct {
	Blocks     hcl.Blocks                                     // of the types in Schema, from all files
	Extensions []Declared                                     // from blocks and tables
	Files      map[string][]byte                              // what was read, by the file names of the ranges
	Context    *hcl.EvalContext                               // variables of the attributes; nil: none
	Resolve    func(path string) (string, error)              // the absolute path of a sound file that must be there
	Secret     func(hcl.Expression) (string, hcl.Diagnostics) // the key of a hook; nil: none can be read
	Read       func(path string) ([]byte, error)              // a table of routes, by its absolute path
}

// Declared is an extension with the places of what it says.
type Declared struct {
	Extension
	At, ClassAt, DIDAt hcl.Range
}

// Schema is the headers of the blocks that this package reads, those that it refuses included.
func Schema() []hcl.BlockHeaderSchema {
	s := block.Schema("", "class name", "numbering", "ring_group name", "schedule name", "trunk name", "trunk_group name", "rate_deck name", "emergency", "feature_codes", "block_list name", "route name", "routes name", "flow name", "test name")
	for name := range notYetBlocks {
		s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: name})
	}
	return s.Blocks
}

// Prepare makes a file that was just parsed fit for schemas. An "on" or "choice" block has any number of labels, which a schema
// cannot say, so it becomes one block a label, all with the same body; and blocks of this package's future lose their
// labels, so that one message is given and not two. JSON bodies are left alone: they have one label a block.
func Prepare(body hcl.Body) {
	native, ok := body.(*hclsyntax.Body)
	if !ok {
		return
	}
	blocks := make(hclsyntax.Blocks, 0, len(native.Blocks))
	for _, b := range native.Blocks {
		if notYetBlocks[b.Type] != "" || notYetSteps[b.Type] != "" {
			plain := *b
			plain.Labels, plain.LabelRanges = nil, nil
			blocks = append(blocks, &plain)
			continue
		}
		Prepare(b.Body)
		if b.Type != "on" && b.Type != "choice" || len(b.Labels) < 2 {
			blocks = append(blocks, b)
			continue
		}
		for i := range b.Labels {
			one := *b
			one.Labels, one.LabelRanges = b.Labels[i:i+1], b.LabelRanges[i:i+1]
			blocks = append(blocks, &one)
		}
	}
	native.Blocks = blocks
}

// compiler builds one Plan; it gathers every mistake on the way.
type compiler struct {
	Source
	plan  *Plan
	diags hcl.Diagnostics
	first map[string]hcl.Range // where a name was declared, by kind and name

	flowsByName map[string]*flow
	hooks       []string // their URLs
	deckLines   [][]int  // of the files of rate decks: where each line begins
	running     []string // flows that are being read, one within the other
	choosing    int      // menus whose choices are being read: digits may be asked
}

// Compile builds a Plan. Where a diagnostic is an error the Plan is nil.
func Compile(src Source) (*Plan, hcl.Diagnostics) {
	c := &compiler{Source: src, first: map[string]hcl.Range{}, flowsByName: map[string]*flow{}, plan: &Plan{
		zone: time.UTC, classes: map[string]*Class{}, extensions: make(map[string]*Extension, len(src.Extensions)), dids: map[string]*Extension{},
		groups: map[string]*Group{}, schedules: map[string]*Schedule{}, trunks: map[string]*Trunk{},
		trunkGroups: map[string]*TrunkGroup{},
	}}
	c.declare()
	c.numbering()
	c.extensions()
	c.each("class", c.class)
	c.each("schedule", c.schedule)
	c.each("ring_group", c.group)
	c.each("trunk_group", c.trunkGroup)
	c.each("rate_deck", c.rateDeck)
	c.rates()
	c.each("emergency", c.emergency)
	c.each("feature_codes", c.featureCodes)
	c.each("block_list", c.blockList)
	c.flows()
	c.each("route", c.route)
	c.each("routes", c.routes)
	c.each("test", c.test)
	c.order()
	if c.diags.HasErrors() {
		return nil, c.diags
	}
	c.plan.own()
	c.plan.version = c.plan.hash()
	return c.plan, c.diags
}

func (c *compiler) each(kind string, read func(*hcl.Block)) {
	for _, b := range c.Blocks {
		if b.Type == kind {
			read(b)
		}
	}
}

// declare enters all names before anything refers to them, so order in and among files does not matter.
func (c *compiler) declare() {
	for _, b := range c.Blocks {
		if why := notYetBlocks[b.Type]; why != "" {
			c.refuseWord(b.DefRange, b.Type, why)
			continue
		}
		if len(b.Labels) == 0 {
			continue
		}
		name := b.Labels[0]
		if !c.declared(b.Type, name, b.LabelRanges[0]) {
			continue
		}
		switch at := placeOf(b.DefRange); b.Type {
		case "class":
			c.plan.classes[name] = &Class{Name: name, place: at}
		case "ring_group":
			c.plan.groups[name] = &Group{Name: name, place: at}
		case "schedule":
			c.plan.schedules[name] = &Schedule{Name: name, Zone: time.UTC}
		case "flow":
			c.flowsByName[name] = &flow{block: b}
		case "trunk":
			c.plan.trunks[name] = &Trunk{Name: name, place: at}
		case "trunk_group":
			c.plan.trunkGroups[name] = &TrunkGroup{Name: name, place: at}
		}
	}
}

// declared notes a name, and reports it where it was there already.
func (c *compiler) declared(kind, name string, at hcl.Range) bool {
	key := kind + "\x00" + name
	if before, ok := c.first[key]; ok {
		c.fail(at, "declared twice", "The %s %q is there already, at %s.", kind, name, placeOf(before))
		return false
	}
	c.first[key] = at
	return true
}

func (c *compiler) fail(at hcl.Range, summary, format string, args ...any) {
	c.diags = append(c.diags, block.Errorf(at, summary, format, args...))
}

func (c *compiler) warn(at hcl.Range, summary, format string, args ...any) {
	c.diags = append(c.diags, block.Warnf(at, summary, format, args...))
}

func (c *compiler) open(body hcl.Body, schema *hcl.BodySchema) *block.Reader {
	return block.Open(body, schema, c.Context, &c.diags)
}

// source is the text of a range, with every run of blanks made one.
func (c *compiler) source(r hcl.Range) string {
	text := c.Files[r.Filename]
	if r.Start.Byte < 0 || r.End.Byte > len(text) || r.Start.Byte > r.End.Byte {
		return ""
	}
	return strings.Join(strings.Fields(string(text[r.Start.Byte:r.End.Byte])), " ")
}

// classNames is class.NAME as expressions see it: its name.
func (c *compiler) classNames() cty.Value {
	names := map[string]cty.Value{}
	for name := range c.plan.classes {
		names[name] = cty.StringVal(name)
	}
	return cty.ObjectVal(names)
}

// lookup finds what a reference names, and reports it where there is no such thing.
func lookup[T any](c *compiler, ref block.Ref, in map[string]*T) *T {
	v := in[ref.Name]
	if v == nil {
		c.fail(ref.NameAt, "unknown "+ref.Kind, "There is no %s %q.%s", strings.ReplaceAll(ref.Kind, "_", " "), ref.Name, meant(ref, keys(in)))
	}
	return v
}

func meant(ref block.Ref, names []string) string {
	near := block.Nearest(ref.Name, names)
	if near == "" {
		return ""
	}
	return " Did you mean " + block.Spell(ref.Kind, near) + "?"
}
