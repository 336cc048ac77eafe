package main

import (
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
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// writeCertificate writes a certificate that signs itself, its key, and itself once more as authority.
func writeCertificate(t *testing.T, name string) (cert, key, ca string) {
	t.Helper()
	dir := t.TempDir()
	cert, key, ca = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	overwriteCertificate(t, name, cert, key, ca)
	return cert, key, ca
}

func overwriteCertificate(t *testing.T, name, cert, key, ca string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	chain := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	writeTestFile(t, cert, chain)
	writeTestFile(t, ca, chain)
	writeTestFile(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER})))
}

// shake does one handshake in memory and gives the server's name as the client saw it, and what the server saw of the client.
func shake(t *testing.T, server *tls.Config, client *tls.Config) (name string, state tls.ConnectionState, err error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	answer := make(chan error, 1)
	s := tls.Server(a, server)
	go handshake(s, answer)
	client = client.Clone()
	client.InsecureSkipVerify = true // the test asks who answered, and trusts nobody
	c := tls.Client(b, client)
	clientErr := c.Handshake()
	if clientErr == nil {
		name = c.ConnectionState().PeerCertificates[0].Subject.CommonName
		// With TLS 1.3 the server judges the client's certificate after the client is done: it shows at the first read.
		go drainConn(c)
	}
	if err := <-answer; err != nil {
		return name, tls.ConnectionState{}, err
	}
	return name, s.ConnectionState(), clientErr
}

func handshake(c *tls.Conn, answer chan<- error) { answer <- c.Handshake() }

func drainConn(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }

func TestCertificates(t *testing.T) {
	t.Run("are_taken_when_they_change_and_kept_when_the_new_ones_are_bad", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cert, key, ca := writeCertificate(t, "one")
			c, err := openCertificates(tlsFiles{cert: cert, key: key, clientCA: ca}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			server := c.config(tls.VerifyClientCertIfGiven)
			want := func(when, want string) {
				t.Helper()
				if got, _, err := shake(t, server, &tls.Config{}); got != want || err != nil {
					t.Errorf("%s: certificate %q, %v, want %q", when, got, err, want)
				}
			}
			want("at first", "one")
			overwriteCertificate(t, "second", cert, key, ca)
			want("within the time between looks", "one")
			time.Sleep(certificateLook)
			want("after it", "second")
			writeTestFile(t, key, "not a key")
			time.Sleep(certificateLook)
			want("with a bad key", "second")
			overwriteCertificate(t, "three", cert, key, ca)
			time.Sleep(certificateLook)
			want("with all three good again", "three")
		})
	})
	t.Run("resume_sessions", func(t *testing.T) {
		cert, key, _ := writeCertificate(t, "one")
		c, err := openCertificates(tlsFiles{cert: cert, key: key}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		server := c.config(tls.NoClientCert)
		one, err := server.GetConfigForClient(nil)
		if err != nil {
			t.Fatal(err)
		}
		two, err := server.GetConfigForClient(nil)
		if err != nil {
			t.Fatal(err)
		}
		if one != two {
			t.Error("two handshakes have two configs, and with them two sets of ticket keys")
		}
	})
	t.Run("of_clients", func(t *testing.T) {
		cert, key, ca := writeCertificate(t, "server")
		mine, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		otherCert, otherKey, _ := writeCertificate(t, "stranger")
		stranger, err := tls.LoadX509KeyPair(otherCert, otherKey)
		if err != nil {
			t.Fatal(err)
		}
		c, err := openCertificates(tlsFiles{cert: cert, key: key, clientCA: ca}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		for _, one := range []struct {
			name     string
			asks     tls.ClientAuthType
			client   []tls.Certificate
			fails    bool
			verified bool
		}{
			{"asked_and_none", tls.VerifyClientCertIfGiven, nil, false, false},
			{"asked_and_good", tls.VerifyClientCertIfGiven, []tls.Certificate{mine}, false, true},
			{"required_and_none", tls.RequireAndVerifyClientCert, nil, true, false},
			{"required_and_good", tls.RequireAndVerifyClientCert, []tls.Certificate{mine}, false, true},
		} {
			t.Run(one.name, func(t *testing.T) {
				_, state, err := shake(t, c.config(one.asks), &tls.Config{Certificates: one.client})
				if (err != nil) != one.fails || (len(state.VerifiedChains) > 0) != one.verified {
					t.Errorf("error %v and %d verified chains, want fails = %v and verified = %v", err, len(state.VerifiedChains), one.fails, one.verified)
				}
			})
		}
		t.Run("of_strangers", func(t *testing.T) {
			give := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }
			if _, _, err := shake(t, c.config(tls.VerifyClientCertIfGiven), &tls.Config{GetClientCertificate: give}); err == nil {
				t.Error("a certificate of another authority was taken")
			}
		})
	})
}
