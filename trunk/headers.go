package trunk

import (
	"slices"

	"tandem/sip"
)

// Headers is what a carrier wants beside what every INVITE to it has.
type Headers struct {
	Add    [][2]string // name and value, in the order of the names
	Remove []string    // that would go there otherwise
	Pass   []string    // that go there from the caller's INVITE
}

// mayCarry are the headers known to us that may be added or passed: none that routes the message, makes the dialog, frames
// the body, proves somebody, or says who calls, which is the identity's.
var mayCarry = []sip.HeaderID{
	sip.HeaderSubject, sip.HeaderDate, sip.HeaderAlertInfo, sip.HeaderUserAgent, sip.HeaderDiversion, sip.HeaderHistoryInfo,
}

// never are headers that mean nothing else to us, and too much to others.
var never = []string{
	"Timestamp", "MIME-Version", "Content-Language", "Content-ID", "Join", "Target-Dialog", "Identity-Info", "P-Associated-URI",
	"P-Called-Party-ID", "P-Charging-Vector", "P-Preferred-Service", "Security-Client", "Security-Verify", "Proxy-Authentication-Info",
}

// MayCarry tells whether a header may be added to an INVITE to a carrier, or passed on.
func MayCarry(name string) bool {
	if !sip.IsToken(name) || len(name) < 2 || len(name) > 64 || slices.ContainsFunc(never, func(n string) bool { return sip.EqualFold(n, name) }) {
		return false
	}
	id := sip.LookupHeader(name)
	return id == sip.HeaderOther || slices.Contains(mayCarry, id)
}

func (h *Headers) adds(name string) bool {
	return slices.ContainsFunc(h.Add, func(a [2]string) bool { return sip.EqualFold(a[0], name) })
}

// Keeps tells whether a header that an INVITE has by itself stays in it: it is not removed, and not added with another
// value.
func (h *Headers) Keeps(name string) bool {
	return !h.adds(name) && !slices.ContainsFunc(h.Remove, func(n string) bool { return sip.EqualFold(n, name) })
}

// Passes is the names that go from the caller's INVITE to the carrier; usual are those of every trunk.
func (h *Headers) Passes(usual []string) []string {
	if len(h.Add) == 0 && len(h.Remove) == 0 && len(h.Pass) == 0 {
		return usual
	}
	var names []string
	for _, name := range slices.Concat(usual, h.Pass) {
		if h.Keeps(name) && !slices.ContainsFunc(names, func(n string) bool { return sip.EqualFold(n, name) }) {
			names = append(names, name)
		}
	}
	return names
}

// Write writes what is added.
func (h *Headers) Write(w *sip.Writer) {
	for _, a := range h.Add {
		w.Add(a[0], a[1])
	}
}
