package main

// logging.go: the logger of a node, and what it says first.

import (
	"io"
	"log/slog"
	"strings"
	"syscall"
)

const filesReserve = 256 // open files beside those of connections: log, segments, listeners

func newLogger(w io.Writer, c config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.logLevel}
	if c.logFormat == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// checkFilesLimit warns when the system lets the process open fewer files than it may have connections. Go has raised the limit as far
// as it may by now.
func checkFilesLimit(c config, logger *slog.Logger) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		logger.Debug("limit of open files unknown", "error", err)
		return
	}
	if want := uint64(c.connectionsMax + filesReserve); limit.Cur < want {
		logger.Warn("--max-connections needs more open files than the system allows", "limit", limit.Cur, "wanted", want)
	}
}

// logSettings says what is not as by default.
func logSettings(c config, from *sources, logger *slog.Logger) {
	var attrs []any
	for _, one := range c.settings() {
		if from.origin(one.name) != "default" {
			attrs = append(attrs, one.name, strings.Trim(one.value, `"`))
		}
	}
	logger.Info("configuration", attrs...)
}
