// Package admin is what operators and balancers see of a node over HTTP: health for the balancer on the public listener
// (/health, /health/live, /health/ready, /actuator/health), and on the admin listener metrics, the admin API
// (/api/v1/...), drain and pprof.
//
// What it refuses: anything but health and /metrics without the admin token, when one is configured; bodies above
// bodyBytesMax. It decides nothing about the broker's state: what it changes, it changes by commands, like any client.
//
// Goroutines: none of its own; handlers run on net/http's.
//
// Invariants:
//
//	A1: /health/live never depends on the cluster.
//	A2: readiness is 503 from the moment a drain begins, and before the state was caught up.
//	A3: the token is compared in constant time and never logged.
//	A4: at most one request at a time reads the log.
package admin
