package dialplan

import "github.com/hashicorp/hcl/v2"

// What the language promises and this version does not carry out. The names are known, so that a person reads what is
// the matter and not "did you mean something else"; to ignore them would be to lose calls in silence.

// notYetBlocks and notYetSteps are words whose blocks are not read at all.
var notYetBlocks = map[string]string{
	"queue":      "A ring_group rings several people.",
	"conference": "Calls join two sides.",
}

var notYetSteps = map[string]string{
	"queue":      "A ring_group rings several people.",
	"conference": "Calls join two sides.",
	"record":     "Calls are not recorded.",
	"proxy":      "Calls pass through as two legs.",
}

func (c *compiler) refuseWord(at hcl.Range, name, instead string) {
	c.fail(at, "not available in this version", "%q is a word of the language that this version does not carry out. %s", name, instead)
}

// IsLater tells whether a word is a block or step of the language that this version reads no further than its name.
func IsLater(word string) bool { return notYetBlocks[word] != "" || notYetSteps[word] != "" }
