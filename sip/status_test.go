package sip

import (
	"fmt"
	"testing"
)

// What is refused together comes back spread over as long again as it was told to stay away at least.
func TestRetryAfter(t *testing.T) {
	seen := map[int]bool{}
	for range 1000 {
		var seconds int
		if _, err := fmt.Sscanf(RetryAfter(5), "Retry-After: %d", &seconds); err != nil || seconds < 5 || seconds > 10 {
			t.Fatalf("%d: %v", seconds, err)
		}
		seen[seconds] = true
	}
	if len(seen) != 6 {
		t.Errorf("only %v", seen)
	}
}
