package media

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"tandem/media/codec"
	"tandem/media/relay"
)

// ErrRecording says that the session is being recorded already.
var ErrRecording = errors.New("media: the session is being recorded already")

// RecordLimits say when a recording ends by itself. Zero fields set no limit.
type RecordLimits struct {
	Longest time.Duration // of sound
	Quiet   time.Duration // end after so much silence in a row, which is left out of Recorded.Spoken
}

// Recorded is what became of a recording.
type Recorded struct {
	Length  time.Duration // of what was written
	Spoken  time.Duration // to the last sound above silence
	Dropped uint64        // packets that the writer was too slow for
	Ended   RecordEnd
	Err     error // of writing
}

// RecordEnd is why a recording ended.
type RecordEnd uint8

// The ends.
const (
	RecordStopped RecordEnd = iota // by Stop, or with the session
	RecordLongest
	RecordQuiet
	RecordFailed
)

// waiting bounds the packets between the relay loop and the writer: 1.3 s at 20 ms, more than a disk sleeps. When it is
// full a packet is dropped and counted, and stays silence.
const waiting = 64

// heard is one packet on its way to the writer.
type heard struct {
	format    recordFormat
	timestamp uint32
	at        time.Time
	payload   []byte
}

type recordFormat uint8

const (
	recordALaw recordFormat = iota
	recordMuLaw
	recordG722
)

// A Recording is a file that is being written from what the peer of a session says: mono, 16 bit, 8 kHz, placed by RTP
// timestamps, with silence where nothing came.
type Recording struct {
	full, free chan *heard
	stop       chan struct{}
	stopping   sync.Once
	done       chan struct{}
	dropped    atomic.Uint64
	result     Recorded // once done is closed
}

// Record writes what the peer says to w, from its beginning, until Stop, Close, or a limit; then w is complete but not
// closed. The event RecordDone comes when a limit or an error ended it, not after Stop. ErrRecording, ErrClosed.
func (s *Session) Record(w io.WriteSeeker, limits RecordLimits) (*Recording, error) {
	r := &Recording{
		full: make(chan *heard, waiting), free: make(chan *heard, waiting),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	for range waiting {
		r.free <- &heard{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.recording != nil {
		select {
		case <-s.recording.done:
		default:
			return nil, ErrRecording
		}
	}
	if err := s.port.Tap(r); err != nil {
		return nil, err
	}
	s.recording = r
	began := time.Now()
	s.engine.recorders.Add(1)
	go func() {
		defer s.engine.recorders.Done()
		r.run(w, limits, began)
		_ = s.port.Tap(nil) // a closed port has none
		close(r.done)
		if r.result.Ended != RecordStopped && s.opts.Events != nil && !s.isClosed() {
			s.opts.Events(Event{Kind: RecordDone})
		}
	}()
	return r, nil
}

func (s *Session) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Stop ends the recording soon; Wait says when it has.
func (r *Recording) Stop() { r.stopping.Do(func() { close(r.stop) }) }

// Wait returns when nothing is written any more.
func (r *Recording) Wait() Recorded {
	<-r.done
	return r.result
}

// Hear takes a packet, in a relay loop.
func (r *Recording) Hear(f relay.Format, timestamp uint32, payload []byte) {
	format := recordG722
	if law, ok := f.Law(); ok {
		format = recordALaw
		if law == codec.MuLaw {
			format = recordMuLaw
		}
	} else if f.Name != "G722" && f.Name != "g722" {
		return
	}
	select {
	case h := <-r.free:
		h.format, h.timestamp, h.at = format, timestamp, time.Now()
		h.payload = append(h.payload[:0], payload...)
		r.full <- h // has room for all there are
	default:
		r.dropped.Add(1)
	}
}

// run writes until it is told to stop or a limit is reached.
func (r *Recording) run(w io.WriteSeeker, limits RecordLimits, began time.Time) {
	t := track{began: began, longest: samplesIn(limits.Longest), quiet: samplesIn(limits.Quiet)}
	t.out, t.err = codec.NewWAVWriter(w, 1)
	tick := time.NewTicker(recordTick)
	defer tick.Stop()
	synced := began
	stopped := false
	for !stopped && t.err == nil && !t.ended() {
		select {
		case h := <-r.full:
			t.place(h)
			r.free <- h
		case now := <-tick.C:
			t.idle(now)
			if now.Sub(synced) >= recordSync && t.err == nil {
				synced, t.err = now, t.out.Sync()
			}
		case <-r.stop:
			stopped = true
		}
	}
	for len(r.full) > 0 && t.err == nil {
		t.place(<-r.full)
	}
	r.result = t.finish()
	r.result.Dropped = r.dropped.Load()
}

func samplesIn(d time.Duration) int { return int(d.Seconds() * codec.SampleRate) }
