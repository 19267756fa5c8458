package media

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tandem/media/codec"
)

// recordingOf runs packets through a track and reads what was written.
func recordingOf(t *testing.T, tr *track, do func(say func(at, timestamp int, hz float64))) ([]int16, Recorded) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.wav")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if tr.out, err = codec.NewWAVWriter(f, 1); err != nil {
		t.Fatal(err)
	}
	tr.began = time.Unix(1000, 0)
	do(func(at, timestamp int, hz float64) { // in milliseconds
		pcm := make([]int16, 160)
		if hz > 0 {
			tone := codec.NewTone(-10, hz)
			tone.Read(pcm)
		}
		tr.place(&heard{recordALaw, uint32(timestamp*8) + 0xfffffff0, tr.began.Add(time.Duration(at) * time.Millisecond), codec.ALaw.Encode(nil, pcm)})
	})
	got := tr.finish()
	pcm, err := codec.LoadWAV(path)
	if err != nil {
		t.Fatal(err)
	}
	return pcm, got
}

func sounds(pcm []int16, fromMS, toMS int) bool {
	return codec.Level(pcm[fromMS*8:toMS*8]) > recordQuiet
}

// Packets stand where their timestamps say: lost ones are silence, those that changed places are put right.
func TestRecordingByTimestamps(t *testing.T) {
	pcm, got := recordingOf(t, &track{}, func(say func(at, timestamp int, hz float64)) {
		say(20, 0, 1000)
		say(60, 40, 1000) // overtook the one before
		say(61, 20, 1000)
		say(120, 100, 1000) // two were lost
	})
	if len(pcm) != 120*8 || got.Length != 120*time.Millisecond || got.Spoken != got.Length {
		t.Fatalf("%d samples, %+v", len(pcm), got)
	}
	if !sounds(pcm, 0, 60) || sounds(pcm, 60, 100) || !sounds(pcm, 100, 120) {
		t.Error("sound is not where it was said")
	}
	for i := range 3 {
		if !sounds(pcm, 20*i, 20*i+20) {
			t.Errorf("packet %d is not where it was said", i)
		}
	}
}

// A sender that begins anew with other timestamps goes on where the clock on the wall is.
func TestRecordingOfAnotherClock(t *testing.T) {
	pcm, got := recordingOf(t, &track{}, func(say func(at, timestamp int, hz float64)) {
		say(20, 0, 1000)
		say(2020, 500000, 1000)
		say(2040, 500020, 1000)
	})
	if len(pcm) != 2040*8 || sounds(pcm, 20, 2000) || !sounds(pcm, 2000, 2020) || !sounds(pcm, 2020, 2040) {
		t.Errorf("%d samples, %+v", len(pcm), got)
	}
}

func TestRecordingLimits(t *testing.T) {
	long := &track{longest: samplesIn(time.Second)}
	pcm, got := recordingOf(t, long, func(say func(at, timestamp int, hz float64)) {
		for i := 0; !long.ended(); i++ {
			say(20*i+20, 20*i, 1000)
			if i > 100 {
				t.Fatal("the longest recording does not end")
			}
		}
	})
	if got.Ended != RecordLongest || len(pcm) != 8000 {
		t.Errorf("%+v, %d samples", got, len(pcm))
	}
	quiet := &track{quiet: samplesIn(time.Second)}
	_, got = recordingOf(t, quiet, func(say func(at, timestamp int, hz float64)) {
		for i := range 10 {
			say(20*i+20, 20*i, 1000)
		}
		for i := 1; !quiet.ended(); i++ {
			quiet.idle(quiet.began.Add(time.Duration(i) * recordTick))
			if i > 30 {
				t.Fatal("silence does not end it")
			}
		}
	})
	if got.Ended != RecordQuiet || got.Spoken != 200*time.Millisecond {
		t.Errorf("%+v", got)
	}
}

// A packet that comes long after the longest recording was over, to a writer that had no time until then, ends it as any other does.
func TestRecordPacketBehindTheLongest(t *testing.T) {
	long := &track{longest: samplesIn(time.Second)}
	pcm, got := recordingOf(t, long, func(say func(at, timestamp int, hz float64)) {
		say(20, 0, 1000)
		say(5000, 4980, 1000)
	})
	if got.Ended != RecordLongest || len(pcm) != codec.SampleRate || got.Spoken != 20*time.Millisecond {
		t.Errorf("%d samples, %+v", len(pcm), got)
	}
}

// A session in each codec that can be decoded, with its engine, from the wire to the file.
func TestRecordSession(t *testing.T) {
	for name, pt := range map[string]uint8{"PCMA": 8, "PCMU": 0, "G722": 9} {
		t.Run(name, func(t *testing.T) {
			e := run(t, local)
			p := call(t, e, Options{Call: "x", Leg: "a"}, name)
			p.offers(SendRecv)
			p.isAnswered(nil)
			path := filepath.Join(t.TempDir(), "a.wav")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r, err := p.s.Record(f, RecordLimits{Longest: 400 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.s.Record(f, RecordLimits{}); !errors.Is(err, ErrRecording) {
				t.Errorf("a second recording: %v", err)
			}
			tone := Tone(1000, -10, time.Second).sound
			bytes := map[uint8][]byte{8: tone.ALaw, 0: tone.MuLaw, 9: tone.G722}[pt]
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for i := range 45 {
				p.say(pt, bytes[160*i:160*i+160])
				<-tick.C
			}
			p.wait(RecordDone)
			got := r.Wait()
			if got.Ended != RecordLongest || got.Err != nil || got.Dropped != 0 {
				t.Errorf("%+v", got)
			}
			pcm, err := codec.LoadWAV(path)
			if err != nil {
				t.Fatal(err)
			}
			if hz, level := codec.Frequency(pcm[1600:]); len(pcm) != 3200 || math.Abs(hz-1000) > 20 || math.Abs(level+10) > 1.5 {
				t.Errorf("%d samples, %.1f Hz at %.1f dBm0", len(pcm), hz, level)
			}
		})
	}
}

// A writer that hangs costs packets and never the relay loop.
func TestRecordSlowWriter(t *testing.T) {
	e := run(t, local)
	p := call(t, e, Options{Call: "x", Leg: "a"}, "PCMA")
	p.offers(SendRecv)
	p.isAnswered(nil)
	w := &stuck{release: make(chan struct{})}
	r, err := p.s.Record(w, RecordLimits{})
	if err != nil {
		t.Fatal(err)
	}
	pace := time.NewTicker(6 * time.Millisecond)
	defer pace.Stop()
	for end := time.Now().Add(5 * time.Second); r.dropped.Load() == 0; {
		if time.Now().After(end) {
			t.Fatal("nothing was dropped")
		}
		p.say(8, make([]byte, 160))
		p.s.Stats() // waits for the loop
		<-pace.C
	}
	p.s.Close()
	close(w.release)
	if got := r.Wait(); got.Dropped == 0 || got.Ended != RecordStopped {
		t.Errorf("%+v", got)
	}
}

// stuck is a disk that does not answer.
type stuck struct{ release chan struct{} }

func (s *stuck) Write(b []byte) (int, error)    { <-s.release; return len(b), nil }
func (s *stuck) Seek(int64, int) (int64, error) { return 0, nil }
