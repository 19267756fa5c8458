package cluster

import (
	"os"
	"path/filepath"
	"testing"
)

// keepalived waits for no script of its own: what it told last counts, whichever comes first.
func TestKeepalivedScriptsOvertakeEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := &hand{e: &Engine{log: quiet, cfg: Config{Dir: dir}}}
	said := func(nudge keepalivedWord) keepalivedWord { return h.newest(order{notify: nudge}).notify }
	if got := said(keepalivedMaster); got != keepalivedMaster {
		t.Errorf("with nothing written down it obeys %q", got)
	}
	for _, c := range []struct {
		state string
		told  uint64
		want  keepalivedWord
	}{
		{"MASTER", 20, "MASTER"},
		{"BACKUP", 10, "MASTER"}, // started before, and slower
		{"BACKUP", 20, "BACKUP"}, // in the same tick: who comes last
		{"FAULT", 30, "FAULT"},
		{"MASTER", 29, "FAULT"},
	} {
		if err := noteKeepalived(dir, c.state, c.told); err != nil {
			t.Fatal(err)
		}
		for _, nudge := range []keepalivedWord{"MASTER", "BACKUP"} {
			if got := said(nudge); got != c.want {
				t.Errorf("after %s of %d it obeys %s by %s, want %s", c.state, c.told, nudge, got, c.want)
			}
		}
	}
	if err := noteOutdone(dir); err != nil {
		t.Fatal(err)
	}
	if n, err := readKeepalived(dir); err != nil || n.State != "FAULT" || !n.Outdone {
		t.Errorf("after the other was promoted: %+v %v", n, err)
	}
	if err := noteKeepalived(dir, "MASTER", 39); err != nil {
		t.Fatal(err)
	}
	if n, err := readKeepalived(dir); err != nil || n.State != "MASTER" || n.Outdone {
		t.Errorf("told anew: %+v %v", n, err)
	}
	if err := noteKeepalived(dir, "sleeping", 40); err == nil {
		t.Error("a word that keepalived does not have is taken")
	}
	if err := os.WriteFile(filepath.Join(dir, "keepalived.json"), []byte(`{"state":"MASTER","boot":"another","told":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := readKeepalived(dir); err != nil || n.State != "BACKUP" {
		t.Errorf("of the machine's life before it remembers %v %v", n, err)
	}
	if now, err := started(); err != nil || now == 0 {
		t.Errorf("started %d %v", now, err)
	}
}
