package main

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"stampede/cluster"
)

func nodeNetwork(t *testing.T, name string) clusterTLS {
	t.Helper()
	cert, key, ca := writeCertificate(t, name)
	c, err := openCertificates(tlsFiles{cert: cert, key: key, clientCA: ca}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return clusterTLS{inner: cluster.TCP{}, certificates: c}
}

// exchangeByte lets a byte come from the dialing side, and tells what the listening side got.
func exchangeByte(t *testing.T, listen, dial cluster.Network) (got []byte, dialErr error) {
	t.Helper()
	l, err := listen.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	read := make(chan []byte, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			read <- nil
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(startTimeout))
		b := make([]byte, 1)
		n, _ := io.ReadFull(conn, b) // what a stranger says is not taken
		read <- b[:n]
	}()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	conn, dialErr := dial.Dial(ctx, l.Addr().String())
	if dialErr == nil {
		_, _ = conn.Write([]byte{'x'})
		_ = conn.Close() // the other side reads what was said, and then the end
	}
	return <-read, dialErr
}

func TestNodesProveThemselvesToEachOther(t *testing.T) {
	ours, strangers := nodeNetwork(t, "ours"), nodeNetwork(t, "strangers")
	if got, err := exchangeByte(t, ours, ours); err != nil || string(got) != "x" {
		t.Errorf("a node of the same authority: got %q, %v, want it taken", got, err)
	}
	if got, err := exchangeByte(t, ours, strangers); err == nil && len(got) > 0 {
		t.Error("a node of another authority was taken")
	}
	if _, err := exchangeByte(t, strangers, ours); err == nil {
		t.Error("a node speaks to one of another authority")
	}
	if got, _ := exchangeByte(t, ours, cluster.TCP{}); len(got) > 0 {
		t.Error("a node that proves nothing was taken")
	}
}

func TestClusterOverTLS(t *testing.T) {
	skipShort(t)
	cert, key, ca := writeCertificate(t, "node")
	c := newTestCluster(t)
	for _, b := range c {
		b.args = append(b.args, "--cluster-tls-cert="+cert, "--cluster-tls-key="+key, "--cluster-tls-ca="+ca)
	}
	c.start(t)
	publisher := &crashPublisher{name: "tls", url: c[0].tcp, destination: crashTopic}
	publisher.publish(t, 10)
	c.checkTopic(t, &crashPublisher{name: "marker", destination: crashTopic}, []*crashPublisher{publisher})
	c.stopAndVerify(t)
}
