package main

// checkconfig.go: `stampede check-config` says every fault of a configuration at once, and what holds in the end and why.

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

// CheckConfigCmd takes what `serve` takes and starts nothing.
type CheckConfigCmd struct {
	NodeFlags
}

// Run fails with all faults, or prints the effective configuration as a file for --config, with the place each value came from.
// Files are named and never shown.
func (c *CheckConfigCmd) Run(from *sources) error {
	settled, faults := c.check(from)
	if len(faults) > 0 {
		return usageError(faults)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, one := range settled.settings() {
		fmt.Fprintf(table, "%s: %s\t# %s\n", one.name, one.value, from.origin(one.name))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the configuration: %w", err)
	}
	return nil
}

// check is everything that can be known of a configuration without starting: file and environment, values, rules, files.
func (f *NodeFlags) check(from *sources) (config, []fault) {
	c, faults := f.settle(from)
	s := settler{from: from}
	s.checkFiles(c)
	return c, append(append(from.faults, faults...), s.faults...)
}

// setting is one line of the effective configuration; value is YAML.
type setting struct{ name, value string }

// settings are the effective values by flag, in the order of NodeFlags.
func (c config) settings() []setting {
	return []setting{
		{"data-dir", yamlText(c.dataDir)},
		{"http-addr", yamlAddr(c.httpAddr)},
		{"stomp-addr", yamlAddr(c.stompAddr)},
		{"stomp-tls-addr", yamlAddr(c.stompTLSAddr)},
		{"tls-cert", yamlText(c.tls.cert)},
		{"tls-key", yamlText(c.tls.key)},
		{"tls-client-ca", yamlText(c.tls.clientCA)},
		{"admin-addr", yamlAddr(c.adminAddr)},
		{"admin-token-file", yamlText(c.adminTokenFile)},
		{"cluster-addr", yamlAddr(c.cluster.addr)},
		{"cluster-advertise", yamlAddr(c.cluster.advertise)},
		{"cluster-seeds", yamlList(c.cluster.seeds)},
		{"cluster-expect", strconv.Itoa(c.cluster.expect)},
		{"cluster-tls-cert", yamlText(c.cluster.tls.cert)},
		{"cluster-tls-key", yamlText(c.cluster.tls.key)},
		{"cluster-tls-ca", yamlText(c.cluster.tls.clientCA)},
		{"cluster-insecure", strconv.FormatBool(c.cluster.insecure)},
		{"raft-timeout", c.raftTimeout.String()},
		{"auth", yamlText(c.auth)},
		{"users-file", yamlText(c.usersFile)},
		{"ws-path", yamlText(c.wsPath)},
		{"ws-compression", strconv.FormatBool(c.wsCompression)},
		{"allowed-origins", yamlList(c.allowedOrigins)},
		{"max-message-bytes", formatBytes(c.messageBytesMax)},
		{"max-connections", strconv.Itoa(c.connectionsMax)},
		{"max-connections-per-user", strconv.Itoa(c.connectionsPerUserMax)},
		{"error-policy", yamlText(c.errorPolicy)},
		{"drain-timeout", c.drainTimeout.String()},
		{"drain-delay", c.drainDelay.String()},
		{"ready-without-leader", c.readyWithoutLeader.String()},
		{"log-format", yamlText(c.logFormat)},
		{"log-level", strings.ToLower(c.logLevel.String())},
	}
}

func yamlList(list []string) string {
	quoted := make([]string, len(list))
	for i, one := range list {
		quoted[i] = strconv.Quote(one)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func yamlText(text string) string { return strconv.Quote(text) }

func yamlAddr(addr string) string {
	if addr == "" {
		addr = off
	}
	return yamlText(addr)
}
