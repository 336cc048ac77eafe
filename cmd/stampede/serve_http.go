package main

// serve_http.go: the HTTP side of a node's addresses.

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	requestHeaderTimeout  = 10 * time.Second // for the head of a request; past it the connection is closed
	requestIdleTimeout    = 2 * time.Minute  // between requests; longer than a balancer's, so that it is the balancer who closes
	requestHeaderBytesMax = 64 << 10         // of a request; past it the answer is 431
)

// startWeb serves HTTP on one address: over TLS with certificates, plain with nil.
func (n *servingNode) startWeb(name string, on net.Listener, handler http.Handler, with *certificates) {
	web := &http.Server{
		Handler: handler, ReadHeaderTimeout: requestHeaderTimeout, IdleTimeout: requestIdleTimeout, MaxHeaderBytes: requestHeaderBytesMax,
		// What it has to say is of clients that do not speak HTTP or TLS: of no concern to an operator, and there are many.
		ErrorLog: slog.NewLogLogger(n.logger.With("component", name).Handler(), slog.LevelDebug),
	}
	if with != nil {
		// A WebSocket needs HTTP/1.1. A balancer's health check has no certificate, so none is required here.
		on = tls.NewListener(on, with.config(tls.VerifyClientCertIfGiven, "http/1.1"))
	}
	n.web = append(n.web, web)
	n.start(name, func() error { return serveWeb(web, on) })
}

func serveWeb(web *http.Server, on net.Listener) error {
	if err := web.Serve(on); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// publicHandler is what --http-addr serves: health at all times, WebSockets once sessions may open.
func (n *servingNode) publicHandler() http.Handler {
	mux := http.NewServeMux()
	health := n.admin.HealthHandler()
	mux.Handle("/health", health)
	mux.Handle("/health/", health)
	mux.Handle("/actuator/", health)
	sessions := http.HandlerFunc(n.serveSession)
	mux.Handle(n.config.wsPath, sessions)
	mux.Handle(n.config.wsPath+"/", sessions)
	return mux
}

func (n *servingNode) serveSession(w http.ResponseWriter, r *http.Request) {
	select {
	case <-n.serving:
		n.server.ServeHTTP(w, r)
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "starting", http.StatusServiceUnavailable)
	}
}

// listenStomp is STOMP over TLS. Where certificates are the only proof there is, every client must bring one.
func (c *certificates) listenStomp(on net.Listener, auth string) net.Listener {
	clients := tls.VerifyClientCertIfGiven
	if auth == authNone {
		clients = tls.RequireAndVerifyClientCert
	}
	return tls.NewListener(on, c.config(clients))
}
