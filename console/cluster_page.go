package console

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"time"

	"tandem/cluster"
)

// The page of the pair is made on the server, and loads itself anew: it needs no script, and works from a terminal's browser.

//go:embed cluster.html
var clusterHTML string

var clusterTemplate = template.Must(template.New("cluster").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
}).Parse(clusterHTML))

// clusterPage serves the page at the HTTP address, beside the metrics.
func clusterPage(mux *http.ServeMux, status func() cluster.Status) {
	mux.HandleFunc("GET /cluster", func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		var b bytes.Buffer
		err := clusterTemplate.Execute(&b, struct {
			ClusterView
			Heads []string
			Now   time.Time
		}{ViewCluster(status(), now), MemberHeads, now})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(b.Bytes())
	})
}
