package dialplan

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
)

// What a web server answers leads to steps that the plan has, or to an error.
func FuzzHookAnswer(f *testing.F) {
	src := sourceOf(f, attended)
	src.Secret = func(hcl.Expression) (string, hcl.Diagnostics) { return "key", nil }
	p, d := Compile(src)
	if p == nil {
		f.Fatal(describeAll(d))
	}
	for _, seed := range []string{
		`{"steps":[{"step":"play","file":"/sounds/sorry.wav"},{"step":"dial","extension":"1002","timeout":20}]}`,
		`{"steps":[{"step":"dial","trunks":["a"],"number":"+33140000000"}]}`, `{"steps":[{"step":"ring","group":"all"}]}`,
		`{"steps":[{"step":"reject","status":603}]}`, `{"steps":[{"step":"redirect","to":"1002"}]}`, `{"steps":[]}`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		steps, err := p.Answer(Facts{From: "1001", To: "102"}, answer)
		if err != nil {
			return
		}
		if len(steps) == 0 || len(steps) > mostAnswered {
			t.Fatalf("%d steps of %q", len(steps), answer)
		}
		for _, s := range steps {
			d, ok := s.(Dial)
			if !ok {
				continue
			}
			for _, target := range d.Targets {
				if p.extensions[target.Extension] == nil && p.trunks[target.Trunk] == nil {
					t.Fatalf("%+v of %q", target, answer)
				}
			}
		}
	})
}
