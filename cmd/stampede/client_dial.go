package main

// client_dial.go: how pub, sub and bench reach a broker: over TCP, TLS, or a WebSocket over either.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
)

// ClientFlags say where the broker is and who is asking; pub, sub and bench share them.
type ClientFlags struct {
	URL         string `name:"url" default:"tcp://127.0.0.1:61613" help:"Broker to connect to: tcp://, tls://, ws:// or wss://."`
	Login       string `name:"login" help:"User name of CONNECT."`
	Passcode    string `name:"passcode" help:"Password or token of CONNECT."`
	Host        string `name:"host" help:"Host header of CONNECT: the namespace (default: the host of --url)."`
	CAFile      string `name:"ca-file" help:"Certificates to trust for tls:// and wss://, in PEM (default: the system's)."`
	InsecureTLS bool   `name:"insecure-tls" help:"Do not check the broker's certificate."`
}

// endpoint is a parsed --url.
type endpoint struct {
	scheme string // tcp, tls, ws or wss
	addr   string // host:port
	name   string // host alone
	url    string // for ws and wss: the URL with its path
}

func parseEndpoint(raw string) (endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return endpoint{}, fmt.Errorf("parse --url: %w", err)
	}
	ports := map[string]string{"tcp": "61613", "tls": "61614", "ws": "80", "wss": "443"}
	port, known := ports[u.Scheme]
	if !known || u.Hostname() == "" {
		return endpoint{}, fmt.Errorf("--url %q: want tcp://, tls://, ws:// or wss:// and a host", raw)
	}
	if u.User != nil {
		return endpoint{}, errors.New("--url holds a user: give --login and --passcode instead")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	e := endpoint{scheme: u.Scheme, addr: net.JoinHostPort(u.Hostname(), port), name: u.Hostname()}
	if e.scheme == "ws" || e.scheme == "wss" {
		if u.Path == "" || u.Path == "/" {
			u.Path = "/ws"
		}
		e.url = u.String()
	}
	return e, nil
}

// Validate is called by the flag parser, so that a bad URL is bad usage and not a failure.
func (c ClientFlags) Validate() error {
	_, err := parseEndpoint(c.URL)
	return err
}

func (c ClientFlags) tlsConfig(e endpoint) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: e.name, MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.InsecureTLS}
	if c.CAFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read --ca-file: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca-file %s holds no certificate", c.CAFile)
	}
	return cfg, nil
}

// dial opens a connection that carries STOMP bytes. Over WebSocket it is a *wsConn: each Write is one message.
func (c ClientFlags) dial(ctx context.Context, from net.Addr) (net.Conn, error) {
	e, err := parseEndpoint(c.URL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := net.Dialer{LocalAddr: from}
	conn, err := dialer.DialContext(ctx, "tcp", e.addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.URL, err)
	}
	if e.scheme == "tls" || e.scheme == "wss" {
		cfg, err := c.tlsConfig(e)
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		secure := tls.Client(conn, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close() // the handshake's error says more
			return nil, fmt.Errorf("connect to %s: %w", c.URL, err)
		}
		conn = secure
	}
	if e.url == "" {
		return conn, nil
	}
	ws, err := upgradeWebSocket(ctx, conn, e)
	if err != nil {
		_ = conn.Close() // the upgrade's error says more
		return nil, fmt.Errorf("connect to %s: %w", c.URL, err)
	}
	return ws, nil
}
