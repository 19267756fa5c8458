package console

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tandem/cluster"
)

// clusterFamilies are the metrics of the state engine and of the pair. Their labels are bounded by the members.
type clusterFamilies struct {
	clusterActive, clusterEpoch, clusterLease, clusterDegraded, clusterWaiting, clusterProblems                 *metric
	clusterWritten, clusterLate, clusterLost, clusterHeard, clusterLeads, clusterCertificate, clusterHeartbeats *metric
	clusterCoincide, clusterAlarms, clusterClock                                                                *metric
}

func newClusterFamilies() clusterFamilies {
	return clusterFamilies{
		clusterActive:      gauge("cluster_active", "1 while this node is the one that serves."),
		clusterEpoch:       gauge("cluster_epoch", "Epoch in which it serves; 0: it does not."),
		clusterLease:       gauge("cluster_lease", "1 while it holds the right to serve."),
		clusterDegraded:    gauge("cluster_degraded", "1 while records are not held as they should be."),
		clusterWaiting:     gauge("cluster_records_waiting", "Records on their way to the store, or in memory until it is back."),
		clusterProblems:    gauge("cluster_problems", "What `tandem cluster status` complains of."),
		clusterWritten:     counter("cluster_records", "Records written."),
		clusterLate:        counter("cluster_records_late", "Of those, not taken by the store in time at first."),
		clusterLost:        counter("cluster_records_lost", "Of those, dropped because too much waited."),
		clusterHeard:       gauge("cluster_member_heard", "1 for each member that has been heard lately.", "member"),
		clusterCertificate: gauge("cluster_certificate_days", "Days until the certificate of this node ends."),
		clusterHeartbeats:  gauge("cluster_heartbeat_late_seconds", "How late heartbeats of the cluster came, or their answers: the worst of the last minute.", "member"),
		clusterClock:       gauge("cluster_clock_ahead_seconds", "How far the clock of another member is ahead of this node's; negative: behind.", "member"),
		clusterCoincide:    gauge("cluster_leader_coincides", "1 while the serving node leads streams of the store, although a standby could."),
		clusterAlarms:      counter("cluster_alarms", "Events of the cluster that are alarms."),
		clusterLeads:       gauge("cluster_streams_led", "Streams of the store that this node leads."),
	}
}

// all are the families in the order of the reference.
func (f clusterFamilies) all() []*metric {
	return []*metric{f.clusterActive, f.clusterEpoch, f.clusterLease, f.clusterProblems, f.clusterAlarms, f.clusterDegraded, f.clusterWaiting, f.clusterWritten,
		f.clusterLate, f.clusterLost, f.clusterHeard, f.clusterHeartbeats, f.clusterClock, f.clusterLeads, f.clusterCoincide, f.clusterCertificate}
}

func (f clusterFamilies) collect(s cluster.Status, put putter) {
	put(f.clusterActive, one(s.Epoch != 0))
	put(f.clusterEpoch, float64(s.Epoch))
	put(f.clusterLease, one(s.Held))
	put(f.clusterDegraded, one(s.Degraded))
	put(f.clusterWaiting, float64(s.Waits))
	put(f.clusterProblems, float64(len(s.Problems)))
	put(f.clusterWritten, float64(s.Put))
	put(f.clusterLate, float64(s.Late))
	put(f.clusterLost, float64(s.Lost))
	put(f.clusterLeads, float64(len(s.Leads)))
	put(f.clusterCoincide, one(s.Coincide))
	put(f.clusterAlarms, float64(s.Alarms))
	if !s.Certificate.IsZero() {
		put(f.clusterCertificate, time.Until(s.Certificate).Hours()/24)
	}
	for _, m := range s.Members {
		put(f.clusterHeard, one(m.Role != cluster.NotHeard), m.Node)
		if m.Role != cluster.NotHeard && m.Election != 0 {
			put(f.clusterHeartbeats, m.Late.Seconds(), m.Node)
		}
		if m.Clock != nil {
			put(f.clusterClock, m.Clock.Ahead.Seconds(), m.Node)
		}
	}
}

// witness reads the engine of a witness when somebody asks for its metrics.
type witness struct {
	clusterFamilies
	info    *metric
	version string
	status  func() cluster.Status
}

func (w witness) Describe(chan<- *prometheus.Desc) {}

func (w witness) Collect(out chan<- prometheus.Metric) {
	put := func(m *metric, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
	}
	put(w.info, 1, w.version)
	w.collect(w.status(), put)
}

func clusterMetrics(status func() cluster.Status, version string) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		witness{newClusterFamilies(), gauge("info", "Always 1; the label tells the version.", "version"), version, status},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
