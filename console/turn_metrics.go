package console

import "tandem/media/turn"

// turnFamilies are the metrics of the relay for browsers, where we run one.
type turnFamilies struct {
	turnAllocations, turnCreated, turnRefused, turnBytes *metric
}

func newTURNFamilies() turnFamilies {
	return turnFamilies{
		turnAllocations: gauge("turn_allocations", "Ports lent to browsers."),
		turnCreated:     counter("turn_allocations_created", "Ports lent."),
		turnRefused:     counter("turn_refused", "Requests and packets refused.", "reason"),
		turnBytes:       counter("turn_bytes", "Bytes from browsers to our media, and back.", "direction"),
	}
}

func (c collector) collectTURN(put func(m *metric, v float64, labels ...string)) {
	if c.src.TURN == nil {
		return
	}
	t, runs := c.src.TURN()
	if !runs {
		return
	}
	put(c.turnAllocations, float64(t.Allocations))
	put(c.turnCreated, float64(t.Created))
	put(c.turnBytes, float64(t.In), "in")
	put(c.turnBytes, float64(t.Out), "out")
	for reason, n := range t.Refused {
		put(c.turnRefused, float64(n), reason)
	}
}

// TURNCounts gives the counts of the relay; false: we run none.
type TURNCounts = func() (turn.Counts, bool)
