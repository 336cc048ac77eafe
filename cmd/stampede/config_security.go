package main

// config_security.go: the rules between settings: what listens where, with which certificate, and who may come in (nothing beyond
// loopback without a decision).

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"stampede/stomp/auth"
)

const adminTokenBytesMax = 4 << 10 // a longer token file is a fault: it is some other file

// address reads HOST:PORT, :PORT for all interfaces, or "off" (or nothing), which gives "".
func (s *settler) address(flag, text string) string {
	if text == off || text == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		s.fault(flag, "got %q, want HOST:PORT, :PORT for all interfaces, or off", text)
		return ""
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		s.fault(flag, "got port %q in %q, want a number from 0 to 65535", port, text)
		return ""
	}
	if strings.ContainsAny(host, " /") {
		s.fault(flag, "got host %q in %q, want a name or an IP address", host, text)
		return ""
	}
	return text
}

// isLoopback tells whether only this machine reaches the address. A name other than localhost may mean anything, so it is not.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// loopbackOnly tells whether each of the addresses is off or on loopback.
func loopbackOnly(addrs ...string) bool {
	for _, addr := range addrs {
		if addr != "" && !isLoopback(addr) {
			return false
		}
	}
	return true
}

// listenerSetting is one listening address with the flag that set it.
type listenerSetting struct{ flag, addr string }

// clientListeners are the addresses that clients of the broker come to.
func (c config) clientListeners() []listenerSetting {
	return []listenerSetting{{"http-addr", c.httpAddr}, {"stomp-addr", c.stompAddr}, {"stomp-tls-addr", c.stompTLSAddr}}
}

// listeners finds what the addresses have against each other.
func (s *settler) listeners(c config) {
	if c.httpAddr == "" && c.stompAddr == "" && c.stompTLSAddr == "" && len(s.faults) == 0 {
		s.fault("stomp-addr", "nothing listens for clients: --http-addr, --stomp-addr and --stomp-tls-addr are all off")
	}
	taken := map[string]string{}
	others := []listenerSetting{{"admin-addr", c.adminAddr}}
	if c.cluster.several() {
		others = append(others, listenerSetting{"cluster-addr", c.cluster.addr})
	}
	for _, l := range append(c.clientListeners(), others...) {
		if l.addr == "" || strings.HasSuffix(l.addr, ":0") {
			continue
		}
		if other, ok := taken[l.addr]; ok {
			s.fault(l.flag, "%s is taken by --%s", l.addr, other)
			continue
		}
		taken[l.addr] = l.flag
	}
}

// certificates finds what the TLS settings have against each other.
func (s *settler) certificates(c config) {
	if c.tls.cert != "" && c.tls.key == "" {
		s.fault("tls-key", "must be set with --tls-cert")
	}
	if c.tls.key != "" && c.tls.cert == "" {
		s.fault("tls-cert", "must be set with --tls-key")
	}
	if c.tls.clientCA != "" && c.tls.cert == "" && c.tls.key == "" {
		s.fault("tls-client-ca", "needs --tls-cert and --tls-key")
	}
	if c.stompTLSAddr != "" && c.tls.cert == "" && c.tls.key == "" {
		s.fault("stomp-tls-addr", "needs --tls-cert and --tls-key")
	}
}

// security finds what is open without a decision. What was not chosen on loopback is none.
func (s *settler) security(f *NodeFlags, c *config) {
	switch c.auth {
	case authNone, authUsers:
	case "":
		for _, l := range c.clientListeners() {
			if l.addr != "" && !isLoopback(l.addr) {
				s.fault(l.flag, "%s is reachable from other machines and nothing says who may come in: set --auth users with --users-file, or --auth none", l.addr)
			}
		}
		c.auth = authNone
	default:
		s.fault("auth", "got %q, supported are: %s, %s", c.auth, authNone, authUsers)
	}
	if c.auth == authUsers && c.usersFile == "" {
		s.fault("users-file", "must be set with --auth users")
	}
	if c.usersFile != "" && c.auth == authNone {
		s.fault("users-file", "needs --auth users")
	}
	if c.adminAddr != "" && !isLoopback(c.adminAddr) && c.adminTokenFile == "" {
		s.fault("admin-addr", "%s is reachable from other machines: set --admin-token-file", c.adminAddr)
	}
}

// checkFiles opens every file that the settings name and tells all that is wrong with them.
func (s *settler) checkFiles(c config) {
	if c.usersFile != "" {
		if _, err := auth.OpenUsers(c.usersFile, slog.New(slog.DiscardHandler)); err != nil {
			s.fileFault("users-file", err)
		}
	}
	if c.adminTokenFile != "" {
		if _, err := readToken(c.adminTokenFile); err != nil {
			s.fileFault("admin-token-file", err)
		}
	}
	if c.tls.cert != "" && c.tls.key != "" {
		if _, err := c.tls.loadCertificate(); err != nil {
			s.fileFault("tls-cert", err)
		}
	}
	if c.tls.clientCA != "" {
		if _, err := c.tls.loadClientCA(); err != nil {
			s.fileFault("tls-client-ca", err)
		}
	}
	if c.cluster.tls.configured() && c.cluster.tls.key != "" && c.cluster.tls.clientCA != "" {
		if _, err := c.cluster.tls.loadCertificate(); err != nil {
			s.fileFault("cluster-tls-cert", err)
		}
		if _, err := c.cluster.tls.loadClientCA(); err != nil {
			s.fileFault("cluster-tls-ca", err)
		}
	}
	if info, err := os.Stat(c.dataDir); err == nil && !info.IsDir() {
		s.fault("data-dir", "%s is not a folder", c.dataDir)
	}
}

// fileFault makes a fault of each line of a file's error.
func (s *settler) fileFault(flag string, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		s.fault(flag, "%s", line)
	}
}

// readToken reads the admin token: the only line of the file, without the blanks around it.
func readToken(path string) (string, error) {
	text, err := readSmallFile(path, adminTokenBytesMax)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	switch {
	case token == "":
		return "", fileError(path, "no token in it")
	case strings.ContainsAny(token, " \t\r\n"):
		return "", fileError(path, "want one token in one line")
	}
	return token, nil
}
