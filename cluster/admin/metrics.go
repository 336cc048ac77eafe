package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"stampede/cluster"
)

// This file is the one table of the metrics of connections, log and process; the broker brings its own.

// The websocket_ names are those that dashboards of Spring services have already; they count all transports.
var (
	descActive = desc("websocket_connections_active", "Sessions that are open, over any transport.")
	descErrors = desc("websocket_connection_errors_total", "ERROR frames sent, late heart-beats and broken connections.")

	descConnections = desc("stampede_connections_total", "Connections accepted since the start.")
	descHeartBeats  = desc("stampede_heartbeat_timeouts_total", "Sessions given up because the client was silent.")
	descApplied     = desc("stampede_raft_applied_index", "Index of the last entry that was folded.")
	descLag         = desc("stampede_raft_lag_entries", "Entries committed and not folded yet.")
	descTerm        = desc("stampede_raft_term", "Current term.")
	descLeader      = desc("stampede_raft_is_leader", "1 when this node leads.")
	descSeq         = desc("stampede_applied_offset", "Offset of the last event that was folded.")
	descMembers     = desc("stampede_raft_members", "Members of the cluster, by whether they vote.", "voter")
	descOrphaned    = desc("stampede_raft_no_leader_seconds", "How long no leader has been known; 0 while one is.")
	descInFlight    = desc("stampede_entries_in_flight", "Entries of this node on their way to the leader, or through it, and not known to be committed.")
	descWaiting     = desc("stampede_commands_waiting", "Commands of this node's sessions without an outcome.")
	descStreams     = desc("stampede_forward_streams", "Other nodes whose submissions this node, as leader, takes.")
	descForwarded   = desc("stampede_forwarded_entries_total", "Entries that this node took from others while it led.")
	descForwardedB  = desc("stampede_forwarded_bytes_total", "Bytes of entries that this node took from others while it led.")
	descLinks       = desc("stampede_mesh_links", "Other nodes whose unlogged messages reach this one.")
	descQueued      = desc("stampede_mesh_queued_bytes", "Bytes of unlogged messages that wait for other nodes.")
	descMeshSent    = desc("stampede_mesh_messages_sent_total", "Unlogged messages given to the links to other nodes.")
	descMeshGot     = desc("stampede_mesh_messages_received_total", "Unlogged messages that came from other nodes.")
	descMeshDropped = desc("stampede_mesh_messages_dropped_total", "Unlogged messages dropped because the link to another node was full.")
	descStates      = desc("stampede_snapshots_in_progress", "States that travel between this node and others.", "direction")
	descStatesDone  = desc("stampede_snapshots_total", "States that were sent, or received and taken over, as a whole.", "direction")
	descStatesB     = desc("stampede_snapshot_bytes_total", "Bytes of states sent and received, those of broken ones among them.", "direction")
	descBroken      = desc("stampede_snapshots_broken_total", "States that were broken off, wrong, or not needed any more when they had come.")
	descAppend      = desc("stampede_log_append_seconds", "Time of appends to the log, fsync included.")
	descLogBytes    = desc("stampede_log_appended_bytes_total", "Bytes of entries appended to the log.")
	descReady       = desc("stampede_ready", "1 when the node is ready for traffic.")
	descBuild       = desc("stampede_build_info", "The program's version.", "version")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// collector reads the counters of a node when Prometheus asks.
type collector struct{ admin *Admin }

var _ prometheus.Collector = collector{}

func newMetrics(a *Admin) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{a}, a.broker, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// sink is where they go.
type sink chan<- prometheus.Metric

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s sink) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	to := sink(ch)
	conns, node := c.admin.server.Stats(), c.admin.node.Status()

	to.gauge(descActive, float64(conns.ConnectionsActive.Load()))
	to.counter(descErrors, uint64(conns.ErrorsSent.Load()+conns.HeartbeatTimeouts.Load()))

	to.counter(descConnections, uint64(conns.ConnectionsTotal.Load()))
	to.counter(descHeartBeats, uint64(conns.HeartbeatTimeouts.Load()))
	to.gauge(descApplied, float64(node.AppliedIndex))
	to.gauge(descLag, float64(node.Lag))
	to.gauge(descTerm, float64(node.Term))
	to.gauge(descLeader, truth(node.Leader != "" && node.Leader == node.Node.String()))
	to.gauge(descSeq, float64(node.AppliedSeq))
	c.collectCluster(to, node)
	ready, _ := c.admin.readiness()
	to.gauge(descReady, truth(ready))
	to.gauge(descBuild, 1, c.admin.config.Version)
}

// collectCluster reads what goes on between the nodes, and below them.
func (c collector) collectCluster(to sink, node cluster.Status) {
	voters := 0
	for _, m := range node.Members {
		if m.Voter {
			voters++
		}
	}
	to.gauge(descMembers, float64(voters), "true")
	to.gauge(descMembers, float64(len(node.Members)-voters), "false")
	to.gauge(descOrphaned, node.Orphaned.Seconds())
	to.gauge(descInFlight, float64(node.EntriesInFlight))
	to.gauge(descWaiting, float64(node.CommandsWaiting))
	to.gauge(descStreams, float64(node.ForwardStreams))
	to.counter(descForwarded, node.ForwardedEntries)
	to.counter(descForwardedB, node.ForwardBytes)
	mesh := c.admin.node.MeshStats()
	to.gauge(descLinks, float64(mesh.Links))
	to.gauge(descQueued, float64(mesh.QueuedBytes))
	to.counter(descMeshSent, mesh.Sent)
	to.counter(descMeshGot, mesh.Received)
	to.counter(descMeshDropped, mesh.Dropped)
	states := c.admin.node.SnapshotStats()
	to.gauge(descStates, float64(states.Sending), "sent")
	to.gauge(descStates, float64(states.Receiving), "received")
	to.counter(descStatesDone, states.Sent, "sent")
	to.counter(descStatesDone, states.Received, "received")
	to.counter(descStatesB, states.SentBytes, "sent")
	to.counter(descStatesB, states.ReceivedBytes, "received")
	to.counter(descBroken, states.Broken)
	log := c.admin.node.LogStats()
	to <- prometheus.MustNewConstSummary(descAppend, log.AppendSeconds.Count, log.AppendSeconds.SumSeconds, nil)
	to.counter(descLogBytes, log.Bytes)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
