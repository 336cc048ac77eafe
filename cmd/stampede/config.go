package main

// config.go: the settings of a node. NodeFlags holds them as text, as flag, environment or file gave them; settle makes a config of
// them and tells every fault at once.

import (
	"fmt"
	"log/slog"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// NodeFlags are the settings of `serve` and `check-config`. Everything is text, so that a fault in one does not hide the others.
type NodeFlags struct {
	Config string `name:"config" env:"STAMPEDE_CONFIG" placeholder:"FILE" help:"YAML file with these settings by name; flags and environment beat it."`

	DataDir string `name:"data-dir" env:"STAMPEDE_DATA_DIR" default:"./stampede-data" help:"Node identity, log and state; locked while in use."`

	HTTPAddr     string `name:"http-addr" env:"STAMPEDE_HTTP_ADDR" default:"127.0.0.1:8080" help:"WebSocket and health; HTTPS when there is a certificate; \"off\" for none."`
	StompAddr    string `name:"stomp-addr" env:"STAMPEDE_STOMP_ADDR" default:"127.0.0.1:61613" help:"STOMP over TCP; \"off\" for none."`
	StompTLSAddr string `name:"stomp-tls-addr" env:"STAMPEDE_STOMP_TLS_ADDR" default:"off" help:"STOMP over TLS; \"off\" for none."`
	TLSCert      string `name:"tls-cert" env:"STAMPEDE_TLS_CERT" placeholder:"FILE" help:"Certificate chain in PEM, for wss and STOMP over TLS; reloaded on change."`
	TLSKey       string `name:"tls-key" env:"STAMPEDE_TLS_KEY" placeholder:"FILE" help:"Key of --tls-cert in PEM; reloaded on change."`
	TLSClientCA  string `name:"tls-client-ca" env:"STAMPEDE_TLS_CLIENT_CA" placeholder:"FILE" help:"Authorities in PEM of client certificates, which prove users; with --auth none required on --stomp-tls-addr; reloaded on change."`

	AdminAddr      string `name:"admin-addr" env:"STAMPEDE_ADMIN_ADDR" default:"127.0.0.1:9091" help:"Metrics, admin API and pprof; \"off\" for none."`
	AdminTokenFile string `name:"admin-token-file" env:"STAMPEDE_ADMIN_TOKEN_FILE" placeholder:"FILE" help:"Token that the admin address asks for; required beyond loopback."`

	ClusterFlags `embed:""`
	RaftTimeout  string `name:"raft-timeout" env:"STAMPEDE_RAFT_TIMEOUT" default:"750ms" help:"Heart-beat and election timeout; longer for slow disks."`

	Auth      string `name:"auth" env:"STAMPEDE_AUTH" placeholder:"none|users" help:"How clients prove who they are: none or users. Must be chosen to listen beyond loopback."`
	UsersFile string `name:"users-file" env:"STAMPEDE_USERS_FILE" placeholder:"FILE" help:"Users of --auth users, name:hash[:flags] a line; reloaded on change."`

	WSPath         string     `name:"ws-path" env:"STAMPEDE_WS_PATH" default:"/ws" help:"WebSocket endpoint on --http-addr."`
	WSCompression  switchText `name:"ws-compression" env:"STAMPEDE_WS_COMPRESSION" default:"false" help:"Offer permessage-deflate."`
	AllowedOrigins []string   `name:"allowed-origins" env:"STAMPEDE_ALLOWED_ORIGINS" placeholder:"ORIGIN" help:"Origins whose pages may connect, exact or with *; the same host always may."`

	MaxMessageBytes       string `name:"max-message-bytes" env:"STAMPEDE_MAX_MESSAGE_BYTES" default:"1MiB" help:"Largest body; service accounts may send 16 MiB in any case."`
	MaxConnections        string `name:"max-connections" env:"STAMPEDE_MAX_CONNECTIONS" default:"10000" help:"Connections at a time."`
	MaxConnectionsPerUser string `name:"max-connections-per-user" env:"STAMPEDE_MAX_CONNECTIONS_PER_USER" default:"100" help:"Connections of one user; not for service accounts, nor with --auth none."`
	ErrorPolicy           string `name:"error-policy" env:"STAMPEDE_ERROR_POLICY" default:"auto" help:"Whether a refused frame ends its session: auto, strict or lenient."`

	DrainTimeout string `name:"drain-timeout" env:"STAMPEDE_DRAIN_TIMEOUT" default:"20s" help:"Longest drain, all included."`
	DrainDelay   string `name:"drain-delay" env:"STAMPEDE_DRAIN_DELAY" placeholder:"DURATION" help:"How long a draining node still takes connections, while the balancer notices (5s; 0s when everything is on loopback)."`

	ReadyWithoutLeader string `name:"ready-without-leader" env:"STAMPEDE_READY_WITHOUT_LEADER" default:"5m" help:"How long a node that knows no leader stays ready: a balancer must not replace the survivors of a cluster."`

	LogFormat string `name:"log-format" env:"STAMPEDE_LOG_FORMAT" placeholder:"text|json" help:"text or json (text on a terminal, else json)."`
	LogLevel  string `name:"log-level" env:"STAMPEDE_LOG_LEVEL" default:"info" help:"debug, info, warn or error."`
}

// What a setting may be at most. A larger value is a fault: it is a slip of the pen more often than a wish.
const (
	raftTimeoutMin        = 50 * time.Millisecond
	raftTimeoutMax        = time.Minute
	messageBytesMin       = 1 << 10   // bytes
	messageBytesMax       = 16 << 20  // bytes: one event takes no more
	serviceBytesMax       = 16 << 20  // bytes, of a service account whatever --max-message-bytes says
	connectionsMax        = 1_000_000 // of one node
	drainTimeoutMax       = time.Hour
	drainDelayDefault     = 5 * time.Second
	readyWithoutLeaderMax = 24 * time.Hour
	off                   = "off" // an address that is not listened on
	authNone              = "none"
	authUsers             = "users"
)

// config is what a node runs with: NodeFlags, understood. An address that is off is empty.
type config struct {
	dataDir string

	httpAddr, stompAddr, stompTLSAddr, adminAddr string
	tls                                          tlsFiles
	adminTokenFile                               string

	cluster     clusterSettings
	raftTimeout time.Duration

	auth      string
	usersFile string

	wsPath         string
	wsCompression  bool
	allowedOrigins []string

	messageBytesMax       int
	connectionsMax        int
	connectionsPerUserMax int
	errorPolicy           string

	drainTimeout, drainDelay, readyWithoutLeader time.Duration

	logFormat string
	logLevel  slog.Level
}

// settle understands the flags. The faults it finds, by flag, are those that can be seen without opening a file.
func (f *NodeFlags) settle(from *sources) (config, []fault) {
	s := settler{from: from}
	c := config{
		dataDir:      s.required("data-dir", f.DataDir),
		httpAddr:     s.address("http-addr", f.HTTPAddr),
		stompAddr:    s.address("stomp-addr", f.StompAddr),
		stompTLSAddr: s.address("stomp-tls-addr", f.StompTLSAddr),
		adminAddr:    s.address("admin-addr", f.AdminAddr),
		tls:          tlsFiles{cert: f.TLSCert, key: f.TLSKey, clientCA: f.TLSClientCA},

		adminTokenFile: f.AdminTokenFile,
		raftTimeout:    s.duration("raft-timeout", f.RaftTimeout, raftTimeoutMin, raftTimeoutMax),

		auth:      f.Auth,
		usersFile: f.UsersFile,

		wsPath:         s.wsPath(f.WSPath),
		wsCompression:  s.onOff("ws-compression", string(f.WSCompression)),
		allowedOrigins: s.origins(f.AllowedOrigins),

		messageBytesMax:       s.bytes("max-message-bytes", f.MaxMessageBytes, messageBytesMin, messageBytesMax),
		connectionsMax:        s.count("max-connections", f.MaxConnections, connectionsMax),
		connectionsPerUserMax: s.count("max-connections-per-user", f.MaxConnectionsPerUser, connectionsMax),
		errorPolicy:           s.oneOf("error-policy", f.ErrorPolicy, "auto", "strict", "lenient"),

		drainTimeout: s.duration("drain-timeout", f.DrainTimeout, 0, drainTimeoutMax),

		readyWithoutLeader: s.duration("ready-without-leader", f.ReadyWithoutLeader, 0, readyWithoutLeaderMax),
		logFormat:          f.LogFormat,
	}
	s.drainDelay(f.DrainDelay, &c)
	s.logging(f.LogLevel, &c)
	s.cluster(&f.ClusterFlags, &c)
	s.listeners(c)
	s.certificates(c)
	s.security(f, &c)
	return c, s.faults
}

// settler reads texts and keeps their faults.
type settler struct {
	from   *sources
	faults []fault
}

func (s *settler) fault(flag, format string, args ...any) {
	s.faults = append(s.faults, fault{flag: flag, where: s.from.place(flag), text: fmt.Sprintf(format, args...)})
}

func (s *settler) required(flag, text string) string {
	if text == "" {
		s.fault(flag, "must not be empty")
	}
	return text
}

func (s *settler) oneOf(flag, text string, choices ...string) string {
	for _, choice := range choices {
		if text == choice {
			return text
		}
	}
	s.fault(flag, "got %q, want one of %s", text, strings.Join(choices, ", "))
	return choices[0]
}

func (s *settler) onOff(flag, text string) bool {
	switch text {
	case "true", "on", "yes", "1":
		return true
	case "false", "off", "no", "0":
		return false
	}
	s.fault(flag, "got %q, want true or false", text)
	return false
}

func (s *settler) duration(flag, text string, low, high time.Duration) time.Duration {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		s.fault(flag, "got %q, want a duration such as 750ms or 20s", text)
	case d < low || d > high:
		s.fault(flag, "got %v, want %v to %v", d, low, high)
	}
	return d
}

func (s *settler) count(flag, text string, high int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > high {
		s.fault(flag, "got %q, want a number from 1 to %d", text, high)
	}
	return n
}

// bytes reads 1048576, 1024KiB or 1MiB, and the same with the decimal units kB and MB.
func (s *settler) bytes(flag, text string, low, high int) int {
	n, ok := parseBytes(text)
	switch {
	case !ok:
		s.fault(flag, "got %q, want bytes such as 65536, 64KiB or 1MiB", text)
	case n < low || n > high:
		s.fault(flag, "got %s, want %s to %s", formatBytes(n), formatBytes(low), formatBytes(high))
	}
	return n
}

func parseBytes(text string) (n int, ok bool) {
	factor := 1
	for _, unit := range []struct {
		suffix string
		factor int
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"B", 1}} {
		if rest, found := strings.CutSuffix(text, unit.suffix); found {
			text, factor = strings.TrimSpace(rest), unit.factor
			break
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1<<40 {
		return 0, false
	}
	return n * factor, true
}

func formatBytes(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return strconv.Itoa(n)
}

// healthPaths are the paths of --http-addr that are not the WebSocket endpoint's to take.
var healthPaths = []string{"/health", "/actuator"}

func (s *settler) wsPath(text string) string {
	switch {
	case !strings.HasPrefix(text, "/") || path.Clean(text) != text || text == "/" || strings.ContainsAny(text, "{}?#% "):
		s.fault("ws-path", "got %q, want a path such as /ws", text)
	}
	for _, taken := range healthPaths {
		if text == taken || strings.HasPrefix(text, taken+"/") {
			s.fault("ws-path", "%s belongs to the health checks", taken)
		}
	}
	return text
}

func (s *settler) origins(list []string) []string {
	for _, origin := range list {
		if strings.TrimSpace(origin) != origin || origin == "" {
			s.fault("allowed-origins", "got %q, want origins such as https://app.example.com", origin)
		}
	}
	return list
}

func (s *settler) drainDelay(text string, c *config) {
	switch {
	case text != "":
		c.drainDelay = s.duration("drain-delay", text, 0, drainTimeoutMax)
	case !loopbackOnly(c.httpAddr, c.stompAddr, c.stompTLSAddr):
		c.drainDelay = min(drainDelayDefault, c.drainTimeout)
	}
	if c.drainDelay > c.drainTimeout {
		s.fault("drain-delay", "%v is longer than --drain-timeout (%v), which includes it", c.drainDelay, c.drainTimeout)
	}
}

func (s *settler) logging(level string, c *config) {
	if c.logFormat == "" {
		c.logFormat = "json"
		if isAttended(os.Stderr) {
			c.logFormat = "text"
		}
	}
	c.logFormat = s.oneOf("log-format", c.logFormat, "text", "json")
	switch level {
	case "debug":
		c.logLevel = slog.LevelDebug
	case "warn":
		c.logLevel = slog.LevelWarn
	case "error":
		c.logLevel = slog.LevelError
	default:
		s.oneOf("log-level", level, "debug", "info", "warn", "error")
	}
}

// switchText is the text of a flag that may stand alone on the command line: --ws-compression.
type switchText string

// IsBool tells kong that the flag needs no value.
func (switchText) IsBool() bool { return true }

// Decode takes any text: settle finds its faults with the others.
func (t *switchText) Decode(ctx *kong.DecodeContext) error {
	*t = "true"
	if token := ctx.Scan.Peek(); token.Type == kong.FlagValueToken {
		*t = switchText(fmt.Sprint(ctx.Scan.Pop().Value))
	}
	return nil
}
