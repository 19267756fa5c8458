package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"strconv"
	"time"
)

// Secrets follow from the cluster's key (RFC 5869), which every node has since it joined. So they are the same on each, need no
// record, and are there before the store is. A new cluster has new ones.

// Secret is a key of 32 bytes that every node of the cluster has under a name, and nobody else; it outlives the process.
func (e *Engine) Secret(name string) []byte {
	k, err := hkdf.Key(sha256.New, e.open.key, nil, "tandem secret "+name, keyLength)
	if err != nil {
		panic(err) // the length is a constant that HKDF allows
	}
	return k
}

// PrivateKey is a key of the curve P-256 that every node has under a name.
func (e *Engine) PrivateKey(name string) *ecdsa.PrivateKey {
	for n := 0; ; n++ { // one number in four thousand million is no key: then the next one
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), e.Secret(name+" "+strconv.Itoa(n))); err == nil {
			return key
		}
	}
}

// ticketLife is how long a key seals tickets. One of the period before opens what it has sealed, and so does one of the period to
// come: the clocks of two machines differ.
const ticketLife = 12 * time.Hour

// TicketKeys are the keys of TLS sessions at a time, the one that seals first: every node resumes what another began. They change by
// the clock, so a ticket is good for a day at most.
func (e *Engine) TicketKeys(now time.Time) [][32]byte {
	period := now.UnixNano() / int64(ticketLife)
	keys := make([][32]byte, 0, 3)
	for _, n := range []int64{period, period - 1, period + 1} {
		keys = append(keys, [32]byte(e.Secret("tickets "+strconv.FormatInt(n, 10))))
	}
	return keys
}
