package transaction

import "sync"

// mergeIndex knows the live server transactions of requests outside dialogs by what they have in common when
// they come over several ways (RFC 3261 §8.2.2.2). It has as many parts as the table has shards.
type mergeIndex struct{ parts []mergePart }

type mergePart struct {
	mu   sync.Mutex
	keys map[mergeKey]string // key of the transaction that came first
}

func (x *mergeIndex) init(parts int) {
	x.parts = make([]mergePart, parts)
	for i := range x.parts {
		x.parts[i].keys = map[mergeKey]string{}
	}
}

func (x *mergeIndex) part(k mergeKey) *mergePart { return &x.parts[k.a&uint64(len(x.parts)-1)] }

// other tells whether a transaction with another key has the same merge key.
func (x *mergeIndex) other(k mergeKey, key []byte) bool {
	p := x.part(k)
	p.mu.Lock()
	first, found := p.keys[k]
	p.mu.Unlock()
	return found && first != string(key)
}

// claim enters a transaction; false: another one was there before.
func (x *mergeIndex) claim(k mergeKey, key string) bool {
	p := x.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	if first, found := p.keys[k]; found {
		return first == key
	}
	p.keys[k] = key
	return true
}

// release forgets a transaction that has ended.
func (x *mergeIndex) release(k mergeKey, key string) {
	p := x.part(k)
	p.mu.Lock()
	if p.keys[k] == key {
		delete(p.keys, k)
	}
	p.mu.Unlock()
}
