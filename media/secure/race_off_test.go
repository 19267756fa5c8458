//go:build !race

package secure

const poolLeaks = false
