//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// subject is one server doing one thing.
type subject struct {
	Name    string    `json:"name"`
	Does    string    `json:"does"`
	Samples []float64 `json:"samples"` // microseconds of CPU for each unit, one for each round
	Median  float64   `json:"median"`
	Units   int       `json:"units"`
	Lost    int       `json:"lost"` // units that failed or packets that did not come back

	round func(d time.Duration) (units, lost int, err error)
	cpu   func() time.Duration
	spent func(d time.Duration) (units, lost int, used time.Duration, err error) // both in one, where work comes before and after
}

// work is one round and the CPU that it took.
func (x *subject) work(d time.Duration) (units, lost int, used time.Duration, err error) {
	if x.spent != nil {
		return x.spent(d)
	}
	before := x.cpu()
	units, lost, err = x.round(d)
	return units, lost, x.cpu() - before, err
}

// section is one question: what does a unit of work cost, here and there.
type section struct {
	Title    string     `json:"title"`
	Unit     string     `json:"unit"`
	Subjects []*subject `json:"subjects"`
	Aims     []*aim     `json:"aims"`
	Notes    []string   `json:"notes,omitempty"` // figures that are no CPU
}

// aim is the most that our figure may be of the other's.
type aim struct {
	Ours   string  `json:"ours"`
	Theirs string  `json:"theirs"`
	Most   float64 `json:"most"`  // 0: no aim, the ratio is for information
	Ratio  float64 `json:"ratio"` // median of the rounds' ratios: neighbours in time were disturbed alike
}

// report is all that was measured.
type report struct {
	Date     time.Time  `json:"date"`
	Machine  string     `json:"machine"`
	Versions []string   `json:"versions"`
	Rounds   int        `json:"rounds"`
	Seconds  float64    `json:"seconds"` // of each round of a subject
	Sections []*section `json:"sections"`
}

// measure has the subjects take turns.
func (s *section) measure(rounds int, d time.Duration) error {
	for range rounds {
		for _, x := range s.Subjects {
			units, lost, used, err := x.work(d)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", s.Title, x.Name, err)
			}
			if units == 0 {
				return fmt.Errorf("%s: %s did nothing", s.Title, x.Name)
			}
			x.Samples = append(x.Samples, float64(used.Microseconds())/float64(units))
			x.Units += units
			x.Lost += lost
		}
	}
	for _, x := range s.Subjects {
		x.Median = median(x.Samples)
	}
	for _, a := range s.Aims {
		ours, theirs := s.find(a.Ours), s.find(a.Theirs)
		ratios := make([]float64, rounds)
		for i := range ratios {
			ratios[i] = ours.Samples[i] / theirs.Samples[i]
		}
		a.Ratio = median(ratios)
	}
	return nil
}

func (s *section) find(name string) *subject {
	i := slices.IndexFunc(s.Subjects, func(x *subject) bool { return x.Name == name })
	return s.Subjects[i]
}

func median(samples []float64) float64 {
	s := slices.Sorted(slices.Values(samples))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// print writes one section as a table.
func (s *section) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", s.Title)
	for _, x := range s.Subjects {
		fmt.Fprintf(w, "  %-28s %8.1f µs  %8d %s, %d lost  [%s]\n", x.Name, x.Median, x.Units, s.Unit, x.Lost, join(x.Samples))
		fmt.Fprintf(w, "      %s\n", x.Does)
	}
	for _, n := range s.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
	for _, a := range s.Aims {
		verdict := ""
		switch {
		case a.Most > 0 && a.Ratio <= a.Most:
			verdict = fmt.Sprintf(" (aim: at most %.2f, met)", a.Most)
		case a.Most > 0:
			verdict = fmt.Sprintf(" (aim: at most %.2f, MISSED)", a.Most)
		}
		fmt.Fprintf(w, "  %.2f  %s / %s%s\n", a.Ratio, a.Ours, a.Theirs, verdict)
	}
}

func join(samples []float64) string {
	texts := make([]string, len(samples))
	for i, x := range samples {
		texts[i] = fmt.Sprintf("%.1f", x)
	}
	return strings.Join(texts, " ")
}

func (r *report) save(file string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}
