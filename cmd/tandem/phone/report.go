package phone

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A Report tells what a call was and what it heard, during the call or after it. Times are in seconds, delays in
// milliseconds.
type Report struct {
	CallID   string  `json:"call_id"`
	Peer     string  `json:"peer"`
	Outgoing bool    `json:"outgoing"`
	State    State   `json:"state"`
	Status   int     `json:"status,omitempty"` // last status of an outgoing INVITE
	Answered bool    `json:"answered"`
	Setup    float64 `json:"setup_s"` // from the INVITE to the answer
	Duration float64 `json:"duration_s"`
	Ended    Ended   `json:"ended"`

	Codec     string    `json:"codec,omitempty"`
	SRTP      string    `json:"srtp,omitempty"` // suite, empty for plain RTP
	Direction Direction `json:"direction,omitempty"`
	Local     string    `json:"local_rtp"`
	Remote    string    `json:"remote_rtp,omitempty"`
	HeardFrom []string  `json:"heard_from,omitempty"` // addresses that packets came from, first to last

	Heard      Sound  `json:"heard"` // the last second
	EarlyMedia bool   `json:"early_media"`
	Early      Early  `json:"early"`
	DTMF       string `json:"dtmf_heard"`
	DTMFSent   string `json:"dtmf_sent"`

	LocalSSRC    uint32  `json:"ssrc_local"`
	RemoteSSRC   uint32  `json:"ssrc_remote"`
	SSRCChanges  int     `json:"ssrc_changes"`
	Sent         uint32  `json:"packets_sent"`
	Received     uint32  `json:"packets_received"`
	Lost         uint32  `json:"packets_lost"`
	Late         uint32  `json:"packets_late"`
	Rejected     int     `json:"packets_rejected"`
	RejectedRTCP int     `json:"rtcp_rejected"`
	WhileHeld    int     `json:"packets_while_held"`
	LossPercent  float64 `json:"loss_percent"`
	Jitter       float64 `json:"jitter_ms"`
	LongestGap   float64 `json:"longest_gap_ms"`
	RTT          float64 `json:"rtt_ms"`
	RemoteLoss   float64 `json:"remote_loss_percent"` // what the other side reported last
	MOS          float64 `json:"mos"`                 // 0 when nothing was received
	PeerGoodbyed bool    `json:"rtcp_bye"`
}

func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*100) / 100
}

func inSeconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

// Report may be asked for at any time.
func (c *Call) Report() Report {
	c.mu.Lock()
	r := Report{CallID: c.ID, Peer: c.Peer, Outgoing: c.Outgoing, State: c.state, Status: c.status, Ended: c.ended,
		Early: c.early, Direction: c.sdp.local}
	end := c.finished
	if end.IsZero() {
		end = time.Now()
	}
	if !c.started.IsZero() {
		r.Answered, r.Setup, r.Duration = true, inSeconds(c.started.Sub(c.began)), inSeconds(end.Sub(c.started))
	}
	if c.sdp.known && c.sdp.agreed.secure {
		r.SRTP = c.sdp.agreed.localKey.suite
	} else if c.sdp.known && c.sdp.peer != nil {
		r.SRTP = "DTLS-SRTP"
	}
	c.mu.Unlock()
	c.stream.report(&r)
	if !r.Answered && r.State != Over {
		r.Early = c.stream.early()
	}
	r.EarlyMedia = r.Early.Packets > 0
	return r
}

func (s *stream) report(r *Report) {
	var local, remote string
	if s.peer != nil { // it has locks of its own
		local, remote = s.peer.pair()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.hearing
	if s.ready {
		r.Remote, r.Codec = s.agreed.rtp.String(), codecNames[s.agreed.codec[s.agreed.payload]]
	}
	if s.peer != nil {
		r.Local, r.Remote = local, remote
	} else {
		r.Local = s.rtp.LocalAddr().String()
	}
	for _, from := range h.sources {
		r.HeardFrom = append(r.HeardFrom, from.String())
	}
	r.Heard = h.lastSecond()
	r.DTMF, r.DTMFSent = string(h.digits.heard), string(s.sending.digits.sent)
	r.LocalSSRC, r.RemoteSSRC, r.SSRCChanges = s.sending.ssrc, h.ssrc, h.changes
	r.Sent, r.Received, r.Lost, r.Late = s.sending.packets, h.received(), h.lost(), h.late
	r.Rejected, r.RejectedRTCP, r.WhileHeld, r.PeerGoodbyed = h.rejected, h.control, h.held, h.goodbye
	r.Jitter, r.LongestGap, r.RTT = milliseconds(h.jitterTime()), milliseconds(h.gap), milliseconds(h.rtt)
	r.RemoteLoss = math.Round(float64(h.remoteRR.FractionLost)/256*10000) / 100
	if expected := h.expected(); expected > 0 {
		loss := float64(h.lost()) / float64(expected)
		r.LossPercent = math.Round(loss*10000) / 100
		r.MOS = meanOpinion(loss, h.jitterTime(), h.rtt)
	}
}

func (h *hearing) lastSecond() Sound {
	sound := analyse(h.pcm[max(0, len(h.pcm)-sampleRate):])
	if math.IsInf(sound.Level, -1) {
		sound.Level = levelDBm0(0) // JSON has no infinity
	}
	sound.Hz, sound.Level, sound.Purity = round1(sound.Hz), round1(sound.Level), math.Round(sound.Purity*100)/100
	return sound
}

func round1(v float64) float64 { return math.Round(v*10) / 10 }

// early is what has been heard so far, for a call that is not answered yet.
func (s *stream) early() Early {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Early{Packets: int(s.hearing.received()), Sound: s.hearing.lastSecond()}
}

// String is the report for people.
func (r Report) String() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	way := "to"
	if !r.Outgoing {
		way = "from"
	}
	line("call", "%s %s, %s", way, r.Peer, r.State)
	if r.Answered {
		line("time", "answered after %.2f s, lasted %.2f s", r.Setup, r.Duration)
	} else {
		line("time", "not answered")
	}
	if r.Ended.By != "" {
		status := ""
		if r.Ended.Status != 0 {
			status = fmt.Sprintf("%d ", r.Ended.Status)
		}
		if r.Ended.Cause != 0 {
			status += fmt.Sprintf("(cause %d) ", r.Ended.Cause)
		}
		line("ended", "by %s: %s%s", r.Ended.By, status, r.Ended.Reason)
	}
	if r.Remote != "" {
		security := "plain RTP"
		if r.SRTP != "" {
			security = "SRTP " + r.SRTP
		}
		line("media", "%s, %s, %s, %s to %s", r.Codec, security, r.Direction, r.Local, r.Remote)
	}
	if r.EarlyMedia {
		line("early", "%d packets, %s", r.Early.Packets, r.Early.Sound)
	}
	line("heard", "%s", r.Heard)
	if r.DTMF+r.DTMFSent != "" {
		line("digits", "heard %q, sent %q", r.DTMF, r.DTMFSent)
	}
	line("packets", "sent %d, received %d, lost %d (%.2f%%), late %d, rejected %d", r.Sent, r.Received, r.Lost, r.LossPercent, r.Late, r.Rejected)
	if len(r.HeardFrom) > 1 || len(r.HeardFrom) == 1 && !slices.Contains(r.HeardFrom, r.Remote) {
		line("sources", "%s", strings.Join(r.HeardFrom, ", "))
	}
	if r.MOS > 0 {
		line("quality", "MOS %.2f, jitter %.2f ms, longest gap %.0f ms, round trip %.2f ms", r.MOS, r.Jitter, r.LongestGap, r.RTT)
	}
	return b.String()
}

// String says what was heard in words.
func (s Sound) String() string {
	switch {
	case s.Level <= silentDBm0:
		return "silence"
	case s.Purity > 0.8:
		return fmt.Sprintf("a tone of %.1f Hz at %.1f dBm0", s.Hz, s.Level)
	}
	return fmt.Sprintf("sound at %.1f dBm0, strongest at %.1f Hz", s.Level, s.Hz)
}
