package main

// tls.go: certificates of the listeners, read again when their files change.

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	certificateLook    = time.Second // between looks at the files; a renewed certificate is in use this much later
	certificateBytes   = 1 << 20     // a larger file is an error
	certificateExpires = 14 * 24 * time.Hour
)

// tlsFiles are the paths of the TLS settings.
type tlsFiles struct{ cert, key, clientCA string }

func (f tlsFiles) configured() bool { return f.cert != "" }

func (f tlsFiles) loadCertificate() (*tls.Certificate, error) {
	chain, err := readSmallFile(f.cert, certificateBytes)
	if err != nil {
		return nil, err
	}
	key, err := readSmallFile(f.key, certificateBytes)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", f.cert, f.key, err)
	}
	return &pair, nil
}

func (f tlsFiles) loadClientCA() (*x509.CertPool, error) {
	text, err := readSmallFile(f.clientCA, certificateBytes)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fileError(f.clientCA, "no certificate in it")
	}
	return pool, nil
}

// material is what the files held at one time. It is immutable.
type material struct {
	certificate tls.Certificate
	clientCA    *x509.CertPool // nil without client certificates
}

// certificates hands out the certificate and the client authorities of the moment. It has no goroutine: a handshake that comes more
// than certificateLook after the last look has a look itself. A bad new file is logged and the one before it stays.
type certificates struct {
	files  tlsFiles
	logger *slog.Logger

	lock    sync.Mutex // guards all below
	looked  time.Time
	stamps  [3]os.FileInfo // of cert, key and client authorities, as last read
	current *material
}

func openCertificates(files tlsFiles, logger *slog.Logger) (*certificates, error) {
	c := &certificates{files: files, logger: logger.With("component", "tls"), looked: time.Now(), stamps: files.stamps()}
	var err error
	c.current, err = c.load()
	return c, err
}

func (c *certificates) load() (*material, error) {
	pair, err := c.files.loadCertificate()
	if err != nil {
		return nil, err
	}
	m := &material{certificate: *pair}
	if c.files.clientCA != "" {
		if m.clientCA, err = c.files.loadClientCA(); err != nil {
			return nil, err
		}
	}
	if pair.Leaf != nil && time.Until(pair.Leaf.NotAfter) < certificateExpires {
		c.logger.Warn("certificate expires soon", "path", c.files.cert, "expires", pair.Leaf.NotAfter)
	}
	return m, nil
}

func (f tlsFiles) stamps() (stamps [3]os.FileInfo) {
	for i, path := range []string{f.cert, f.key, f.clientCA} {
		if path != "" {
			stamps[i], _ = os.Stat(path) // a file that is missing is load's to report
		}
	}
	return stamps
}

// now gives what the files hold, read again if they changed.
func (c *certificates) now() *material {
	c.lock.Lock()
	defer c.lock.Unlock()
	if time.Since(c.looked) < certificateLook {
		return c.current
	}
	c.looked = time.Now()
	stamps := c.files.stamps()
	if sameFiles(stamps, c.stamps) {
		return c.current
	}
	c.stamps = stamps
	m, err := c.load()
	if err != nil {
		c.logger.Error("certificate files not taken, those before them stay", "error", err)
		return c.current
	}
	c.logger.Info("certificate files taken", "path", c.files.cert)
	c.current = m
	return m
}

func sameFiles(a, b [3]os.FileInfo) bool {
	for i := range a {
		if (a[i] == nil) != (b[i] == nil) {
			return false
		}
		if a[i] != nil && (!os.SameFile(a[i], b[i]) || !a[i].ModTime().Equal(b[i].ModTime()) || a[i].Size() != b[i].Size()) {
			return false
		}
	}
	return true
}

// config is the TLS side of one listener. clients is what it asks of client certificates once there are authorities for them.
// All handshakes with one material share one tls.Config, and with it the keys of session tickets: a reconnect is a resumption.
func (c *certificates) config(clients tls.ClientAuthType, protocols ...string) *tls.Config {
	var lock sync.Mutex // guards made and of
	var made *tls.Config
	var of *material
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := c.now()
			lock.Lock()
			defer lock.Unlock()
			if of != now {
				of = now
				made = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{now.certificate}}
				if now.clientCA != nil {
					made.ClientAuth, made.ClientCAs = clients, now.clientCA
				}
			}
			return made, nil
		},
	}
}
