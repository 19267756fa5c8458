package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tandem/call"
	"tandem/cluster"
	"tandem/media"
	"tandem/sip/transaction"
	"tandem/sip/transport"
	"tandem/trunk"
)

// Sources are the rooms' counters that metrics are made of.
type Sources struct {
	Version       string
	Calls         func() (live, dialogs int, stats *call.Stats)
	Registrations func() int
	TurnedAway    func() uint64 // registrations that were asked to come back later
	Nonces        func() int
	Transactions  func() transaction.Stats
	Transports    func() []transport.Counts
	Media         func() media.Totals
	Records       func() (written, failed uint64)
	RecordsWait   func() int
	Trunks        func() []trunk.Snapshot
	Cluster       func() cluster.Status
	TrunkGroups   func() []trunk.GroupState
	TURN          TURNCounts    // nil: none
	Shards        func() Shards // nil: none
}

// metric is one family: its name, meaning, labels and kind. The labels' values are bounded: listeners by the
// configuration, the others by tables in the code.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	name string
	help string
}

func counter(name, help string, labels ...string) *metric {
	return newMetric(name+"_total", help, prometheus.CounterValue, labels)
}

func gauge(name, help string, labels ...string) *metric {
	return newMetric(name, help, prometheus.GaugeValue, labels)
}

func newMetric(name, help string, kind prometheus.ValueType, labels []string) *metric {
	name = "tandem_" + name
	return &metric{prometheus.NewDesc(name, help, labels, nil), kind, name, help}
}

// families are all metrics of the switch.
type families struct {
	info, calls, dialogs, registrations, turnedAway, nonces           *metric
	started, answered, refused, authFailures, throttled, inbox, ended *metric
	alarms, emergencies, untold, verified                             *metric
	panics                                                            *metric
	transactions, created, failed, resent, absorbed, merged, full     *metric
	messages, bytes, connections, accepted, drops, errors, keepalives *metric
	sessions, ports, packets, mediaBytes, mediaDrops                  *metric
	records, recordsWait                                              *metric
	trunkFamilies
	turnFamilies
	shardFamilies
	clusterFamilies
}

func newFamilies() *families {
	return &families{
		info:          gauge("info", "Always 1; the label tells the version.", "version"),
		calls:         gauge("calls", "Calls in progress."),
		dialogs:       gauge("dialogs", "Dialogs, early ones among them."),
		registrations: gauge("registrations", "Bindings of extensions."),
		turnedAway:    counter("registrations_turned_away", "REGISTERs answered 503: the switch drained, or too many came at once."),
		nonces:        gauge("nonces", "Nonces with which somebody proved himself lately."),
		started:       counter("calls_started", "INVITEs that were admitted."),
		answered:      counter("calls_answered", "Calls that were answered."),
		refused:       counter("calls_refused", "INVITEs refused while draining, full, or over a limit of calls at once."),
		authFailures:  counter("auth_failures", "Requests with a wrong password or an unknown user."),
		throttled:     counter("auth_throttled", "Requests of sources that failed too often, not looked at."),
		alarms:        counter("alarms", "Calls that a person should hear of: a country that an extension never called before."),
		emergencies:   counter("emergency_calls", "Calls to emergency numbers."),
		untold:        counter("emergency_notices_failed", "Messages about emergency calls that did not arrive."),
		verified:      counter("callers_verified", "Calls of carriers whose callers were verified, by what came of it.", "verstat"),
		inbox:         counter("call_inbox_full", "Events that a call could not take."),
		ended:         counter("calls_ended", "Calls that ended, by Q.850 cause.", "cause"),
		panics:        counter("panics", "Bugs that ended one message or one call.", "room"),
		transactions:  gauge("transactions", "Live transactions, lingering ones included.", "kind"),
		created:       counter("transactions_created", "Transactions made.", "kind"),
		failed:        counter("transactions_failed", "Transactions without a final response or without an ACK.", "kind", "why"),
		resent:        counter("retransmissions_sent", "Messages sent again.", "kind"),
		absorbed:      counter("retransmissions_absorbed", "Messages that came again.", "kind"),
		merged:        counter("requests_merged", "Requests answered 482."),
		full:          counter("transactions_refused", "Requests answered 503 because the table was full."),
		messages:      counter("sip_messages", "SIP messages.", "listener", "transport", "direction"),
		bytes:         counter("sip_bytes", "Bytes of SIP messages.", "listener", "transport", "direction"),
		connections:   gauge("sip_connections", "Open connections.", "listener", "transport"),
		accepted:      counter("sip_connections_opened", "Connections taken or opened.", "listener", "transport"),
		drops:         counter("sip_dropped", "Messages and connections dropped.", "listener", "transport", "reason"),
		errors:        counter("sip_errors", "Reads, writes and accepts that failed.", "listener", "transport"),
		keepalives:    counter("sip_keepalives", "Keepalives received.", "listener", "transport"),
		sessions:      gauge("media_sessions", "Media sessions of legs."),
		ports:         gauge("media_ports", "Pairs of RTP and RTCP ports, by state.", "state"),
		packets:       counter("media_packets", "RTP and RTCP packets.", "direction"),
		mediaBytes:    counter("media_bytes", "UDP payload of media.", "direction"),
		mediaDrops:    counter("media_dropped", "Media packets that went no further.", "reason"),
		records:       counter("call_records", "Call records, by where they went.", "to"),
		recordsWait:   gauge("call_records_waiting", "Call records that are not on the disk yet."),
		trunkFamilies: newTrunkFamilies(),
		turnFamilies:  newTURNFamilies(), shardFamilies: newShardFamilies(), clusterFamilies: newClusterFamilies(),
	}
}

// collector reads the rooms when somebody asks for the metrics.
type collector struct {
	*families
	src Sources
}

// Metrics serves the metrics in Prometheus' text format, those of the Go process among them.
func Metrics(src Sources) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collector{newFamilies(), src}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// Describe says nothing: the families are checked as they are collected.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads every room once.
func (c collector) Collect(out chan<- prometheus.Metric) {
	put := func(m *metric, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
	}
	put(c.info, 1, c.src.Version)
	c.collectCalls(put)
	c.collectTransactions(put)
	c.collectTransports(put)
	c.collectMedia(put)
	c.collectTURN(put)
	c.collectShards(put)
	written, failed := c.src.Records()
	put(c.records, float64(written), "file")
	put(c.records, float64(failed), "log")
	put(c.recordsWait, float64(c.src.RecordsWait()))
	c.collectTrunks(put)
	c.clusterFamilies.collect(c.src.Cluster(), put)
}

type putter func(m *metric, v float64, labels ...string)

func (c collector) collectCalls(put putter) {
	live, dialogs, s := c.src.Calls()
	put(c.calls, float64(live))
	put(c.dialogs, float64(dialogs))
	put(c.registrations, float64(c.src.Registrations()))
	put(c.turnedAway, float64(c.src.TurnedAway()))
	put(c.nonces, float64(c.src.Nonces()))
	put(c.started, float64(s.Started.Load()))
	put(c.answered, float64(s.Answered.Load()))
	put(c.refused, float64(s.Refused.Load()))
	put(c.authFailures, float64(s.AuthFailures.Load()))
	put(c.throttled, float64(s.Throttled.Load()))
	put(c.alarms, float64(s.Alarms.Load()))
	put(c.emergencies, float64(s.Emergencies.Load()))
	put(c.untold, float64(s.Untold.Load()))
	for i, verstat := range call.Verstats {
		put(c.verified, float64(s.Verified[i].Load()), string(verstat))
	}
	put(c.inbox, float64(s.InboxFull.Load()))
	put(c.panics, float64(s.Panics.Load()), "call")
	for cause := range s.ByCause {
		if n := s.ByCause[cause].Load(); n > 0 {
			put(c.ended, float64(n), strconv.Itoa(cause))
		}
	}
}

func (c collector) collectTransactions(put putter) {
	s := c.src.Transactions()
	for k := range s.Live {
		kind := transaction.Kind(k).String()
		live := 0
		for _, n := range s.Live[k] {
			live += n
		}
		put(c.transactions, float64(live), kind)
		put(c.created, float64(s.Created[k]), kind)
		put(c.resent, float64(s.Resent[k]), kind)
		put(c.absorbed, float64(s.Absorbed[k]), kind)
		for why, n := range s.Failed[k] {
			put(c.failed, float64(n), kind, transaction.Failure(why).String())
		}
	}
	put(c.merged, float64(s.Merged))
	put(c.full, float64(s.Refused))
	put(c.panics, float64(s.Panics), "transaction")
}

func (c collector) collectTransports(put putter) {
	for _, t := range c.src.Transports() {
		labels := []string{t.Listener, strings.ToLower(t.Proto.String())}
		with := func(more string) []string { return append(labels[:2:2], more) }
		put(c.messages, float64(t.In), with("in")...)
		put(c.messages, float64(t.Out), with("out")...)
		put(c.bytes, float64(t.BytesIn), with("in")...)
		put(c.bytes, float64(t.BytesOut), with("out")...)
		put(c.connections, float64(t.Connections), labels...)
		put(c.accepted, float64(t.Accepted), labels...)
		put(c.errors, float64(t.Errors), labels...)
		put(c.keepalives, float64(t.Keepalives), labels...)
		t.Drops(func(r transport.Reason, n uint64) { put(c.drops, float64(n), with(r.String())...) })
	}
}

func (c collector) collectMedia(put putter) {
	m := c.src.Media()
	put(c.sessions, float64(m.Sessions))
	put(c.ports, float64(m.PortsInUse), "used")
	put(c.ports, float64(m.Quarantined), "resting")
	put(c.ports, float64(m.PortsFree), "free")
	put(c.packets, float64(m.PacketsIn), "in")
	put(c.packets, float64(m.PacketsOut), "out")
	put(c.mediaBytes, float64(m.BytesIn), "in")
	put(c.mediaBytes, float64(m.BytesOut), "out")
	put(c.panics, float64(m.Panics), "media")
	for reason, n := range m.Drops {
		put(c.mediaDrops, float64(n), reason)
	}
}
