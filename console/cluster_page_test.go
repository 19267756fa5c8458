package console

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tandem/cluster"
)

// The page says first whether all is well, shows members and events, and takes nothing from them as HTML.
func TestClusterPage(t *testing.T) {
	now := time.Now()
	hot, _ := json.Marshal(map[string]any{"version": "1.2", "hot": true, "registrations": 1000, "standing": 20})
	s := cluster.Status{
		Node: "a", Role: "active", Since: now.Add(-3 * time.Hour), Epoch: 7, Held: true, Active: "a", Put: 5000, Here: true,
		Address: []string{"198.51.100.10/24"}, Certificate: now.Add(300 * 24 * time.Hour), Problems: []string{},
		Members: []cluster.Peer{
			{Node: "a", Role: "active", Epoch: 7, Heard: now, Certificate: now.Add(300 * 24 * time.Hour), Election: 150 * time.Millisecond, Late: 3 * time.Millisecond},
			{Node: "b", Role: "standby", Heard: now, Report: hot, Plan: "3f2a", Leads: []string{"reg", "call"}, Health: &cluster.Health{}},
			{Node: "w", Role: cluster.NotHeard, Heard: now.Add(-time.Minute)},
		},
		Events: []cluster.Happening{{At: now.Add(-time.Minute), Name: "role", Detail: "active"}, {At: now, Name: "hook failed", Alarm: true, Detail: "<script>alert(1)</script>"}},
	}
	mux := http.NewServeMux()
	clusterPage(mux, func() cluster.Status { return s })
	get := func() string {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/cluster", nil))
		body, _ := io.ReadAll(w.Result().Body)
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		return string(body)
	}
	s.Members[2] = cluster.Peer{Node: "w", Role: "witness", Heard: now}
	if page := get(); !strings.Contains(page, `<h1 class="well">well</h1>`) {
		t.Errorf("not well:\n%s", page)
	}
	s.Members[2] = cluster.Peer{Node: "w", Role: cluster.NotHeard, Heard: now.Add(-time.Minute)}
	s.Problems = []string{"node w is not heard: one more fault and nobody serves"}
	page := get()
	for _, want := range []string{"<h1>a serves, 1 problem</h1>", "<li>node w is not heard", "<td>not heard for 1m0s</td>", "<td>3ms of 150ms</td>", "<td>yes</td>", "&lt;script&gt;", `class="alarm"`, `class="served"`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in the page", want)
		}
	}
	if strings.Contains(page, "<script") {
		t.Error("a detail is HTML")
	}
	if strings.Index(page, "hook failed") > strings.Index(page, "<td>role</td>") {
		t.Error("the newest event is not first")
	}
}

// How far a clock is off is a metric of each member that has been measured.
func TestClusterClockMetric(t *testing.T) {
	s := cluster.Status{Node: "a", Role: "active", Members: []cluster.Peer{
		{Node: "a", Role: "active"}, {Node: "b", Role: "standby", Clock: &cluster.Clock{Ahead: -90 * time.Minute}}, {Node: "w", Role: "witness"},
	}}
	w := httptest.NewRecorder()
	clusterMetrics(func() cluster.Status { return s }, "1.2").ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if body := w.Body.String(); !strings.Contains(body, "tandem_cluster_clock_ahead_seconds{member=\"b\"} -5400\n") || strings.Count(body, "clock_ahead_seconds{") != 1 {
		t.Errorf("metrics:\n%s", body)
	}
}
