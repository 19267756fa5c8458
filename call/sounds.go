package call

import (
	"time"

	"tandem/media"
)

// sounds are what the switch itself has to say without words.
type sounds struct {
	quiet    media.Clip   // a second of silence
	ring     media.Clip   // a phone rings somewhere (ETSI EN 300 001: 425 Hz, 1 s of 5)
	greeting media.Clip   // somebody is not there
	beep     media.Clip   // speak now
	fresh    []media.Clip // so many new messages, from one on
	none     media.Clip   // there is nothing more
	done     media.Clip   // it is kept
	erased   media.Clip   // it is deleted
	failed   media.Clip   // it could not be done
}

func makeSounds() *sounds {
	const ms = time.Millisecond
	s := &sounds{
		quiet:    media.Quiet(time.Second),
		ring:     media.Beeps(media.Beep{Hz: 425, On: time.Second, Off: 4 * time.Second}),
		greeting: media.Beeps(media.Beep{Hz: 523, On: 250 * ms, Off: 50 * ms}, media.Beep{Hz: 659, On: 250 * ms, Off: 50 * ms}, media.Beep{Hz: 523, On: 400 * ms, Off: 400 * ms}),
		beep:     media.Beeps(media.Beep{Hz: 1000, On: 400 * ms, Off: 100 * ms}),
		none:     media.Beeps(media.Beep{Hz: 400, On: 600 * ms, Off: 200 * ms}),
		done:     media.Beeps(media.Beep{Hz: 1200, On: 250 * ms, Off: 200 * ms}),
		erased:   media.Beeps(media.Beep{Hz: 700, On: 250 * ms}, media.Beep{Hz: 500, On: 250 * ms, Off: 200 * ms}),
		failed:   media.Beeps(media.Beep{Hz: 480, On: 250 * ms, Off: 250 * ms}, media.Beep{Hz: 480, On: 250 * ms, Off: 250 * ms}),
	}
	var count []media.Beep
	for range mostCounted {
		count = append(count, media.Beep{Hz: 850, On: 200 * ms, Off: 300 * ms})
		s.fresh = append(s.fresh, media.Beeps(count...))
	}
	return s
}
