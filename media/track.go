package media

import (
	"time"

	"tandem/media/codec"
)

const (
	recordTick = 100 * time.Millisecond
	recordSync = 5 * time.Second // a crash leaves a header that is that old at most
	// recordLag is how late a packet may be and still find its place, in samples.
	recordLag = codec.SampleRate / 5
	// recordJump is the difference between a packet's timestamp and its arrival, in samples, above which the timestamps
	// are taken for another clock: a sender that began anew, or that was silent with its clock at rest.
	recordJump = codec.SampleRate
	// recordQuiet is the level in dBm0 below which a frame is silence.
	recordQuiet = -45
)

// track puts packets in their place on the line of a recording, whose time is counted in samples.
type track struct {
	out     *codec.WAVWriter
	err     error
	began   time.Time
	longest int // 0: any
	quiet   int // 0: any

	begun   bool
	base    uint32  // timestamp of sample 0
	at      int     // samples written
	pending []int16 // those after them, which late packets may still change
	loud    int     // sample after the last that was no silence
	wide    codec.G722Decoder
	pcm     []int16
}

// place puts one packet where its timestamp says.
func (t *track) place(h *heard) {
	t.pcm = t.pcm[:0]
	switch h.format {
	case recordALaw:
		t.pcm = codec.ALaw.Decode(t.pcm, h.payload)
	case recordMuLaw:
		t.pcm = codec.MuLaw.Decode(t.pcm, h.payload)
	case recordG722:
		t.pcm = t.wide.DecodeNarrow(t.pcm, h.payload)
	}
	arrived := samplesIn(h.at.Sub(t.began)) - len(t.pcm)
	at := int(int32(h.timestamp - t.base))
	if off := at - arrived; !t.begun || off > recordJump || off < -recordJump {
		t.begun = true
		at = max(arrived, t.end(), 0)
		t.base = h.timestamp - uint32(at)
	}
	pcm := t.pcm
	if at < t.at { // what is written stays
		pcm = pcm[min(t.at-at, len(pcm)):]
		at = t.at
	}
	if len(pcm) == 0 {
		return
	}
	t.extend(at + len(pcm))
	if at < t.end() { // else it is behind the longest: the writer was late, or is not asked often
		copy(t.pending[at-t.at:], pcm)
		if codec.Level(pcm) > recordQuiet {
			t.loud = max(t.loud, at+len(pcm))
		}
	}
	t.flush(recordLag)
}

// idle goes on with silence where no packet came for a while.
func (t *track) idle(now time.Time) {
	t.extend(samplesIn(now.Sub(t.began)) - codec.SampleRate/2)
	t.flush(recordLag)
}

func (t *track) end() int { return t.at + len(t.pending) }

// extend fills up with silence to a sample.
func (t *track) extend(to int) {
	if t.longest > 0 {
		to = min(to, t.longest+recordLag)
	}
	if n := to - t.end(); n > 0 {
		t.pending = append(t.pending, make([]int16, n)...)
	}
}

// flush writes all but the last samples.
func (t *track) flush(keep int) {
	n := len(t.pending) - keep
	if t.longest > 0 {
		n = min(n, t.longest-t.at)
	}
	if n <= 0 || t.err != nil {
		return
	}
	if t.err = t.out.Write(t.pending[:n]); t.err == nil {
		t.at += n
		t.pending = append(t.pending[:0], t.pending[n:]...)
	}
}

// ended tells whether a limit is reached.
func (t *track) ended() bool { return t.why() != RecordStopped }

func (t *track) why() RecordEnd {
	switch {
	case t.err != nil:
		return RecordFailed
	case t.longest > 0 && t.at >= t.longest:
		return RecordLongest
	case t.quiet > 0 && t.end()-t.loud >= t.quiet:
		return RecordQuiet
	}
	return RecordStopped
}

// finish writes what is left and makes the header right.
func (t *track) finish() Recorded {
	why := t.why()
	t.flush(0)
	if t.out != nil {
		if err := t.out.Close(); t.err == nil {
			t.err = err
		}
	}
	if t.err != nil {
		why = RecordFailed
	}
	length := func(samples int) time.Duration { return time.Duration(samples) * time.Second / codec.SampleRate }
	return Recorded{Length: length(t.at), Spoken: length(min(t.loud, t.at)), Ended: why, Err: t.err}
}
