package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stampede/cluster"
)

// authority signs the certificates of a test's nodes.
type authority struct {
	file        string // its own certificate
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	cert, keyFile, ca := writeCertificate(t, "authority")
	pair, err := tls.LoadX509KeyPair(cert, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("key is a %T", pair.PrivateKey)
	}
	return &authority{file: ca, certificate: pair.Leaf, key: key}
}

// sign gives the files of a node's certificate.
func (a *authority) sign(t *testing.T, name string) tlsFiles {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := tlsFiles{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), clientCA: filepath.Join(dir, "ca.pem")}
	writeTestFile(t, files.cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeTestFile(t, files.key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	a.trust(t, files)
	return files
}

// trust makes the authority the one that is believed.
func (a *authority) trust(t *testing.T, files tlsFiles) {
	t.Helper()
	text, err := os.ReadFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	writeTestFile(t, files.clientCA, string(text))
}

func nodeNetwork(t *testing.T, files tlsFiles) clusterTLS {
	t.Helper()
	c, err := openCertificates(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return clusterTLS{inner: cluster.TCP{}, certificates: c}
}

// exchange lets one node say a word to another, and gives what either side met.
func exchange(t *testing.T, listens cluster.Network, dials func(addr string) (net.Conn, error)) (heard string, here, there error) {
	t.Helper()
	listener, err := listens.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	type met struct {
		word string
		err  error
	}
	result := make(chan met, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			result <- met{err: err}
			return
		}
		defer conn.Close()
		word := make([]byte, 5)
		n, err := conn.Read(word)
		if err == nil {
			_, err = conn.Write(word[:n])
		}
		result <- met{string(word[:n]), err}
	}()
	conn, err := dials(listener.Addr().String())
	if err == nil {
		_, err = conn.Write([]byte("hello"))
		if err == nil { // with TLS 1.3 the other side's judgement comes with its first answer
			_, err = conn.Read(make([]byte, 5))
		}
		_ = conn.Close() // all was said
	}
	m := <-result
	return m.word, m.err, err
}

func TestNetworkBetweenNodes(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	one, two := ours.sign(t, "one"), ours.sign(t, "two")
	dialer := func(n cluster.Network) func(string) (net.Conn, error) {
		return func(addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
			defer cancel()
			return n.Dial(ctx, addr)
		}
	}
	want := func(t *testing.T, listens clusterTLS, dials func(string) (net.Conn, error), good bool) {
		t.Helper()
		heard, here, there := exchange(t, listens, dials)
		if good && (heard != "hello" || here != nil || there != nil) {
			t.Errorf("heard %q, %v and %v, want hello", heard, here, there)
		}
		if !good && (heard != "" || here == nil && there == nil) {
			t.Errorf("heard %q, %v and %v, want nothing heard and a refusal", heard, here, there)
		}
	}
	t.Run("takes_any_certificate_of_the_authority", func(t *testing.T) {
		want(t, nodeNetwork(t, one), dialer(nodeNetwork(t, two)), true)
	})
	t.Run("refuses_who_dials_with_another_authoritys", func(t *testing.T) {
		stranger := others.sign(t, "stranger")
		ours.trust(t, stranger) // it believes us
		want(t, nodeNetwork(t, one), dialer(nodeNetwork(t, stranger)), false)
	})
	t.Run("refuses_who_answers_with_another_authoritys", func(t *testing.T) {
		stranger := others.sign(t, "stranger")
		ours.trust(t, stranger)
		want(t, nodeNetwork(t, stranger), dialer(nodeNetwork(t, one)), false)
	})
	t.Run("refuses_who_dials_with_none", func(t *testing.T) {
		want(t, nodeNetwork(t, one), func(addr string) (net.Conn, error) {
			return tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		}, false)
	})
	t.Run("speaks_no_less_than_tls_1_3", func(t *testing.T) {
		pair, err := tls.LoadX509KeyPair(two.cert, two.key)
		if err != nil {
			t.Fatal(err)
		}
		want(t, nodeNetwork(t, one), func(addr string) (net.Conn, error) {
			return tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})
		}, false)
	})
	t.Run("follows_the_files", func(t *testing.T) {
		three := others.sign(t, "three")
		listens := nodeNetwork(t, ours.sign(t, "four"))
		ours.trust(t, three)
		want(t, listens, dialer(nodeNetwork(t, three)), false)
		others.trust(t, listens.certificates.files)
		listens.certificates.looked = time.Time{} // it is time for another look
		want(t, listens, dialer(nodeNetwork(t, three)), true)
	})
}
