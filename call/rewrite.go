package call

// rewriteEvent has a call keep its state anew.
type rewriteEvent struct{}

// Rewrite has every call keep its state anew, as when what the journal has is of a form that a node of the version before cannot read. It
// does not block: each call writes in its own time.
func (s *Switchboard) Rewrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		c.postOnce(rewriteEvent{})
	}
}
