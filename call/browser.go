package call

import (
	"strings"

	"tandem/media"
	"tandem/sip"
	"tandem/sip/transport"
)

// isBrowser tells whether the phone behind a contact speaks WebRTC. guessed: the extension does not say. Then one that came over a WebSocket does if
// a page opened that, or if its contact says so by the feature tag for ICE (RFC 5768 §4, as JsSIP does); any other only signals that way.
func (c *Call) isBrowser(extension string, contact sip.Params, f transport.Flow) (web, guessed bool) {
	switch x, _ := c.settings.Plan.Extension(extension); x.WebRTC {
	case "always":
		return true, false
	case "never":
		return false, false
	}
	if !f.Valid() || f.Proto() != transport.WS && f.Proto() != transport.WSS {
		return false, false
	}
	return f.Page() || contact.Has("+sip.ice"), true
}

// recognise tells by the caller's offer whether it is a browser, and where it makes none by its contact.
func (l *Leg) recognise(m *sip.Message) *sip.StatusError {
	switch {
	case m.Body() != "":
		l.web = media.IsWeb([]byte(m.Body()))
	case l.trunk == nil:
		_, params, _ := strings.Cut(m.Header(sip.HeaderContact), ">")
		l.web, _ = l.in().isBrowser(l.party, sip.Params(params), l.flow)
	}
	if !l.web {
		return nil
	}
	if x, _ := l.in().settings.Plan.Extension(l.party); l.trunk != nil || x.WebRTC == "never" {
		return &sip.StatusError{Code: 488, Reason: "No WebRTC here"}
	}
	return nil
}
