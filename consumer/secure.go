package consumer

import (
	"fmt"
	"log/slog"

	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// Secure sets who may use the host, and how its connections are protected. Errors name flags of a kind of processes, as consumer.
func (c *Config) Secure(kind string, s auth.Security, log *slog.Logger) error {
	s.Warn(log)
	c.Keys, c.certified = s.Keys, s.Server.CA != ""
	if s.Server.Cert != "" {
		source, err := certs.Load(s.Server, log)
		if err == nil {
			c.TLS, err = source.Server("http/1.1", "h2")
		}
		if err != nil {
			return fmt.Errorf("--%s.server-cert-file: %w", kind, err)
		}
	}
	if !s.Peer.IsZero() {
		source, err := certs.Load(s.Peer, log)
		if err != nil {
			return fmt.Errorf("--%s.peer-cert-file: %w", kind, err)
		}
		c.PeerTLS = source.Client()
	}
	return nil
}
