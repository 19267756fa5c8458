package phone

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseSound reads "tone:440", "tone:440@-20" (dBm0), "silence", "" or the name of a WAV or an Ogg Opus (.opus) file.
func parseSound(text string) (source, error) {
	if text == "" || text == "silence" {
		return nil, nil
	}
	if spec, ok := strings.CutPrefix(text, "tone:"); ok {
		freq, level, given := strings.Cut(spec, "@")
		hz, err := strconv.ParseFloat(freq, 64)
		if err != nil || !(hz > 0 && hz < sampleRate/2) {
			return nil, fmt.Errorf("tone %q: want a frequency between 0 and 4000 Hz", spec)
		}
		dbm0 := float64(defaultToneDBm0)
		if given {
			if dbm0, err = strconv.ParseFloat(level, 64); err != nil || !(dbm0 <= fullScaleDBm0) {
				return nil, fmt.Errorf("tone %q: the level is in dBm0, at most 3", spec)
			}
		}
		return newTone(hz, dbm0), nil
	}
	if strings.HasSuffix(text, ".opus") {
		return readOpus(text)
	}
	samples, err := readWAV(text)
	if err != nil {
		return nil, err
	}
	return &clip{samples: samples}, nil
}

// Play sends "tone:440" (Hz, with "@-20" at that level in dBm0), a WAV file, or "silence" in place of what was being
// sent. The channel closes when it is over; a tone never is until something else is played.
func (c *Call) Play(sound string) (<-chan struct{}, error) {
	audio, err := parseSound(sound)
	if err != nil {
		return nil, err
	}
	return c.stream.play(audio), nil
}

// PlayTone sends an endless tone at -10 dBm0.
func (c *Call) PlayTone(hz float64) { c.stream.play(newTone(hz, defaultToneDBm0)) }

// Silence sends silence.
func (c *Call) Silence() { c.stream.play(nil) }

// Record writes what is heard from now on to a 16-bit 8 kHz mono WAV file, until the end of the call or StopRecording.
func (c *Call) Record(path string) error { return c.stream.tape(path) }

// StopRecording finishes the file.
func (c *Call) StopRecording() error { return c.stream.stopTaping() }

// SendDTMF sends keys as telephone-events (RFC 4733), 160 ms each, and returns when the last is out.
func (c *Call) SendDTMF(ctx context.Context, keys string) error {
	keys, err := cleanDigits(keys)
	if err != nil {
		return err
	}
	return c.stream.sendDigits(ctx, keys)
}

// SendInfo sends keys as INFO with application/dtmf-relay, one request each.
func (c *Call) SendInfo(ctx context.Context, keys string) error {
	keys, err := cleanDigits(keys)
	if err != nil {
		return err
	}
	for _, key := range []byte(keys) {
		d := c.identity()
		request := d.draft("INFO")
		request.body, request.bodyType = infoBody(key, digitFrames*frameTime), infoRelay
		res, err := c.phone.exchange(ctx, request, c.nextSeq)
		if err != nil {
			return err
		}
		if !res.IsSuccess() {
			return statusError("INFO", res)
		}
	}
	return nil
}

// WaitTone returns when a tone of hz is heard, in audio that arrives after the call of it.
func (c *Call) WaitTone(ctx context.Context, hz float64) (Sound, error) {
	return c.stream.waitTone(ctx, hz)
}

// WaitQuiet returns when nothing louder than -50 dBm0 has been heard for the time given.
func (c *Call) WaitQuiet(ctx context.Context, quiet time.Duration) error {
	return c.stream.waitQuiet(ctx, quiet)
}

// WaitDTMF returns when the digits heard so far end with keys.
func (c *Call) WaitDTMF(ctx context.Context, keys string) error {
	return c.stream.waitDigits(ctx, strings.ToUpper(keys))
}

// SoundOf measures a WAV file: its last second that is not silence, or silence.
func SoundOf(path string) (Sound, error) {
	pcm, err := readWAV(path)
	if err != nil {
		return Sound{}, err
	}
	const step = sampleRate / 4
	for end := len(pcm); end > 0; end -= step {
		if sound := analyse(pcm[max(0, end-sampleRate):end]); sound.Level > silentDBm0 {
			return sound, nil
		}
	}
	return Sound{Level: levelDBm0(0)}, nil
}
