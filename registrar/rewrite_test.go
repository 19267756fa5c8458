package registrar

import (
	"fmt"
	"testing"

	"tandem/sip/transport"
)

// counted counts what a journal is told.
type counted map[string]int

func (c counted) Put(r Record)      { c[r.AOR] += len(r.Bindings) }
func (c counted) Delete(aor string) { delete(c, aor) }

// Everything that is bound is told again, once; whoever has enough ends it.
func TestRewrite(t *testing.T) {
	told := counted{}
	s := NewStore(told)
	const phones = 1000
	for n := range phones {
		aor := fmt.Sprint(1000 + n)
		s.Apply(start, Record{AOR: aor, Bindings: []BindingRecord{{Contact: "sip:" + aor + "@192.0.2.1", CallID: "x", Expires: start.Add(60e9)}}},
			func(FlowRecord) transport.Flow { return transport.Flow{} })
	}
	clear(told) // what a standby applies it may have told, or not
	s.Rewrite(func() bool { return true })
	if len(told) != phones || told["1500"] != 1 {
		t.Errorf("%d of %d told again", len(told), phones)
	}
	clear(told)
	s.Rewrite(func() bool { return false })
	if len(told) == 0 || len(told) > phones/10 {
		t.Errorf("%d told after the end", len(told))
	}
	NewStore(nil).Rewrite(func() bool { t.Error("without a journal"); return true })
}
