package media

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// Config is what the media room needs to start.
type Config struct {
	FirstPort, LastPort uint16           // RTP on even ports of this range, RTCP on the odd one above; default 20000-39999
	Advertise           string           // address that peers outside see in SDP; empty: the address we send from
	Silence             time.Duration    // a direction that should speak and is silent this long is reported; default 60 s
	HeldSilence         time.Duration    // the same for a held direction; default 1 h
	Quarantine          time.Duration    // a released port rests this long, for late packets of the old call
	WebPort             uint16           // UDP, one for all browsers; 0: the port above the range
	NoWebTCP            bool             // browsers are not offered TCP on the port of the same number (RFC 6544)
	Certificate         *tls.Certificate // shown to browsers; nil: made anew. A standby that has the same goes on without new handshakes
	Codecs              []string         // in our order of preference, "name" or "name/rate"; default PCMA, PCMU, G722, opus, telephone-event
	PrivatePeers        bool             // media may go to private addresses although the signalling came from a public one
	LoopbackPeers       bool             // media may go to 127.0.0.0/8, ::1 and our own addresses (tests and the demo on one machine)
	Loops               int              // relay event loops; 0: by the number of cores
}

// ErrNeedsRestart says that a reload would change what only a restart can.
var ErrNeedsRestart = errors.New("media: port range, port for browsers and number of loops change by a restart only")

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.FirstPort == 0 && c.LastPort == 0 {
		c.FirstPort, c.LastPort = 20000, 39999
	}
	def(&c.Silence, time.Minute)
	def(&c.HeldSilence, time.Hour)
	if c.Codecs == nil {
		c.Codecs = []string{"PCMA", "PCMU", "G722", "opus", "telephone-event"}
	}
	return c
}

// PortForBrowsers is the one UDP port that browsers come to; 0: there is none.
func (c Config) PortForBrowsers() uint16 { return c.withDefaults().webPort() }

// webPort is the port for browsers; 0: there is none above the range.
func (c Config) webPort() uint16 {
	if c.WebPort == 0 {
		return c.LastPort + 1
	}
	return c.WebPort
}

// check finds what cannot work. The port range is checked by the relay.
func (c Config) check() error {
	if c.Silence < 0 || c.HeldSilence < 0 || c.Quarantine < 0 {
		return errors.New("media: negative duration")
	}
	if c.WebPort >= c.FirstPort && c.WebPort <= c.LastPort { // not if it is 0
		return fmt.Errorf("media: the port for browsers, %d, lies in the range %d-%d of the others", c.WebPort, c.FirstPort, c.LastPort)
	}
	if c.Advertise != "" {
		if _, err := parseAddr(c.Advertise); err != nil {
			return fmt.Errorf("media: advertise: %w", err)
		}
	}
	_, err := parseCodecs(c.Codecs)
	return err
}
