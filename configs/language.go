package configs

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan"
)

// languageText describes every word of the language; a test holds it against what is read.
//
//go:embed language.txt
var languageText string

// Word is a block or a step of the language.
type Word struct {
	Name       string // "route", "trunk.probe" for a block in a block
	Label      string // of its labels, as written; empty: none
	Step       bool   // it stands in routes
	Means      string
	Attributes []AttributeWord
}

// key is the word's name among schemas.
func (w *Word) key() string {
	if w.Step {
		return "step " + w.Name
	}
	return w.Name
}

// AttributeWord is an attribute of a Word.
type AttributeWord struct {
	Name, Type, Default, Means string
	Required                   bool
}

// Language describes the language: all blocks, then all steps.
func Language() []Word {
	var words []Word
	for line := range strings.Lines(languageText) {
		line = strings.TrimSpace(line)
		if head, ok := strings.CutPrefix(line, "# "); ok {
			head, means, _ := strings.Cut(head, " | ")
			w := Word{Means: means}
			head, w.Step = strings.CutPrefix(head, "step ")
			w.Name, w.Label, _ = strings.Cut(head, " ")
			words = append(words, w)
			continue
		}
		if f := strings.SplitN(line, "|", 4); len(f) == 4 {
			a := AttributeWord{Name: strings.TrimSpace(f[0]), Default: strings.TrimSpace(f[2]), Means: strings.TrimSpace(f[3])}
			a.Type, a.Required = strings.CutSuffix(strings.TrimSpace(f[1]), "!")
			last := &words[len(words)-1]
			last.Attributes = append(last.Attributes, a)
		}
	}
	return words
}

// schemas is what is read, by the names of Language.
func schemas() map[string]*hcl.BodySchema {
	all := map[string]*hcl.BodySchema{
		"node": nodeSchema, "acme": acmeSchema, "turn": turnSchema, "listen": listenSchema, "limits": limitsSchema, "media": mediaSchema, "cdr": cdrSchema, "log": logSchema,
		"registrar": registrarSchema, "token": tokenSchema, "oauth": oauthSchema, "registrar.keepalive": keepaliveSchema, "extension": extensionSchema, "extensions": tableSchema,
		"extension.forward": dialplan.ForwardSchema, "trunk": trunkSchema, "trunk.register": registerSchema, "trunk.accept": acceptSchema,
		"trunk.probe": probeSchema, "trunk.health": healthSchema, "trunk.headers": headersSchema, "trunk.stir": trunkSTIRSchema, "stir": stirSchema,
		"cluster": clusterSchema, "cluster.node": memberSchema, "cluster.node.shard": shardSchema, "cluster.witness": witnessSchema, "cluster.address": movingSchema, "cluster.hook": hookSchema, "cluster.fence": fenceSchema, "cluster.store": storeSchema,
	}
	maps.Copy(all, dialplan.Schemas())
	return all
}

// Reference is the language as tables of Markdown: blocks, or steps.
func Reference(steps bool) string {
	var b strings.Builder
	for _, w := range Language() {
		if w.Step != steps {
			continue
		}
		fmt.Fprintf(&b, "### `%s`\n\n%s\n\n", strings.TrimSpace(w.Name+" "+w.Label), w.Means)
		if len(w.Attributes) == 0 {
			continue
		}
		b.WriteString("| Attribute | Type | Default | Meaning |\n| --- | --- | --- | --- |\n")
		for _, a := range w.Attributes {
			absent := a.Default
			if a.Required {
				absent = "required"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", a.Name, a.Type, absent, strings.ReplaceAll(a.Means, "|", "\\|"))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// jsonTypes is how values of the language stand in JSON. References and expressions are texts there.
var jsonTypes = map[string]any{
	"number": map[string]any{"type": "number"},
	"bool":   map[string]any{"type": "boolean"},
	"time":   map[string]any{"type": []string{"string", "number"}},
	"object": map[string]any{"type": "object"},
}

// JSONSchema describes the JSON variant of the language (*.hcl.json), for editors and programs.
func JSONSchema() map[string]any {
	words := Language()
	steps := map[string]any{}
	for _, w := range words {
		if w.Step && !strings.Contains(w.Name, ".") {
			steps[w.Name] = jsonBlock(w, words)
		}
	}
	top := map[string]any{}
	for _, w := range words {
		if !w.Step && !strings.Contains(w.Name, ".") {
			top[w.Name] = jsonBlock(w, words)
		}
	}
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Tandem configuration (*.hcl.json)",
		"type": "object", "properties": top, "additionalProperties": false,
		"$defs": map[string]any{"steps": map[string]any{"type": "object", "properties": steps}},
	}
}

// jsonBlock is a block as JSON: an object of its body by label, or the body, each once or in a list.
func jsonBlock(w Word, words []Word) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, a := range w.Attributes {
		properties[a.Name] = jsonAttribute(a)
		if a.Required && a.Name != "proxy" {
			required = append(required, a.Name)
		}
	}
	for _, inner := range words {
		if name, ok := strings.CutPrefix(inner.Name, w.Name+"."); ok {
			properties[name] = jsonBlock(inner, words)
		}
	}
	body := map[string]any{"type": "object", "description": w.Means, "properties": properties}
	if len(required) > 0 {
		body["required"] = required
	}
	if read := schemas()[w.key()]; len(read.Attributes) == 0 && len(read.Blocks) == 0 && w.Name != "echo" || w.Name == "route" || w.Name == "routes" {
		body["allOf"] = []any{map[string]any{"$ref": "#/$defs/steps"}}
	} else {
		body["additionalProperties"] = false
	}
	many := map[string]any{"anyOf": []any{body, map[string]any{"type": "array", "items": body}}}
	if w.Label == "" {
		return many
	}
	return map[string]any{"type": "object", "additionalProperties": many}
}

func jsonAttribute(a AttributeWord) map[string]any {
	out := map[string]any{}
	if t, ok := jsonTypes[a.Type].(map[string]any); ok {
		maps.Copy(out, t)
	} else if slices.Contains([]string{"texts", "patterns", "callers", "classes", "extensions", "trunks"}, a.Type) {
		out["type"], out["items"] = "array", map[string]any{"type": "string"}
	} else {
		out["type"] = "string"
	}
	out["description"] = a.Means
	if a.Default != "" {
		out["description"] = a.Means + " (default " + a.Default + ")"
	}
	return out
}
