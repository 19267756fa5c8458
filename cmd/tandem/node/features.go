package node

import (
	"fmt"
	"time"

	"tandem/console"
	"tandem/dialplan"
)

// Features is what an extension does with calls for it.
func (v view) Features(extension string) (console.Features, error) {
	f, err := v.n.board.Features(extension)
	return console.Features{Extension: extension, Features: f}, err
}

// Set does what an operator sets. A number is one that the extension could call itself.
func (v view) Set(extension string, set dialplan.Set) error {
	if !v.n.state.Lease().Held() {
		return console.ErrStandsBy
	}
	if err := set.Valid(); err != nil {
		return err
	}
	if set.Number != "" {
		number, err := v.n.board.MayForward(extension, set.Number)
		if err != nil {
			return err
		}
		set.Number = number
	}
	return v.n.board.Set(extension, set)
}

// NightSwitch is a schedule as it is now.
func (v view) NightSwitch(schedule string) (console.NightSwitch, error) {
	s, ok := v.n.board.Settings().Plan.Schedule(schedule)
	if !ok {
		return console.NightSwitch{}, fmt.Errorf("there is no schedule %q", schedule)
	}
	out := console.NightSwitch{Schedule: schedule, State: dialplan.ByHours, Open: s.Open(time.Now())}
	if open, byHand := v.n.board.Switches()[schedule]; byHand {
		out.State, out.Open = dialplan.ClosedByHand, open
		if open {
			out.State = dialplan.OpenByHand
		}
	}
	return out, nil
}
