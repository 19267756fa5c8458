package dialplan

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// Schemas is what is read of each block and step, by its name: for descriptions of the language, which must be whole.
// Blocks inside are left out where they are steps.
func Schemas() map[string]*hcl.BodySchema {
	all := map[string]*hcl.BodySchema{
		"class": classSchema, "numbering": numberingSchema, "schedule": scheduleSchema, "ring_group": groupSchema,
		"emergency": emergencySchema, "block_list": blockSchema, "route": routeSchema, "routes": tableSchema, "test": testSchema,
		"dial": dialSchema, "ring": ringSchema, "play": playSchema, "echo": echoSchema, "tone": toneSchema, "reject": rejectSchema,
		"redirect": redirectSchema, "failover": failoverSchema, "on": {},
	}
	return all
}

// Steps is the names of the steps, sorted, those of later versions included.
func Steps() []string {
	var names []string
	for _, b := range stepsSchema.Blocks {
		names = append(names, b.Type)
	}
	slices.Sort(names)
	return names
}

// Failures is the classes of failures that an on block may name.
func Failures() []string { return slices.Clone(failures) }

// CallFacts is the facts of a call that an expression may ask, sorted: call.to, call.extension.did.
func CallFacts() []string {
	var out []string
	for _, name := range keys(callFacts) {
		if t := callFacts[name]; t.IsObjectType() {
			for _, part := range keys(t.AttributeTypes()) {
				out = append(out, "call."+name+"."+part)
			}
			continue
		}
		out = append(out, "call."+name)
	}
	return out
}
