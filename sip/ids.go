package sip

import "crypto/rand"

// NewTag makes a From or To tag: 128 bits or more of randomness in token characters (RFC 3261 §19.3 asks for 32).
func NewTag() string { return rand.Text() }

// NewBranch makes a branch with the magic cookie (RFC 3261 §8.1.1.7).
func NewBranch() string { return MagicCookie + rand.Text() }

// NewCallID makes a Call-ID that tells nothing of the host that made it.
func NewCallID() string { return rand.Text() }
