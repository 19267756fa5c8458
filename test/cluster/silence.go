package cluster

import (
	"slices"
	"time"

	"tandem/test/wire"
)

// gap is the longest time in which one of the two heard nothing.
func (c *talk) gap() (longest time.Duration) {
	for me, other := range map[*wire.Media]*wire.Media{c.am: c.bm, c.bm: c.am} {
		run, last := 0, uint32(0)
		for _, n := range me.Missing(other.Mark) {
			if run++; n != last+1 {
				run = 1
			}
			last = n
			longest = max(longest, time.Duration(run+1)*20*time.Millisecond)
		}
	}
	return longest
}

// said is how many packets each side of each call has sent.
func said(talks []*talk) [][2]uint32 {
	all := make([][2]uint32, len(talks))
	for i, c := range talks {
		all[i] = [2]uint32{c.am.Count(), c.bm.Count()}
	}
	return all
}

// silences are the longest ones of each call since so much was said, in order; and how many packets were sent, and how many were lost besides.
func silences(talks []*talk, since [][2]uint32) (gaps []time.Duration, lost, sent int) {
	for i, c := range talks {
		gap := time.Duration(0)
		for side, m := range []*wire.Media{c.am, c.bm} {
			run, missing := missed([]*wire.Media{c.bm, c.am}[side].Missing(m.Mark), since[i][side])
			gap = max(gap, time.Duration(run+1)*20*time.Millisecond)
			lost += missing - run
			sent += int(m.Count() - since[i][side])
		}
		gaps = append(gaps, gap)
	}
	slices.Sort(gaps)
	return gaps, lost, sent
}

// missed is the longest run among the missing packets after one, and how many there are.
func missed(counts []uint32, after uint32) (longest, all int) {
	run, last := 0, uint32(0)
	for _, n := range counts {
		if n <= after {
			continue
		}
		all++
		if run++; n != last+1 {
			run = 1
		}
		last = n
		longest = max(longest, run)
	}
	return longest, all
}
