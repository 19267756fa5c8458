//go:build race

package dialplan

// spare is what the race detector adds to the allocations of a call: sync.Pool drops a part of what it is given.
const spare = 4
