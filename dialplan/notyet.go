package dialplan

import "github.com/hashicorp/hcl/v2"

// What the language promises and this version does not carry out. The names are known, so that a person reads what is
// the matter and not "did you mean something else"; to ignore them would be to lose calls in silence. To take a word
// out of notYet is all that is needed once calls can do it.

// notYet is words that are compiled and checked, and that the room of the calls cannot carry out yet, each with what to
// do instead. Source.Ahead lets them through.
var notYet = map[string]string{
	"notify":           "Emergency calls are put through; nobody else is told of them.",
	"calls_per_minute": "Limit calls at once with max_calls, and countries.",
	"minutes_per_day":  "Limit calls at once with max_calls, and countries.",
	"menu":             "Route the call to a person, or play a notice.",
	"voicemail":        "Play a notice, or ring somebody else.",
	"hook":             "Nothing outside can be asked about a call.",
	"new_country":      "Name the countries that may be dialled.",
}

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

// notYet refuses a word that was compiled and cannot be carried out.
func (c *compiler) notYet(at hcl.Range, name string) {
	if why := notYet[name]; why != "" && !c.Ahead {
		c.refuseWord(at, name, why)
	}
}

func (c *compiler) refuseWord(at hcl.Range, name, instead string) {
	c.fail(at, "not available in this version", "%q is a word of the language that this version does not carry out. %s", name, instead)
}

// IsLater tells whether a word is a block or step of the language that this version reads no further than its name.
func IsLater(word string) bool { return notYetBlocks[word] != "" || notYetSteps[word] != "" }
