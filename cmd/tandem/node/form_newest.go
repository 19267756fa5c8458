//go:build !previous

package node

const newestForm = ringingForm
