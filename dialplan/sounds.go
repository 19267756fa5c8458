package dialplan

import (
	"maps"
	"slices"
)

// Sounds gives the absolute path of every file that some step plays, sorted, each once.
func (p *Plan) Sounds() []string {
	files := map[string]bool{}
	for _, r := range p.routes {
		sounds(r.steps, files)
	}
	return slices.Sorted(maps.Keys(files))
}

func sounds(steps []Step, files map[string]bool) {
	file := func(path string) {
		if path != "" {
			files[path] = true
		}
	}
	for _, s := range steps {
		var on []Handler
		switch s := s.(type) {
		case Play:
			file(s.File)
		case Menu:
			file(s.Greeting)
			file(s.Invalid)
			for _, c := range s.choices {
				sounds(c.steps, files)
			}
			sounds(s.Otherwise, files)
		case Voicemail:
			file(s.Greeting)
		case Hook:
			sounds(s.Otherwise, files)
		case Dial:
			on = s.On
		case Ring:
			on = s.On
		}
		for _, h := range on {
			sounds(h.Steps, files)
		}
	}
}
