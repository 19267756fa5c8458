package configs

import (
	"strings"

	"tandem/dialplan/block"
	"tandem/trunk"
)

// numbers reads how the carrier writes numbers and callers.
func (l *loader) numbers(r *block.Reader, c *trunk.Config) {
	c.Numbers = trunk.Format(r.OneOf("numbers", string(trunk.E164), string(trunk.E164), string(trunk.E164WithoutPlus),
		string(trunk.National), string(trunk.International)))
	if c.TechPrefix = r.Text("prefix", ""); !dialable(c.TechPrefix) || len(c.TechPrefix) > 16 {
		r.Fail(r.Range("prefix"), "not a prefix", "A prefix is up to 16 digits, * and #.")
	}
	c.Tel = r.OneOf("uri", "sip", "sip", "tel") == "tel"
	c.UserPhone = r.Bool("user_phone", false)
	c.Called = trunk.Source(r.OneOf("called", string(trunk.FromRequest), string(trunk.FromRequest), string(trunk.FromTo),
		string(trunk.FromPCalled), string(trunk.FromDiversion)))
	c.Identity = trunk.Identity(r.OneOf("identity", string(trunk.IdentityFrom), string(trunk.IdentityFrom),
		string(trunk.IdentityPAI), string(trunk.IdentityRPID)))
	c.Private = r.Bool("privacy", false)
	diversion := r.OneOf("diversion", "off", "off", "diversion", "history-info", "both")
	c.Diversion, c.History = diversion == "diversion" || diversion == "both", diversion == "history-info" || diversion == "both"
	c.Redirects = r.Bool("follow_redirects", false)
	c.Portable = r.Bool("portability", false)
	c.AnyCaller = r.Bool("any_caller_id", false)
	if c.CallerID = r.Text("caller_id", ""); c.CallerID != "" && !isE164(c.CallerID) {
		r.Fail(r.Range("caller_id"), "not a number", "Write it in full: \"+442079460018\".")
	}
	for _, w := range r.Words("own") {
		if !isE164(strings.TrimSuffix(w.Text, "*")) {
			r.Fail(w.At, "not a number", "Write it in full, \"+442079460018\", or a block of them, \"+4420794600*\".")
		}
		c.Own = append(c.Own, w.Text)
	}
}

func dialable(s string) bool { return strings.Trim(s, "0123456789*#+") == "" }

func isE164(s string) bool {
	digits, ok := strings.CutPrefix(s, "+")
	return ok && len(digits) >= 4 && len(digits) <= 15 && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
}
