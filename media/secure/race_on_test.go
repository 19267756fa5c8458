//go:build race

package secure

// Under the race detector sync.Pool drops a part of what it is given, and pion's counter mode keeps its scratch there.
const poolLeaks = true
