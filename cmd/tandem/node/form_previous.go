//go:build previous

package node

// A build with the tag "previous" is a node of the version before, as far as its records go: test/cluster exchanges nodes for it.
const newestForm = ringingForm - 1
