package media

import "time"

// Config is what the media room needs to start.
type Config struct {
	FirstPort, LastPort uint16        // RTP on even ports of this range, RTCP on the odd one above; default 20000-39999
	Advertise           string        // address that peers outside see in SDP; empty: the address we send from
	Silence             time.Duration // a direction that should speak and is silent this long is reported; default 60 s
	HeldSilence         time.Duration // the same for a held direction; default 1 h
	Quarantine          time.Duration // a released port rests this long; default 30 s
	Codecs              []string      // in our order of preference; default PCMA, PCMU, G722, opus, telephone-event
	PrivatePeers        bool          // media may go to private addresses although the signalling came from a public one
	LoopbackPeers       bool          // media may go to 127.0.0.0/8 and ::1 (tests and the demo on one machine)
	Loops               int           // relay event loops; 0: by the number of cores
}
