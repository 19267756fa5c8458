package configs

import (
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tandem/dialplan/block"
)

var mediaSchema = block.Schema("ports webrtc_port webrtc_tcp silence held_silence quarantine codecs private_peers loopback_peers loops")

// The ports of media where the configuration does not say.
const firstPort, lastPort = 20000, 39999

// quarantine is how long ports rest where the configuration does not say; it may say 0.
const quarantine = 30 * time.Second

// fewPorts is the size of a port range below which a person is warned: two legs of two ports a call make 50 calls.
const fewPorts = 200

// mediaCodecs are the names that are known; others are written with their clock, as in "L16/16000".
var mediaCodecs = []string{"PCMA", "PCMU", "G722", "opus", "G729", "GSM", "G723", "iLBC", "AMR", "AMR-WB", "speex", "CN", "telephone-event"}

func (l *loader) media() {
	l.single("media", func(b *hcl.Block) {
		m := &l.config.Media
		m.FirstPort, m.LastPort, m.Quarantine = firstPort, lastPort, quarantine
		at := hcl.Range{Filename: l.dir}
		if b != nil {
			at = l.readMedia(b)
		}
		for _, s := range l.sockets {
			if s.udp && m.WebPort != 0 && s.port == int(m.WebPort) {
				l.diags = append(l.diags, block.Errorf(s.at, "port in use", "It is the port for browsers (webrtc_port, %s).", placeOf(at)))
			}
			if s.udp && s.port >= int(m.FirstPort) && s.port <= int(m.LastPort) {
				l.diags = append(l.diags, block.Errorf(s.at, "port in use", "The ports of media, %d-%d (%s), hold this one.", m.FirstPort, m.LastPort, placeOf(at)))
			}
		}
	})
}

func placeOf(r hcl.Range) string {
	if r.Start.Line == 0 {
		return "the default"
	}
	return r.Filename + ":" + strconv.Itoa(r.Start.Line)
}

// readMedia gives the place of the port range, or of the default.
func (l *loader) readMedia(b *hcl.Block) hcl.Range {
	m := &l.config.Media
	r := l.open(b.Body, mediaSchema)
	l.ports(r)
	l.webPort(r)
	m.Silence = r.Duration("silence", 0, time.Second, 24*time.Hour)
	m.HeldSilence = r.Duration("held_silence", 0, time.Second, 30*24*time.Hour)
	m.Quarantine = r.Duration("quarantine", quarantine, 0, time.Hour)
	m.PrivatePeers = r.Bool("private_peers", false)
	m.LoopbackPeers = r.Bool("loopback_peers", false)
	m.Loops = r.Int("loops", 0, 1, 256)
	for _, w := range r.Words("codecs") {
		name, _, clock := strings.Cut(w.Text, "/")
		known := false
		for _, c := range mediaCodecs {
			known = known || strings.EqualFold(c, name)
		}
		if !known && !clock {
			r.Fail(w.At, "unknown codec", "%q is no codec that is known by its name; one that is not is written with its clock, as in \"L16/16000\".%s", w.Text, block.DidYouMean(w.Text, mediaCodecs))
			continue
		}
		m.Codecs = append(m.Codecs, w.Text)
	}
	if !r.Has("ports") {
		return hcl.Range{}
	}
	return r.Range("ports")
}

// webPort reads the port for browsers, which must lie outside the range of the others.
func (l *loader) webPort(r *block.Reader) {
	m := &l.config.Media
	m.WebPort = uint16(r.Int("webrtc_port", 0, 1024, 65535))
	m.NoWebTCP = !r.Bool("webrtc_tcp", true)
	if m.WebPort >= m.FirstPort && m.WebPort <= m.LastPort {
		r.Fail(r.Range("webrtc_port"), "port in use", "The ports of media, %d-%d, hold this one: browsers have a port of their own.", m.FirstPort, m.LastPort)
	}
}

func (l *loader) ports(r *block.Reader) {
	if !r.Has("ports") {
		return
	}
	text := r.Text("ports", "20000-39999")
	low, high, ok := strings.Cut(text, "-")
	first, err1 := strconv.Atoi(strings.TrimSpace(low))
	last, err2 := strconv.Atoi(strings.TrimSpace(high))
	at := r.Range("ports")
	switch {
	case !ok || err1 != nil || err2 != nil:
		r.Fail(at, "not a range of ports", "Write the first and the last, as in \"20000-39999\".")
		return
	case first < 1024 || last > 65535 || first >= last:
		r.Fail(at, "not a range of ports", "The ports of media lie between 1024 and 65535, from low to high.")
		return
	case first%2 != 0:
		r.Fail(at, "odd first port", "RTP has the even port and RTCP the one above (RFC 3550 §11): begin with %d.", first+1)
		return
	case last-first+1 < 4:
		r.Fail(at, "too few ports", "One call needs four ports: two legs, each with RTP and RTCP.")
		return
	case last-first+1 < fewPorts:
		l.diags = append(l.diags, block.Warnf(at, "few ports", "%d ports are enough for %d calls at once.", last-first+1, (last-first+1)/4))
	}
	l.config.Media.FirstPort, l.config.Media.LastPort = uint16(first), uint16(last)
}
