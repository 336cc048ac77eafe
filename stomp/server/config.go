package server

import (
	"errors"
	"fmt"
	"path"
	"time"
)

// This file holds the knobs of the server, their defaults and their checks.

// Error policies: what an ERROR about a destination does to the connection.
const (
	PolicyAuto    = "auto"    // lenient for service accounts, strict for all others
	PolicyStrict  = "strict"  // closes, as STOMP says
	PolicyLenient = "lenient" // keeps the connection open
)

// Config says how the server treats its sessions. Start from DefaultConfig.
type Config struct {
	HeartBeatSendMillis int // what the server offers to send; 0 nothing
	HeartBeatWantMillis int // what the server wants to get; 0 nothing

	ConnectTimeout    time.Duration // from the connection's beginning to its CONNECT; past it ERROR connect-timeout
	LingerTimeout     time.Duration // how long the socket is read after an ERROR that closes
	WriteStallTimeout time.Duration // a client that takes nothing for so long is closed
	WebSocketPatience time.Duration // the least time until a silent WebSocket client is given up: browsers slow timers in hidden tabs

	OutboxBytesMax        int // of one session; at it the session is Full
	BodyBytesMax          int // of a SEND; past it ERROR body-too-large
	ServiceBodyBytesMax   int // the same for service accounts
	SubscriptionsMax      int // of a session; past it ERROR too-many-subscriptions
	TransactionsMax       int // open in a session; past it ERROR too-many-transactions
	TransactionActionsMax int // in one transaction; past it ERROR transaction-too-large
	TransactionBytesMax   int // in one transaction; past it ERROR transaction-too-large

	ConnectionsMax        int // past it HTTP 503, or ERROR too-many-connections
	ConnectionsPerUserMax int // the same for one proven user that is no service account

	AllowedOrigins []string // of WebSocket handshakes: exact, with * in the host, or * for all; the same host always may
	WSCompression  bool     // permessage-deflate
	ErrorPolicy    string
	ServerName     string // the `server` header of CONNECTED
}

// DefaultConfig returns the configuration of a node that was told nothing.
func DefaultConfig() Config {
	return Config{
		HeartBeatSendMillis: 10_000, HeartBeatWantMillis: 10_000,
		ConnectTimeout: 10 * time.Second, LingerTimeout: 2 * time.Second, WriteStallTimeout: 30 * time.Second,
		WebSocketPatience: 60 * time.Second,
		OutboxBytesMax:    256 << 10, BodyBytesMax: 1 << 20, ServiceBodyBytesMax: 16 << 20,
		SubscriptionsMax: 10_000, TransactionsMax: 100, TransactionActionsMax: 1000, TransactionBytesMax: 16 << 20,
		ConnectionsMax: 10_000, ConnectionsPerUserMax: 100,
		ErrorPolicy: PolicyAuto, ServerName: "stampede",
	}
}

// Validate says every fault of c at once.
func (c Config) Validate() error {
	var faults []error
	positive := func(name string, v int64) {
		if v <= 0 {
			faults = append(faults, fmt.Errorf("%s is %d: it has to be positive", name, v))
		}
	}
	if c.HeartBeatSendMillis < 0 || c.HeartBeatWantMillis < 0 {
		faults = append(faults, fmt.Errorf("heart-beat %d,%d is negative", c.HeartBeatSendMillis, c.HeartBeatWantMillis))
	}
	positive("connect timeout", int64(c.ConnectTimeout))
	positive("linger timeout", int64(c.LingerTimeout))
	positive("write stall timeout", int64(c.WriteStallTimeout))
	positive("outbox size", int64(c.OutboxBytesMax))
	positive("body limit", int64(c.BodyBytesMax))
	positive("body limit of service accounts", int64(c.ServiceBodyBytesMax))
	positive("subscription limit", int64(c.SubscriptionsMax))
	positive("transaction limit", int64(c.TransactionsMax))
	positive("transaction action limit", int64(c.TransactionActionsMax))
	positive("transaction size limit", int64(c.TransactionBytesMax))
	positive("connection limit", int64(c.ConnectionsMax))
	positive("connection limit of a user", int64(c.ConnectionsPerUserMax))
	for _, origin := range c.AllowedOrigins {
		if _, err := path.Match(origin, ""); err != nil {
			faults = append(faults, fmt.Errorf("allowed origin %q is no pattern: %w", origin, err))
		}
	}
	switch c.ErrorPolicy {
	case PolicyAuto, PolicyStrict, PolicyLenient:
	default:
		faults = append(faults, fmt.Errorf("error policy %q is not auto, strict or lenient", c.ErrorPolicy))
	}
	return errors.Join(faults...)
}
