package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"tandem/cluster"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What an operator reads in each state of a cluster: the first line must say how it is.
func TestClusterStatusInWords(t *testing.T) {
	in := time.Now().Add(300*24*time.Hour + time.Hour)
	says := func(hot bool, calls, standing int) json.RawMessage {
		b, _ := json.Marshal(map[string]any{"version": "1.2", "hot": hot, "registrations": 1000, "calls": calls, "standing": standing})
		return b
	}
	streams := []string{"reg", "call", "media", "cdr", "state"}
	member := func(name, role string) cluster.Peer {
		p := cluster.Peer{Node: name, Role: role, Certificate: in, Election: 150 * time.Millisecond, Late: 12 * time.Millisecond, Heard: time.Now()}
		switch role {
		case "active":
			p.Epoch, p.Held, p.Plan, p.Health, p.Report = 7, true, "3f2a", &cluster.Health{}, says(true, 20, 0)
		case "standby":
			p.Plan, p.Health, p.Report, p.Leads = "3f2a", &cluster.Health{}, says(true, 0, 20), streams
		case cluster.NotHeard:
			return cluster.Peer{Node: name, Role: role, Heard: time.Now().Add(-90 * time.Second)}
		}
		return p
	}
	whole := func() cluster.Status {
		return cluster.Status{
			Node: "a", Role: "active", Since: time.Now().Add(-3 * time.Hour), Epoch: 7, Held: true, Active: "a", Put: 5000, Late: 2, Here: true,
			Address: []string{"198.51.100.10/24 on eth0"}, Certificate: in, Problems: []string{},
			Members: []cluster.Peer{member("a", "active"), member("b", "standby"), member("w", "witness")},
		}
	}
	states := map[string]func(*cluster.Status){
		"well": func(*cluster.Status) {},
		"standby-down": func(s *cluster.Status) {
			s.Members[1] = member("b", cluster.NotHeard)
			s.Problems = []string{"node b is not heard: one more fault and nobody serves"}
		},
		"witness-down": func(s *cluster.Status) {
			s.Members[2] = member("w", cluster.NotHeard)
			s.Problems = []string{"node w is not heard: one more fault and nobody serves"}
		},
		"not-synced": func(s *cluster.Status) { s.Members[1].Report, s.Members[1].Leads = says(false, 0, 3), nil },
		"degraded": func(s *cluster.Status) {
			s.Degraded, s.Waits, s.Late = true, 41, 41
			s.Problems = []string{"41 records wait in memory because the store does not take them: a second fault would lose them"}
		},
		"coincide": func(s *cluster.Status) {
			s.Coincide, s.Leads, s.Members[0].Leads, s.Members[1].Leads = true, streams, streams, nil
			s.Problems = []string{"the active node leads streams of the store: if it died now, writes would wait for seconds"}
		},
		"clocks-apart": func(s *cluster.Status) {
			s.Members[1].Clock = &cluster.Clock{Ahead: time.Hour}
			s.Problems = []string{"the clock of node b is 1h0m0s ahead of this one's: run an NTP client on all members"}
		},
		"suspended": func(s *cluster.Status) {
			s.Role, s.Held, s.Here, s.Members[0].Role = "suspended", false, false, "suspended"
			s.Active, s.Problems = "", []string{"nobody is active", "node b is not heard", "node w is not heard"}
			s.Members[1], s.Members[2] = member("b", cluster.NotHeard), member("w", cluster.NotHeard)
		},
		"deposed": func(s *cluster.Status) {
			s.Node, s.Role, s.Epoch, s.Held, s.Here, s.Active = "a", "standby", 0, false, false, "b"
			s.Members = []cluster.Peer{member("a", "standby"), member("b", "active"), member("w", "witness")}
			s.Members[0].Report = says(false, 0, 0)
		},
		"no-majority": func(s *cluster.Status) {
			s.Role, s.Epoch, s.Held, s.Here, s.Active = "no majority", 0, false, false, ""
			s.Members = []cluster.Peer{member("a", "no majority"), member("b", cluster.NotHeard), member("w", cluster.NotHeard)}
			s.Problems = []string{"this node reaches no majority of the members, so nobody is promoted: bring one of the others back", "node b is not heard", "node w is not heard"}
		},
		"two-machines": func(s *cluster.Status) {
			s.Copy, s.Members = "whole", s.Members[:2]
			for i := range s.Members {
				s.Members[i].Election, s.Members[i].Leads = 0, nil
			}
		},
		"outside-store": func(s *cluster.Status) { s.Store = "tls://nats-1.example.com:4222" },
		"single": func(s *cluster.Status) {
			*s = cluster.Status{Node: "single", Role: "single", Epoch: 3, Held: true, Active: "single", Put: 12, Problems: []string{}}
		},
	}
	for name, change := range states {
		t.Run(name, func(t *testing.T) {
			s := whole()
			change(&s)
			var b bytes.Buffer
			w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
			printCluster(w, s)
			_ = w.Flush()
			got := strings.ReplaceAll(b.String(), in.Format(time.DateOnly), "YEAR-MM-DD")
			file := filepath.Join("testdata", "cluster", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || got != string(want) {
				t.Errorf("%v; it says\n%s", err, got)
			}
			first, _, _ := strings.Cut(got, "\n")
			well := slices.Contains([]string{"well", "single", "two-machines", "outside-store"}, name)
			if strings.HasSuffix(first, "well") != well {
				t.Errorf("first line: %s", first)
			}
		})
	}
}
