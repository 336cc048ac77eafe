package gateway

import "github.com/prometheus/client_golang/prometheus"

// This file is the one table of the gateway's metrics. The three websocket_ names are those that dashboards of Spring
// services have already; they count all transports.

var (
	descReceived     = desc("websocket_messages_received_total", "Frames from clients that asked the broker for something.")
	descSent         = desc("websocket_messages_sent_total", "MESSAGE frames given to sessions.")
	descProcessing   = desc("websocket_message_processing_time_seconds", "Time from a command's arrival until its event was durable and applied.")
	descDropped      = desc("stampede_messages_dropped_total", "Messages not given to a subscriber or dropped by policy, as promised.")
	descDeadLettered = desc("stampede_messages_dead_lettered_total", "Messages moved to a dead-letter queue.")
	descExpired      = desc("stampede_messages_expired_total", "Messages whose time to live ran out in a queue.")
	descStale        = desc("stampede_stale_acks_total", "ACKs and NACKs of deliveries that were settled or taken back before.")
	descSubs         = desc("stampede_subscriptions", "Subscriptions of this node's sessions.", "kind")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var _ prometheus.Collector = (*Gateway)(nil)

// Describe implements prometheus.Collector.
func (g *Gateway) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(g, ch) }

// Collect implements prometheus.Collector.
func (g *Gateway) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	counter(descReceived, g.stats.Received.Load())
	counter(descSent, g.stats.Delivered.Load())
	count, sum, buckets := g.stats.Processing.Snapshot()
	ch <- prometheus.MustNewConstHistogram(descProcessing, count, sum, buckets)
	counter(descDropped, g.stats.Dropped.Load())
	counter(descDeadLettered, g.stats.DeadLettered.Load())
	counter(descExpired, g.stats.Expired.Load())
	counter(descStale, g.stats.StaleAcks.Load())
	topics, queues, users := g.Subscriptions()
	gauge(descSubs, topics, "topic")
	gauge(descSubs, queues, "queue")
	gauge(descSubs, users, "user")
}
