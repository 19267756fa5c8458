package dialplan

import "github.com/hashicorp/hcl/v2"

// What the language promises and this version does not carry out. The names are known, so that a person reads what is
// the matter and not "did you mean something else"; to ignore them would be to lose calls in silence.

var notYetBlocks = map[string]string{
	"flow":       "Write its steps in the route.",
	"menu":       "Route the call to a person, or play a notice.",
	"voicemail":  "Route the call to a person, or play a notice.",
	"hook":       "Nothing outside can be asked about a call.",
	"queue":      "A ring_group rings several people.",
	"conference": "Calls join two sides.",
}

var notYetSteps = map[string]string{
	"menu":       "Route the call to a person, or play a notice.",
	"voicemail":  "Play a notice, or ring somebody else.",
	"flow":       "Write its steps here.",
	"hook":       "Nothing outside can be asked about a call.",
	"queue":      "A ring_group rings several people.",
	"conference": "Calls join two sides.",
	"record":     "Calls are not recorded.",
	"proxy":      "Calls pass through as two legs.",
}

func (c *compiler) notYet(at hcl.Range, name, instead string) {
	c.fail(at, "not available in this version", "%q is a word of the language that this version does not carry out. %s", name, instead)
}
