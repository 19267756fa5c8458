//go:build !race

package dialplan

const spare = 0
