package relay

import (
	"slices"
	"time"

	"tandem/media/ice"
	"tandem/media/secure"
)

const (
	// maxPaths bounds the places one browser may be checked from at a time: its interfaces and families, and those it had before.
	maxPaths = 8
	// consent is how long a browser may go without a check before nothing more is sent to it (RFC 7675 §5.1).
	consent = 30 * time.Second
	// lost is how long a browser may be without checks and media before its owner is told: browsers check every two to six seconds.
	lost = 10 * time.Second
	// gone is how long the chosen path must have been without checks and media before another one's media takes its place.
	gone = 2 * time.Second
	// checkRate and checkBurst are the verified checks of one leg a second that are answered: a browser sends 20 a pair while it
	// connects, and then one every few seconds.
	checkRate, checkBurst = 100, 200
	// tryRate and tryBurst bound the handshakes a leg may begin, which cost a millisecond each.
	tryRate, tryBurst = 1, 8
)

// WebSettings are the browser's part of Settings.
type WebSettings struct {
	Own          ice.Credentials      // ours in the description at hand; new ones restart ICE
	Peer         string               // the browser's username fragment
	Fingerprints []secure.Fingerprint // of the browser's certificate
	Role         secure.Role          // ours in the DTLS handshake
	Video        *VideoSettings       // nil: no video
	Association  int                  // another number than before: the browser begins a new DTLS association (RFC 8842 §5.5)
}

// A browser is what a leg has instead of ports of its own: credentials, the places it was checked from, and the DTLS-SRTP association. The
// loop of all browser legs owns it.
type browser struct {
	web    *web
	own    ice.Credentials
	before ice.Credentials // those from before an ICE restart, good until the new ones have nominated
	set    WebSettings

	paths     []path // checked, the oldest first
	at        int    // the one that we send on; -1: none yet
	nominated bool   // the browser chose it
	ready     bool   // set is known: the browser's fingerprints
	heard     time.Time
	missed    bool          // its owner was told that nothing comes
	begun     time.Duration // since began
	checks    limiter

	shake       *handshake
	tries       limiter
	association int // of the keys in use; 0: no keys yet
	keys        Keys
	video       *video  // nil: none was ever agreed
	flight      *flight // our last one, for a peer that has not got it; nil: it has, or had the time
}

// Keys are those of a DTLS-SRTP association: ours that we send with, the browser's that we receive with.
type Keys struct{ Local, Remote secure.Key }

// A flight is what ended a handshake, kept for a while.
type flight struct {
	datagrams [][]byte
	until     time.Time
}

// A path is a place that a verified check came from.
type path struct {
	at       place
	to       endpoint
	priority uint32
	seen     time.Time // the last check
	media    time.Time // the last authentic packet
	proved   bool      // there was one
}

func newBrowser(w *web, own ice.Credentials, now time.Time) *browser {
	return &browser{
		web: w, own: own, at: -1, heard: now, begun: now.Sub(began),
		checks: limit(checkRate, checkBurst), tries: limit(tryRate, tryBurst),
	}
}

// credentials gives those that a check by this fragment of ours must be verified with.
func (b *browser) credentials(ufrag []byte) (own ice.Credentials, peer string) {
	if string(ufrag) == b.before.Ufrag {
		return b.before, ""
	}
	return b.own, b.set.Peer
}

// configure takes the browser's part of what was agreed, and gives the contexts in use.
func (b *browser) configure(p *Port, s *WebSettings) {
	if s == nil {
		return
	}
	if s.Own != b.own && s.Own.Ufrag != "" {
		if b.before != (ice.Credentials{}) {
			delete(b.web.ufrags, b.before.Ufrag)
		}
		b.before, b.own = b.own, s.Own
		b.web.ufrags[b.own.Ufrag] = p
	}
	again := b.ready && s.Association != b.set.Association
	b.set, b.ready = *s, true
	b.agree(s.Video)
	b.set.Video = nil
	if again {
		b.abandon()
	}
	b.initiate(p)
}

// checked takes a verified check.
func (b *browser) checked(p *Port, c ice.Check, at place, to endpoint, by ice.Credentials) {
	now := b.web.loop.now
	if !b.web.claim(p, at) {
		p.drop(DropCheck)
		return
	}
	b.heard, b.missed = now, false
	i := b.index(at)
	if i < 0 {
		i = b.add(path{at: at, to: to})
	}
	if t := at.via.stream; t != nil {
		t.owner = p
	}
	b.paths[i].seen, b.paths[i].priority = now, c.Priority
	switch {
	case c.Nominates:
		b.nominated = true
		if by == b.own && b.before != (ice.Credentials{}) { // the restart is through
			delete(b.web.ufrags, b.before.Ufrag)
			b.before = ice.Credentials{}
		}
		b.choose(p, i)
	case !b.nominated && (b.at < 0 || c.Priority > b.paths[b.at].priority):
		b.choose(p, i)
	}
	b.initiate(p)
}

// index finds the path of a place; -1: it was not checked from there.
func (b *browser) index(at place) int {
	return slices.IndexFunc(b.paths, func(x path) bool { return x.at == at })
}

// add notes a new path; with maxPaths, in the place of the one that was longest not heard of.
func (b *browser) add(x path) int {
	if len(b.paths) < maxPaths {
		b.paths = append(b.paths, x)
		return len(b.paths) - 1
	}
	oldest := -1
	for i := range b.paths {
		if i != b.at && (oldest < 0 || b.paths[i].seen.Before(b.paths[oldest].seen)) {
			oldest = i
		}
	}
	was := b.paths[oldest].at
	delete(b.web.places, was)
	b.paths[oldest] = x
	if was.via.stream != nil {
		was.via.stream.owner = nil
		b.web.hangUp(was.via)
	}
	return oldest
}

// choose makes a path the one that we send on.
func (b *browser) choose(p *Port, i int) {
	if b.at == i {
		return
	}
	b.at = i
	p.soon()
	p.aim()
	if b.association != 0 {
		p.source.latched = b.paths[i].at.addr
		p.emit(Event{Kind: Latched, Addr: p.source.latched})
	}
}

// holds says whether a place is the leg's beyond doubt.
func (b *browser) holds(at place, now time.Time) bool {
	for i := range b.paths {
		if b.paths[i].at == at {
			return b.paths[i].proved && now.Sub(b.paths[i].seen) < consent
		}
	}
	return false
}

// leave gives up a path that another leg was checked from.
func (b *browser) leave(at place) {
	i := b.index(at)
	if i < 0 {
		return
	}
	b.paths = slices.Delete(b.paths, i, i+1)
	switch {
	case b.at == i:
		b.at, b.nominated = -1, false
	case b.at > i:
		b.at--
	}
}

// prove notes that authentic media came from a place. Where the browser has left the chosen one without a word, behind a NAT that gave it another
// port, we follow it.
func (b *browser) prove(p *Port, at place) {
	now := b.web.loop.now
	if b.at >= 0 && b.paths[b.at].at == at {
		b.paths[b.at].proved, b.paths[b.at].media = true, now
		return
	}
	for i := range b.paths {
		if b.paths[i].at != at {
			continue
		}
		b.paths[i].proved, b.paths[i].media = true, now
		if b.at < 0 || now.Sub(b.paths[b.at].media) > gone && now.Sub(b.paths[b.at].seen) > gone {
			b.choose(p, i)
		}
	}
}

// open says whether packets may go to the browser: it has been checked, its certificate too, and it consents.
func (b *browser) open(now time.Time) bool {
	return b.association != 0 && b.at >= 0 && now.Sub(b.heard) < consent
}

// connecting says whether the browser may still come: what is played to it waits.
func (b *browser) connecting(now time.Time) bool {
	return b.association == 0 && now.Sub(began)-b.begun < setupTime
}

// endpoint is where we send; invalid: nowhere yet.
func (b *browser) endpoint() endpoint {
	if b.at < 0 {
		return endpoint{}
	}
	return b.paths[b.at].to
}

// socket is the one that the browser is reached by.
func (b *browser) socket() *socket {
	if b.at < 0 {
		return nil
	}
	return b.paths[b.at].at.via
}

// receiveWeb takes an RTP packet from a checked place. Before the keys are there none is taken, encrypted or not.
func (p *Port) receiveWeb(b []byte, at place) {
	if p.set.Unprotect == nil {
		p.drop(DropKeys)
		return
	}
	if p.web.isVideo(b) {
		p.receiveVideo(b, at)
		return
	}
	// The cap comes after the key here: a flood from a forged address must not use up what the browser may send.
	pkt, ok := p.open(b)
	if !ok {
		return
	}
	if !p.media.allow(p.loop.now) {
		p.drop(DropRate)
		return
	}
	p.web.prove(p, at)
	p.take(pkt)
}

// lookAfter does what no packet brings about.
func (b *browser) lookAfter(p *Port) {
	now := b.web.loop.now
	if b.flight != nil && now.After(b.flight.until) {
		b.flight = nil
	}
	if b.association != 0 && !b.missed && now.Sub(b.heard) >= lost && now.Sub(p.lastIn) >= lost {
		b.missed = true
		p.emit(Event{Kind: Lost})
	}
	b.initiate(p)
}
