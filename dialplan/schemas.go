package dialplan

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// Schemas is what is read of each block, by its name, and of each step, as "step dial": for descriptions of the language, which must be whole.
// Blocks inside are left out where they are steps.
func Schemas() map[string]*hcl.BodySchema {
	all := map[string]*hcl.BodySchema{
		"class": classSchema, "numbering": numberingSchema, "schedule": scheduleSchema, "ring_group": groupSchema,
		"emergency": emergencySchema, "feature_codes": codesSchema, "block_list": blockSchema, "route": routeSchema, "routes": tableSchema, "test": testSchema,
		"trunk_group": trunkGroupSchema, "trunk_group.member": memberSchema, "rate_deck": deckSchema,
		"flow": {}, "step flow": flowStepSchema, "step dial": dialSchema, "step ring": ringSchema, "step play": playSchema,
		"step echo": echoSchema, "step tone": toneSchema, "step reject": rejectSchema, "step redirect": redirectSchema,
		"step failover": failoverSchema, "step on": {}, "step menu": menuSchema, "step menu.choice": {}, "step menu.otherwise": {},
		"step voicemail": voicemailSchema, "step hook": hookSchema, "step hook.otherwise": {},
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
