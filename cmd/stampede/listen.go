package main

// listen.go: the addresses of a node, and what it says of them when it is ready.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"text/tabwriter"
)

// listeners are the open addresses of a node; one that is off is nil.
type listeners struct {
	http, stomp, stompTLS, admin net.Listener
	cluster                      net.Listener // the node's to close once it runs
}

// listen opens every address, or none: its error names each flag whose address cannot be had.
func listen(ctx context.Context, c config) (listeners, error) {
	var l listeners
	var faults []error
	between := ""
	if c.cluster.several() {
		between = c.cluster.addr
	}
	for _, one := range []struct {
		flag, addr string
		into       *net.Listener
	}{
		{"http-addr", c.httpAddr, &l.http}, {"stomp-addr", c.stompAddr, &l.stomp},
		{"stomp-tls-addr", c.stompTLSAddr, &l.stompTLS}, {"admin-addr", c.adminAddr, &l.admin},
		{"cluster-addr", between, &l.cluster},
	} {
		if one.addr == "" {
			continue
		}
		opened, err := new(net.ListenConfig).Listen(ctx, "tcp", one.addr)
		if err != nil {
			faults = append(faults, fmt.Errorf("--%s: %w", one.flag, err))
			continue
		}
		*one.into = opened
	}
	if len(faults) > 0 {
		l.close()
		return listeners{}, errors.Join(faults...)
	}
	return l, nil
}

// close closes what is open; closing twice does no harm.
func (l listeners) close() {
	for _, one := range []net.Listener{l.http, l.stomp, l.stompTLS, l.admin, l.cluster} {
		if one != nil {
			_ = one.Close() // closed already, or nothing to be done about it
		}
	}
}

// closeStomp closes those that take STOMP sessions.
func (l listeners) closeStomp() { listeners{stomp: l.stomp, stompTLS: l.stompTLS}.close() }

// place is one line of the banner: what is where.
type place struct{ name, url string }

// places says where to connect, with the ports that were really opened.
func (l listeners) places(c config) []place {
	web, socket := "http", "ws"
	if c.tls.configured() {
		web, socket = "https", "wss"
	}
	var list []place
	add := func(name, scheme string, at net.Listener, path string) {
		if at != nil {
			list = append(list, place{name, scheme + "://" + at.Addr().String() + path})
		}
	}
	add("stomp", "tcp", l.stomp, "")
	add("stomp-tls", "tls", l.stompTLS, "")
	add("websocket", socket, l.http, c.wsPath)
	add("health", web, l.http, "/health")
	add("admin", "http", l.admin, "")
	add("cluster", "tcp", l.cluster, "")
	return list
}

// announce says where to connect: as a picture for a person, as a log line for a machine.
func announce(c config, places []place, node string, logger *slog.Logger) {
	if c.logFormat == "text" && isAttended(os.Stderr) {
		printBanner(os.Stderr, c, places)
		return
	}
	attrs := []any{"version", readBuild().version, "node", node, "data", c.dataDir, "auth", c.auth}
	for _, one := range places {
		attrs = append(attrs, one.name, one.url)
	}
	logger.Info("ready", attrs...)
}

func printBanner(w io.Writer, c config, places []place) {
	var text strings.Builder
	fmt.Fprintf(&text, "\nStampede %s is ready. Data in %s, --auth %s.\n\n", readBuild().version, c.dataDir, c.auth)
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for _, one := range places {
		fmt.Fprintf(table, "  %s\t%s\n", one.name, one.url)
	}
	_ = table.Flush() // into memory
	if c.stompAddr == "127.0.0.1:61613" && c.auth == authNone {
		text.WriteString("\n  Try `stampede sub /topic/hello` here and `stampede pub /topic/hello world` there.\n")
	}
	text.WriteString("\n")
	_, _ = io.WriteString(w, text.String()) // a terminal that is gone misses nothing
}
