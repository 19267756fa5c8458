package console

import (
	"log/slog"
	"net/http"
	"net/url"

	"tandem/cluster"
)

// Clustered is what the console asks of a node about its state engine and its pair.
type Clustered interface {
	Cluster() cluster.Status
	// Failover lets the standby serve; rehearse only tells what would come of it. An error says why nothing changed.
	Failover(rehearse bool) (cluster.Rehearsal, error)
}

// clusterAPI is the part of the admin API for pairs.
func clusterAPI(mux *http.ServeMux, s Clustered) {
	mux.HandleFunc("GET /v1/cluster", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Cluster()) })
	mux.HandleFunc("POST /v1/failover", func(w http.ResponseWriter, r *http.Request) {
		answer, err := s.Failover(r.FormValue("rehearse") != "")
		if err != nil {
			refuse(w, http.StatusConflict, err)
			return
		}
		reply(w, answer)
	})
}

// Cluster asks for the state engine and the pair.
func (c *Client) Cluster() (s cluster.Status, err error) {
	return s, c.ask(http.MethodGet, "/v1/cluster", &s)
}

// Failover lets the standby serve, or tells what would come of it.
func (c *Client) Failover(rehearse bool) (r cluster.Rehearsal, err error) {
	path := "/v1/failover"
	if rehearse {
		path += "?" + url.Values{"rehearse": {"1"}}.Encode()
	}
	return r, c.ask(http.MethodPost, path, &r)
}

// NewWitness serves what a witness has: the pair, its metrics, and health.
func NewWitness(cfg Config, s Clustered, version string, log *slog.Logger) (*Server, error) {
	api := http.NewServeMux()
	clusterAPI(api, s)
	open := http.NewServeMux()
	open.Handle("GET /metrics", clusterMetrics(s.Cluster, version))
	open.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	return bind(cfg, api, open, log)
}
