package call

import (
	"strings"

	"tandem/media"
	"tandem/sip"
	"tandem/sip/transport"
)

// isBrowser tells whether the phone behind a contact speaks WebRTC. guessed: the extension does not say, and the contact alone looks so. A page
// cannot know an address of its own, so what it registers over a WebSocket ends in .invalid (RFC 7118 §5); a program that knows its
// address is a phone that only signals that way.
func (c *Call) isBrowser(extension, contact string, f transport.Flow) (web, guessed bool) {
	switch x, _ := c.settings.Plan.Extension(extension); x.WebRTC {
	case "always":
		return true, false
	case "never":
		return false, false
	}
	if !f.Valid() || f.Proto() != transport.WS && f.Proto() != transport.WSS {
		return false, false
	}
	uri, err := sip.ParseURI(contact)
	return err == nil && strings.HasSuffix(strings.ToLower(uri.Host), ".invalid"), true
}

// recognise tells by the caller's offer whether it is a browser, and where it makes none by its contact.
func (l *Leg) recognise(m *sip.Message) *sip.StatusError {
	switch {
	case m.Body() != "":
		l.web = media.IsWeb([]byte(m.Body()))
	case l.trunk == nil:
		l.web, _ = l.call.isBrowser(l.party, l.dialog.Target, l.flow)
	}
	if !l.web {
		return nil
	}
	if x, _ := l.call.settings.Plan.Extension(l.party); l.trunk != nil || x.WebRTC == "never" {
		return &sip.StatusError{Code: 488, Reason: "No WebRTC here"}
	}
	return nil
}
