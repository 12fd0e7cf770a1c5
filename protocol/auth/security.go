package auth

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"

	"broadsheet.dev/broadsheet/internal/certs"
)

// Security says who may use a process, a broker or a consumer, and how its connections are protected. The zero
// value lets in everyone who can reach it, which is nobody beyond this machine.
type Security struct {
	// Keys that tokens are signed and verified with. Nil demands no token.
	Keys *Keyring
	// Server has this process's certificate; with a CA, clients have to show one that it
	// has signed. Zero is no TLS. Unix sockets have none in any case.
	Server certs.Files
	// Peer has the certificate that this process shows to others of its kind, and the CA that theirs
	// are signed by. Zero shows none, and trusts the authorities of the system.
	Peer certs.Files
	// Insecure lets a process that lets in everyone be reached from other machines.
	Insecure bool
}

// Validate tells what doesn't fit together.
func (s Security) Validate() error {
	if err := s.Server.Validate(); err != nil {
		return fmt.Errorf("security: server: %w", err)
	}
	if err := s.Peer.Validate(); err != nil {
		return fmt.Errorf("security: peer: %w", err)
	}
	if s.Server.CA != "" && s.Server.Cert == "" {
		return fmt.Errorf("security: server: there is a CA (%s), and no certificate", s.Server.CA)
	}
	return nil
}

// Scheme of the URL at which a process with TLS, or one without, is reached.
func (s Security) Scheme() string {
	if s.Server.Cert != "" {
		return "https"
	}
	return "http"
}

// Authenticates tells whether everybody is asked who they are.
func (s Security) Authenticates() bool { return !s.Keys.AllowsMissing() || s.Server.CA != "" }

// ExposedError tells of an address that others can reach, of a process that lets in
// everyone.
type ExposedError struct{ Address string }

// Error names the address.
func (e *ExposedError) Error() string {
	return e.Address + " isn't a loopback address, and clients aren't authenticated"
}

// CheckAddress refuses, by an ExposedError, to listen where others could reach a process
// that lets in everyone. The host of a TCP address may be a name only if it is localhost.
func (s Security) CheckAddress(network, address string) error {
	if network == "unix" || s.Insecure || s.Authenticates() {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if IsLoopbackHost(host) {
		return nil
	}
	return &ExposedError{Address: address}
}

// IsLoopbackHost tells whether a host, without a port, is localhost or an address that this machine alone reaches.
func IsLoopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// CheckDebugAddress is CheckAddress of a port of diagnostics, which asks nobody who they are, whatever other ports do.
func (s Security) CheckDebugAddress(network, address string) error {
	return Security{Insecure: s.Insecure}.CheckAddress(network, address)
}

// Check that listeners, that of diagnostics if there is one, and the endpoint are as they have to be.
func (s Security) Check(endpoint string, listeners []net.Listener, debug net.Listener) error {
	if debug != nil {
		if err := s.CheckDebugAddress(debug.Addr().Network(), debug.Addr().String()); err != nil {
			return fmt.Errorf("security: debug: %w", err)
		}
	}
	for _, ln := range listeners {
		if ln == nil {
			continue
		}
		if err := s.CheckAddress(ln.Addr().Network(), ln.Addr().String()); err != nil {
			return fmt.Errorf("security: %w", err)
		}
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Errorf("security: endpoint: %w", err)
	}
	if u.Scheme != "unix" && u.Scheme != s.Scheme() {
		return fmt.Errorf("security: endpoint %s: its scheme has to be %s, by the certificate of the server", endpoint, s.Scheme())
	}
	return nil
}

// Warn of what is allowed, and yet not good.
func (s Security) Warn(log *slog.Logger) {
	if n := s.Keys.ShortSecrets(); n != 0 {
		log.Warn("shared secrets have less than 16 bytes, and might be guessed", slog.Int("secrets", n))
	}
	if s.Keys != nil && s.Keys.AllowsMissing() {
		log.Warn("requests without a token are let through: AA== is among the keys")
	}
}
