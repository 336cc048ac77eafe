package main

// cluster_net.go: the network between nodes over mutual TLS.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"sync"

	"stampede/cluster"
)

// errNoCertificate says that the other side showed nothing to prove itself with.
var errNoCertificate = errors.New("the other node showed no certificate")

// clusterTLS is a network between nodes on which both sides prove themselves. Any certificate of the cluster's own authority is a node: names
// are not checked, since the addresses of nodes come and go, and what a node is called is said, and held against what is known of it, by the
// handshake inside. So the authority must sign nothing but nodes.
type clusterTLS struct {
	inner        cluster.Network
	certificates *certificates
}

var _ cluster.Network = clusterTLS{}

// Listen implements cluster.Network.
func (n clusterTLS) Listen(addr string) (net.Listener, error) {
	inner, err := n.inner.Listen(addr)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(inner, &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nodeTLS(n.certificates.now()), nil },
	}), nil
}

// Dial implements cluster.Network.
func (n clusterTLS) Dial(ctx context.Context, addr string) (net.Conn, error) {
	inner, err := n.inner.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(inner, nodeTLS(n.certificates.now()))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return conn, nil
}

// nodeTLS is how a node speaks on either side. A session is never resumed: streams between nodes last, and who comes anew is judged by the
// authority of today.
func nodeTLS(now *material) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{now.certificate}, SessionTicketsDisabled: true,
		InsecureSkipVerify: true, ClientAuth: tls.RequireAnyClientCert, // the chain is verified below, the same on both sides
		VerifyConnection: func(state tls.ConnectionState) error { return verifyNode(state, now.clientCA) },
	}
}

// verifyNode checks that the other side's certificate comes from the authority of the cluster.
func verifyNode(state tls.ConnectionState, authority *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return errNoCertificate
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: authority, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

// clusterPort is a listener of the cluster's port that was opened with the others, so that one that is taken is told with them. The first
// Listen gives it out.
type clusterPort struct {
	cluster.Network
	once   sync.Once
	opened net.Listener
}

// Listen implements cluster.Network.
func (p *clusterPort) Listen(addr string) (l net.Listener, err error) {
	p.once.Do(func() { l = p.opened })
	if l != nil {
		return l, nil
	}
	return p.Network.Listen(addr)
}

// clusterNetwork is how a node reaches the others, on the port that is open already.
func clusterNetwork(c config, open listeners, logger *slog.Logger) (cluster.Network, error) {
	if open.cluster == nil {
		return cluster.TCP{}, nil
	}
	port := &clusterPort{Network: cluster.TCP{}, opened: open.cluster}
	if !c.cluster.tls.configured() {
		return port, nil
	}
	certificates, err := openCertificates(c.cluster.tls, logger)
	if err != nil {
		return nil, err
	}
	return clusterTLS{inner: port, certificates: certificates}, nil
}
