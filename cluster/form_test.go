package cluster

import (
	"slices"
	"testing"
)

// N-1, N, N-1: what is written is what all switches read; a witness reads nothing, and one that is away is remembered.
func TestForm(t *testing.T) {
	var told []uint8
	e := &Engine{log: quiet, cfg: Config{Node: "a", Form: 3, Members: []Member{{Name: "a"}, {Name: "b"}, {Name: "w", Witness: true}},
		Tell: func(Event) {}, Formed: func(f uint8) { told = append(told, f) }}}
	e.peers.all = map[string]Peer{}
	if e.Form() != 3 {
		t.Errorf("alone: %d", e.Form())
	}
	for _, step := range []struct {
		name  string
		heard Peer
		want  uint8
		told  []uint8
	}{
		{"a witness", Peer{Node: "w"}, 3, nil},
		{"this node itself", Peer{Node: "a", Form: 3}, 3, nil},
		{"a node of the version before", Peer{Node: "b", Form: 2}, 2, []uint8{2}},
		{"again", Peer{Node: "b", Form: 2}, 2, []uint8{2}},
		{"it has been upgraded", Peer{Node: "b", Form: 3}, 3, []uint8{2, 3}},
		{"it is one ahead", Peer{Node: "b", Form: 4}, 3, []uint8{2, 3}},
		{"it is so old that it does not say", Peer{Node: "b"}, 1, []uint8{2, 3, 1}},
	} {
		e.peers.all[step.heard.Node] = step.heard
		e.agree()
		if got := e.Form(); got != step.want || !slices.Equal(told, step.told) {
			t.Errorf("%s: form %d, told %v", step.name, got, told)
		}
	}
}
