package registrar

// Rewrite tells the journal of everything again, as when what it has kept is of a form that a node of the version before cannot read.
// Between is called after each few hundred; false ends it.
func (s *Store) Rewrite(between func() bool) {
	if s.journal == nil {
		return
	}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for aor, list := range sh.aors {
			s.journal.Put(recordOf(aor, list))
		}
		sh.mu.Unlock()
		if !between() {
			return
		}
	}
}
