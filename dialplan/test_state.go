package dialplan

import (
	"github.com/zclconf/go-cty/cty"

	"tandem/dialplan/block"
)

// state reads one entry of a test's state: what has been switched by hand, set at phones, or used up.
func (c *compiler) state(t *Case, e entry) {
	s := &t.Facts.State
	switch e.key {
	case "open", "closed":
		words, _ := c.entryWords(e)
		for _, name := range words {
			if c.plan.schedules[name] == nil {
				c.fail(e.value.Range(), "unknown schedule", "There is no schedule %q.%s", name, block.DidYouMean(name, keys(c.plan.schedules)))
				continue
			}
			if s.Switches == nil {
				s.Switches = map[string]bool{}
			}
			s.Switches[name] = e.key == "open"
		}
	case "do_not_disturb":
		words, _ := c.entryWords(e)
		for _, number := range words {
			c.feature(t, e, number, func(f *Features) { f.DoNotDisturb = true })
		}
	case "forward":
		pairs, _ := c.entryValue(e)
		if !pairs.Type().IsObjectType() {
			c.fail(e.value.Range(), "not an object", "Write from which extension to which number: forward = { \"1001\" = \"1002\" }.")
			return
		}
		for number, to := range pairs.AsValueMap() {
			if to.IsNull() || to.Type() != cty.String {
				c.fail(e.value.Range(), "wrong type", "A call is forwarded to a number in quotes.")
				continue
			}
			c.feature(t, e, number, func(f *Features) { f.Forward.Always = to.AsString() })
		}
	default:
		c.usage(t, e)
	}
}

// feature sets what an extension does with calls, as if at its phone.
func (c *compiler) feature(t *Case, e entry, number string, set func(*Features)) {
	x := c.plan.extensions[number]
	if x == nil {
		c.fail(e.value.Range(), "unknown extension", "There is no extension %q.%s", number, block.DidYouMean(number, c.plan.numbers))
		return
	}
	s := &t.Facts.State
	f, ok := s.Features[number]
	if !ok {
		f = x.Features
	}
	set(&f)
	if s.Features == nil {
		s.Features = map[string]Features{}
	}
	s.Features[number] = f
}

// usage sets what the caller has used.
func (c *compiler) usage(t *Case, e entry) {
	s := &t.Facts.State
	u := s.Usage[t.Facts.From]
	if e.key == "countries" {
		u.Countries, _ = c.entryWords(e)
	} else if v, ok := c.entryValue(e); ok {
		if v.Type() != cty.Number {
			c.fail(e.value.Range(), "wrong type", "%q must be a number, and this is %s.", e.key, block.TypeName(v.Type()))
			return
		}
		n, _ := v.AsBigFloat().Float64()
		if e.key == "calls_this_minute" {
			u.LastMinute = int(n)
		} else {
			u.MinutesToday = n
		}
	}
	if s.Usage == nil {
		s.Usage = map[string]Usage{}
	}
	s.Usage[t.Facts.From] = u
}
