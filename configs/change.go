package configs

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"tandem/sip/transport"
)

// Change is one thing that differs between two configurations.
type Change struct {
	Kind string `json:"kind"` // "listen", "extension", "route", "node", …
	Name string `json:"name,omitempty"`
	What string `json:"what"`           // "added", "removed" or "changed"
	From string `json:"from,omitempty"` // what it was, where that says something
	To   string `json:"to,omitempty"`   // what it is
}

// String is the change as a line for people.
func (c Change) String() string {
	s := c.Kind
	if c.Name != "" {
		s += " " + c.Name
	}
	s += " " + c.What
	if c.From != "" || c.To != "" {
		s += ": " + strings.TrimSpace(c.From+" -> "+c.To)
	}
	return s
}

// Diff says what putting the second configuration in force would change, a line each. No line: nothing.
func Diff(before, after *Config) []string {
	var lines []string
	for _, c := range Changes(before, after) {
		lines = append(lines, c.String())
	}
	return lines
}

// Changes says what putting the second configuration in force would change: first the switch, then listeners, then the
// parts of the dialplan. Passwords are compared and not shown.
func Changes(before, after *Config) []Change {
	var out []Change
	out = append(out, fields("node", before.Node, after.Node)...)
	out = append(out, fields("media", before.Media, after.Media)...)
	out = append(out, fields("registrar", before.Registrar, after.Registrar)...)
	out = append(out, fields("limits", before.Transport.Limits, after.Transport.Limits)...)
	out = append(out, fields("log", before.Log, after.Log)...)
	if !reflect.DeepEqual(before.Cluster, after.Cluster) {
		out = append(out, Change{Kind: "cluster", What: "changed"})
	}
	if before.CDR != after.CDR {
		out = append(out, Change{"cdr", "", "changed", before.CDR, after.CDR})
	}
	out = append(out, named("listen", listeners(before), listeners(after))...)
	out = append(out, carriers(before.Trunks, after.Trunks)...) // what a trunk_group says is part of the plan
	was, is := parts(before), parts(after)
	for _, kind := range slices.Sorted(maps.Keys(merged(was, is))) {
		out = append(out, named(kind, was[kind], is[kind])...)
	}
	out = append(out, tokens(before.Token, after.Token)...)
	if !reflect.DeepEqual(before.OAuth, after.OAuth) {
		out = append(out, Change{Kind: "oauth", What: "changed"})
	}
	if before.STIR.sum != after.STIR.sum {
		out = append(out, Change{Kind: "stir", What: "changed"})
	}
	return append(out, passwords(before, after)...)
}

// tokens compares how short-lived passwords are made. Secrets are not shown.
func tokens(before, after Token) []Change {
	var out []Change
	if before.Longest != after.Longest {
		out = append(out, Change{"token", "longest", "changed", before.Longest.String(), after.Longest.String()})
	}
	if !reflect.DeepEqual(before.Keys, after.Keys) {
		out = append(out, Change{Kind: "token", Name: "secret", What: "changed"})
	}
	if before.APIKey != after.APIKey {
		out = append(out, Change{Kind: "token", Name: "api_key", What: "changed"})
	}
	return out
}

// fields compares two structs of one room, field by field.
func fields(kind string, before, after any) []Change {
	var out []Change
	a, b := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); !reflect.DeepEqual(x, y) {
			out = append(out, Change{kind, snake(a.Type().Field(i).Name), "changed", fmt.Sprint(x), fmt.Sprint(y)})
		}
	}
	return out
}

// snake is PublicAddress as public_address.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if r >= 'A' && r <= 'Z' && i > 0 && name[i-1] >= 'a' && name[i-1] <= 'z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// named compares two sets of named texts.
func named(kind string, before, after map[string]string) []Change {
	var out []Change
	for _, name := range slices.Sorted(maps.Keys(merged(before, after))) {
		was, had := before[name]
		is, has := after[name]
		switch {
		case !had:
			out = append(out, Change{Kind: kind, Name: name, What: "added", To: is})
		case !has:
			out = append(out, Change{Kind: kind, Name: name, What: "removed", From: was})
		case was != is:
			out = append(out, Change{kind, name, "changed", was, is})
		}
	}
	return out
}

func merged[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return all
}

func listeners(c *Config) map[string]string {
	out := map[string]string{}
	for _, l := range c.Transport.Listen {
		out[l.Name] = describeListen(l)
	}
	return out
}

func describeListen(l transport.Listen) string {
	s := l.Proto.String() + " " + l.Address
	if l.Issued {
		s += " acme"
	}
	if l.Pages {
		s += " pages"
	}
	for _, x := range []struct{ word, text string }{
		{"advertise", l.Advertise}, {"certificate", l.Certificate}, {"key", l.Key}, {"client_ca", l.ClientCA},
		{"origins", strings.Join(l.Origins, " ")},
	} {
		if x.text != "" {
			s += " " + x.word + " " + x.text
		}
	}
	return s
}

func parts(c *Config) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, p := range c.Plan.Parts() {
		if out[p.Kind] == nil {
			out[p.Kind] = map[string]string{}
		}
		out[p.Kind][p.Name] = p.Text
	}
	return out
}

func passwords(before, after *Config) []Change {
	var out []Change
	for _, number := range slices.Sorted(maps.Keys(after.Credentials)) {
		if was, ok := before.Credentials[number]; ok && was != after.Credentials[number] {
			out = append(out, Change{Kind: "password", Name: number, What: "changed"})
		}
	}
	return out
}
