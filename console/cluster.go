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
	// TakeOver promotes this node of two without a witness by a person's word that the other one is off.
	TakeOver() (cluster.Status, error)
	// Renew exchanges the certificate of this node.
	Renew() (cluster.Status, error)
	// Remove takes the machine that has a name out of the cluster.
	Remove(node string) (cluster.Status, error)
	// Notify is keepalived's word for this node: MASTER, BACKUP, FAULT or STOP.
	Notify(state string) (cluster.Status, error)
	// Settle writes the records of calls that a node had claimed which will never be back; asked of the node that serves.
	Settle(node string) (Settled, error)
}

// Settled says whose records were written.
type Settled struct {
	Node  string   `json:"node"`  // that had claimed them
	Calls []string `json:"calls"` // their calls
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
	mux.HandleFunc("POST /v1/cluster/promote", func(w http.ResponseWriter, _ *http.Request) { replyOr(w)(s.TakeOver()) })
	mux.HandleFunc("POST /v1/cluster/renew", func(w http.ResponseWriter, _ *http.Request) { replyOr(w)(s.Renew()) })
	mux.HandleFunc("POST /v1/cluster/remove", func(w http.ResponseWriter, r *http.Request) { replyOr(w)(s.Remove(r.FormValue("node"))) })
	mux.HandleFunc("POST /v1/cluster/notify", func(w http.ResponseWriter, r *http.Request) { replyOr(w)(s.Notify(r.FormValue("state"))) })
	mux.HandleFunc("POST /v1/cluster/settle", func(w http.ResponseWriter, r *http.Request) {
		answer, err := s.Settle(r.FormValue("node"))
		if err != nil {
			refuse(w, http.StatusConflict, err)
			return
		}
		reply(w, answer)
	})
}

func replyOr(w http.ResponseWriter) func(cluster.Status, error) {
	return func(s cluster.Status, err error) {
		if err != nil {
			refuse(w, http.StatusConflict, err)
			return
		}
		reply(w, s)
	}
}

// TakeOver promotes the node by a person's word.
func (c *Client) TakeOver() (s cluster.Status, err error) {
	return s, c.ask(http.MethodPost, "/v1/cluster/promote", &s)
}

// Renew exchanges the certificate of the node.
func (c *Client) Renew() (s cluster.Status, err error) {
	return s, c.ask(http.MethodPost, "/v1/cluster/renew", &s)
}

// Remove takes the machine that has a name out of the cluster.
func (c *Client) Remove(node string) (s cluster.Status, err error) {
	return s, c.ask(http.MethodPost, "/v1/cluster/remove?"+url.Values{"node": {node}}.Encode(), &s)
}

// Notify gives keepalived's word to the node.
func (c *Client) Notify(state string) (s cluster.Status, err error) {
	return s, c.ask(http.MethodPost, "/v1/cluster/notify?"+url.Values{"state": {state}}.Encode(), &s)
}

// Settle has the records written that a lost node had claimed.
func (c *Client) Settle(node string) (s Settled, err error) {
	return s, c.ask(http.MethodPost, "/v1/cluster/settle?"+url.Values{"node": {node}}.Encode(), &s)
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
	clusterPage(open, s.Cluster)
	open.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	return bind(cfg, api, open, log)
}
