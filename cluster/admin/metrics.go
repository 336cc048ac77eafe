package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// This file is the one table of the node's metrics.

// Descriptions. The five websocket_ names are those that dashboards of Spring services have already; they count all
// transports.
var (
	descActive     = desc("websocket_connections_active", "Sessions that are open, over any transport.")
	descReceived   = desc("websocket_messages_received_total", "Frames from clients that asked the broker for something.")
	descSent       = desc("websocket_messages_sent_total", "MESSAGE frames given to sessions.")
	descProcessing = desc("websocket_message_processing_time_seconds", "Time from a command's arrival until its event was durable and applied.")
	descErrors     = desc("websocket_connection_errors_total", "ERROR frames sent, late heart-beats and broken connections.")

	descConnections  = desc("stampede_connections_total", "Connections accepted since the start.")
	descHeartBeats   = desc("stampede_heartbeat_timeouts_total", "Sessions given up because the client was silent.")
	descDropped      = desc("stampede_messages_dropped_total", "Messages not given to a subscriber or dropped by policy, as promised.")
	descDeadLettered = desc("stampede_messages_dead_lettered_total", "Messages moved to a dead-letter queue.")
	descExpired      = desc("stampede_messages_expired_total", "Messages whose time to live ran out in a queue.")
	descStale        = desc("stampede_stale_acks_total", "ACKs and NACKs of deliveries that were settled or taken back before.")
	descSubs         = desc("stampede_subscriptions", "Subscriptions of this node's sessions.", "kind")
	descApplied      = desc("stampede_raft_applied_index", "Index of the last entry that was folded.")
	descLag          = desc("stampede_raft_lag_entries", "Entries committed and not folded yet.")
	descTerm         = desc("stampede_raft_term", "Current term.")
	descLeader       = desc("stampede_raft_is_leader", "1 when this node leads.")
	descSeq          = desc("stampede_applied_offset", "Offset of the last event that was folded.")
	descReady        = desc("stampede_ready", "1 when the node is ready for traffic.")
	descBuild        = desc("stampede_build_info", "The program's version.", "version")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// collector reads the counters of a node when Prometheus asks.
type collector struct{ admin *Admin }

var _ prometheus.Collector = collector{}

func newMetrics(a *Admin) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{a}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	conns, gw, node := c.admin.server.Stats(), c.admin.gateway.Stats(), c.admin.node.Status()

	gauge(descActive, float64(conns.ConnectionsActive.Load()))
	counter(descReceived, gw.Received.Load())
	counter(descSent, gw.Delivered.Load())
	count, sum, buckets := gw.Processing.Snapshot()
	ch <- prometheus.MustNewConstHistogram(descProcessing, count, sum, buckets)
	counter(descErrors, uint64(conns.ErrorsSent.Load()+conns.HeartbeatTimeouts.Load()))

	counter(descConnections, uint64(conns.ConnectionsTotal.Load()))
	counter(descHeartBeats, uint64(conns.HeartbeatTimeouts.Load()))
	counter(descDropped, gw.Dropped.Load())
	counter(descDeadLettered, gw.DeadLettered.Load())
	counter(descExpired, gw.Expired.Load())
	counter(descStale, gw.StaleAcks.Load())
	topics, queues, users := c.admin.gateway.Subscriptions()
	gauge(descSubs, float64(topics), "topic")
	gauge(descSubs, float64(queues), "queue")
	gauge(descSubs, float64(users), "user")
	gauge(descApplied, float64(node.AppliedIndex))
	gauge(descLag, float64(node.Lag))
	gauge(descTerm, float64(node.Term))
	gauge(descLeader, truth(node.Leader != "" && node.Leader == node.Node.String()))
	gauge(descSeq, float64(node.AppliedSeq))
	ready, _ := c.admin.readiness()
	gauge(descReady, truth(ready))
	gauge(descBuild, 1, c.admin.config.Version)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
