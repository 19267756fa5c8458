package cluster

import "fmt"

// Nodes of two versions run side by side while a cluster is upgraded. Each says up to which form it reads values (Config.Form); what is
// written is of the newest form that all switches read, and what was written in a newer one is written again when an older node comes.

// oldestForm is that of nodes which do not say.
const oldestForm = 1

// Form is the newest form of values that this node and every switch that it has heard read. It is what a Write's Version may be.
func (e *Engine) Form() uint8 {
	if f := e.form.Load(); f != 0 {
		return uint8(f)
	}
	return max(e.cfg.Form, oldestForm)
}

// agree takes what a member has said of itself: of the newest form that all read, when it has changed, the rooms are told.
func (e *Engine) agree() {
	form := max(e.cfg.Form, oldestForm)
	e.peers.mu.Lock()
	for _, m := range e.cfg.Members {
		if p, heard := e.peers.all[m.Name]; heard && !m.Witness && m.Name != e.cfg.Node {
			form = min(form, max(p.Form, oldestForm))
		}
	}
	e.peers.mu.Unlock()
	before := e.Form()
	e.form.Store(uint32(form))
	if form == before {
		return
	}
	e.tell(Event{Name: "form of records", Detail: fmt.Sprintf("records are of form %d now, not %d: all nodes read it", form, before)})
	if e.cfg.Formed != nil {
		e.cfg.Formed(form)
	}
}
